import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu

from ncd_jax.profiles.coded_columns import CodedColumn, Measure, best_measure, code_columns


def column(values, name: str = "x") -> CodedColumn:
    return code_columns(pd.DataFrame({name: values}))[0]


def counts(coded: CodedColumn, mask: np.ndarray) -> np.ndarray:
    return np.bincount(coded.codes[mask], minlength=len(coded.values) + 1).astype(float)


def compare(values, here) -> tuple[Measure, float, str, str]:
    coded, here = column(values), np.asarray(here, bool)
    sides = counts(coded, here), counts(coded, ~here)
    measure = best_measure(coded, *sides)
    return (
        measure,
        round(measure.effect(*sides), 9),
        measure.value(sides[0]),
        measure.value(sides[1]),
    )


@pytest.mark.parametrize(
    ("cells", "values", "codes", "is_number"),
    [
        ([3.0, 1.0, np.nan, 2.0, 1.0], ["1", "2", "3"], [2, 0, 3, 1, 0], True),
        ([np.inf, 1.0, 2.5, -np.inf, 3.0], ["1", "2.5", "3"], [3, 0, 1, 3, 2], True),
        (["b", None, "a", "<b>"], ["<b>", "a", "b"], [2, 3, 1, 0], False),
        ([0, 1, 0], ["0", "1"], [0, 1, 0], False),
        ([True, False, True], ["False", "True"], [1, 0, 1], False),
        (pd.array([5, None, 7, 6], "Int64"), ["5", "6", "7"], [0, 3, 2, 1], True),
        (pd.Categorical(["z", "y", None]), ["y", "z"], [1, 0, 2], False),
        (
            pd.to_datetime(["2024-03-01", "2024-01-01", "2024-02-01"]),
            ["2024-01-01", "2024-02-01", "2024-03-01"],
            [2, 0, 1],
            True,
        ),
        ([np.nan, np.nan], [], [0, 0], False),
        ([1, "a", 2.5], ["1", "2.5", "a"], [0, 2, 1], False),
    ],
)
def test_codes_of_every_kind_of_column(cells, values, codes, is_number):
    coded = column(cells)
    assert [coded.text(i) for i in range(len(coded.values))] == values
    assert coded.text(len(values)) == "missing"
    assert coded.codes.tolist() == codes
    assert coded.is_number == is_number


def test_numbers_are_short_and_exact_where_whole():
    coded = column([0.123456, 2007.0, 1234567.0, 12345.678])
    assert [coded.text(i) for i in range(4)] == ["0.1235", "2007", "12346", "1234567"]


@pytest.mark.parametrize("seed", range(5))
def test_rank_effect_is_twice_auc_less_one(seed: int):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 9, 60).astype(float)
    here = np.arange(60) < rng.integers(5, 55)
    coded = column(values)
    auc = mannwhitneyu(values[here], values[~here]).statistic / (here.sum() * (~here).sum())
    effect = Measure(coded, None, "median").effect(counts(coded, here), counts(coded, ~here))
    assert effect == pytest.approx(2 * auc - 1)


def test_medians_are_of_the_group_and_outliers_do_not_matter():
    values = np.concatenate([np.arange(101), 1000 + np.arange(100), [1e30]])
    measure, effect, here, there = compare(values, np.arange(202) < 101)
    assert (measure.title, effect, here, there) == ("median", -1.0, "50", "1050")


def test_a_group_in_the_middle_is_told_by_its_interval():
    rng = np.random.default_rng(0)
    values = np.concatenate(
        [rng.uniform(4, 6, 100), rng.uniform(0, 4, 100), rng.uniform(6, 10, 100)]
    )
    measure, effect, here, there = compare(values.round(3), np.arange(300) < 100)
    assert measure.title.startswith("share 4")
    assert (effect, here, there) == (1.0, "100%", "0%")
    # And the other side of the same coin: values at both ends.
    measure, effect, here, there = compare(values.round(3), np.arange(300) >= 100)
    assert (effect, here, there) == (-1.0, "0%", "100%")


def test_equal_medians_give_way_to_a_share():
    values = np.array([0] * 60 + [1] * 20 + [2] * 20 + [0] * 98 + [1, 2])
    measure, effect, here, there = compare(values, np.arange(200) < 100)
    assert (measure.title, here, there) == ("share above 0", "40%", "2%")
    assert effect == pytest.approx(0.38)


def test_noise_is_not_mistaken_for_an_interval():
    rng = np.random.default_rng(0)
    titles = [compare(rng.normal(size=60), np.arange(60) < 20)[0].title for _ in range(50)]
    effects = [abs(compare(rng.normal(size=60), np.arange(60) < 20)[1]) for _ in range(50)]
    assert titles.count("median") > 25
    assert np.mean(effects) < 0.3


@pytest.mark.parametrize(
    ("values", "title", "effect", "here", "there"),
    [
        (["red"] * 8 + ["blue"] * 2 + ["red"] * 2 + ["blue"] * 8, "share red", 0.6, "80%", "20%"),
        ([None] * 9 + ["a"] + ["a"] * 10, "share missing", 0.9, "90%", "0%"),
        ([1] * 7 + [0] * 3 + [0] * 10, "share 1", 0.7, "70%", "0%"),
        (
            [np.nan] * 6 + [1, 2, 3, 4] + [1, 2, 3, 4, 1, 2, 3, 4, 2, 3],
            "share missing",
            0.6,
            "60%",
            "0%",
        ),
    ],
)
def test_the_most_telling_category(values, title, effect, here, there):
    measure, found, *shares = compare(values, np.arange(20) < 10)
    assert (measure.title, shares) == (title, [here, there])
    assert found == pytest.approx(effect)


def test_empty_groups_have_no_effect():
    coded = column([1.0, 2.0, 3.0])
    nothing = np.zeros(4)
    measure = best_measure(coded, nothing, np.array([1.0, 1, 1, 0]))
    assert measure.effect(nothing, nothing) == 0.0
    assert Measure(coded, None, "median").value(nothing) == "missing"
