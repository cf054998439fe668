import json
import re

import numpy as np
import pandas as pd
import pytest
from jinja2 import StrictUndefined
from sklearn.datasets import load_wine
from tiers import few

from ncd_jax.profiles import contrasts
from ncd_jax.profiles.classes import Profiles, SortedRows, profile_classes
from ncd_jax.profiles.coded_columns import code_columns
from ncd_jax.profiles.contrasts import contrast_classes, draw_sample, repeating_columns
from ncd_jax.profiles.rules import find_rule
from ncd_jax.report.figures import profile_plot
from ncd_jax.report.templating import environment

HOSTILE = ("<script>alert(1)</script>", "<b>bold</b> & {{ 7 * 7 }}", "%{x} 'quoted\" <a href=x>")


def rule_for(frame: pd.DataFrame, is_class: np.ndarray, seed: int = 0):
    rows = np.arange(len(frame))
    return find_rule(code_columns(frame), np.asarray(is_class), rows, np.ones(len(rows)), seed)


def mixed(n: int = 400) -> tuple[pd.DataFrame, np.ndarray]:
    """Four classes: two known ones; `novel_0` is old and red, `novel_1` has no income."""
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2, 3], n // 4)
    frame = pd.DataFrame(
        {
            "age": np.where(group == 0, rng.integers(60, 90, n), rng.integers(18, 50, n)),
            "colour": np.where(group == 0, "red", rng.choice(["red", "green", "blue"], n)),
            "income": np.where(group == 1, np.nan, rng.normal(3000, 500, n).round()),
            "noise": rng.normal(size=n),
        }
    )
    return frame, group


def profiles_of_mixed(names=("a", "b"), rename=lambda c: c, **options) -> Profiles:
    frame, group = mixed()
    z = np.eye(4)[group] * [3, 3, 1, 1] + np.random.default_rng(1).normal(0, 0.1, (400, 4))
    labels = np.array(["novel_0", "novel_1", *names], dtype=object)[group]
    return profile_classes(
        SortedRows(
            frame.rename(columns=rename),
            labels,
            group < 2,
            z.astype(np.float32),
            np.linspace(0, 1, 200),
        ),
        names,
        2,
        **options,
    )


def render(profiles: Profiles, figures: dict | None = None) -> str:
    templates = environment()
    assert templates.undefined is StrictUndefined
    return templates.get_template("profiles.html.j2").render(
        profiles=profiles, figures=figures or {}
    )


def test_rules_say_what_made_the_class():
    frame, group = mixed()
    old = rule_for(frame, group == 0)
    assert old.texts == ("age > 50",)
    assert (old.n_rows, old.n_right, old.on_table) == (100, 100, (1.0, 1.0))
    assert old.on_new_rows == (1.0, 1.0)
    assert rule_for(frame, group == 1).texts == ("income is missing",)
    assert rule_for(frame[["colour"]], frame.colour == "green").texts == ("colour is green",)


def test_figures_of_a_rule_can_be_counted_in_the_table():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.integers(0, 100, 500), "c": rng.choice(list("abc"), 500)})
    is_class = (frame.x > 60) & (frame.c != "b") ^ (rng.random(500) < 0.1)
    rule = rule_for(frame, is_class)
    picked = np.ones(500, bool)
    for text in rule.texts:
        name, asked = text.split(" ", 1)
        if name == "c":
            picked &= (frame.c != "b") if "not b" in asked else frame.c == asked[3:]
        for sign, number in re.findall(r"(>|<=) ([\d.]+)", asked):
            picked &= frame.x > float(number) if sign == ">" else frame.x <= float(number)
    assert rule.n_rows == picked.sum()
    assert rule.n_right == (picked & is_class).sum()
    assert rule.on_table.precision == pytest.approx(is_class[picked].mean())
    assert rule.on_table.recall == pytest.approx(picked[is_class].mean())
    assert rule.on_table.f1 > 0.8


def test_a_class_of_noise_fails_on_rows_its_rule_was_not_made_from():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 30)), columns=[f"x{i}" for i in range(30)])
    rule = rule_for(frame, np.arange(60) < 15)
    assert rule.on_table.f1 > 0.7
    assert rule.on_new_rows.f1 < 0.45


@pytest.mark.parametrize(
    ("cells", "is_class", "text"),
    [
        ([1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 1], "x > 3"),
        ([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 0], "x <= 3"),
        ([1, 2, 3, 4, 5, 6], [0, 0, 1, 0, 0, 0], "x is 3"),
        ([1, 2, 3, 4, 5, 6], [0, 0, 1, 1, 0, 0], "x > 2 and <= 4"),
        ([1.0, 2.0, 3.2, 4.0, np.nan, np.nan], [0, 0, 1, 1, 1, 1], "x > 3 or missing"),
        ([1.0, 2.0, 3.2, 4.0, np.nan, np.nan], [1, 1, 1, 1, 0, 0], "x is not missing"),
        ([0.0012, 0.0013, 0.0019, 0.3], [0, 0, 1, 1], "x > 0.0016"),
        ([-3e9, -2e9, 1e9, 2e9], [0, 0, 1, 1], "x > 0"),
        ([20230101123, 20230101124, 20230101125, 20230101126], [0, 0, 1, 1], "x > 20230101124"),
        ([1e300, 2e300, 3e300, 4e300], [0, 0, 1, 1], None),
        (["a", "b", "c", "a", "b", "c"], [1, 0, 0, 1, 0, 0], "x is a"),
        (["a", "b", "c", "d", "e", "f"], [0, 1, 1, 1, 1, 1], "x is not a"),
        (["a", "b", None, "d", "e", "f"], [0, 1, 0, 1, 1, 1], "x is neither a nor missing"),
        ([True, False, True, False], [1, 0, 1, 0], "x is True"),
        (
            pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]),
            [0, 0, 1, 1],
            "x > 2024-02-01",
        ),
    ],
)
def test_conditions_in_words(cells, is_class, text):
    frame = pd.DataFrame({"x": pd.Series(cells)}).loc[np.repeat(np.arange(len(cells)), 5)]
    rule = rule_for(frame, np.repeat(np.array(is_class, bool), 5))
    assert rule.on_table == (1.0, 1.0)
    if text:
        assert rule.texts == (text,)


def test_there_may_be_no_rule():
    frame = pd.DataFrame({"constant": [1] * 10, "void": [None] * 10})
    assert rule_for(frame, np.arange(10) < 3) is None
    lone = rule_for(pd.DataFrame({"x": [1, 2, 3, 9]}), np.arange(4) == 3)
    assert lone.texts == ("x > 6",) or lone.texts == ("x is 9",)
    assert lone.on_new_rows is None


def test_missing_values_that_hardly_matter_are_left_out_of_a_rule():
    x = np.concatenate([np.arange(200.0), [np.nan]])
    assert rule_for(pd.DataFrame({"x": x}), (x > 99) | np.isnan(x)).texts == ("x > 99",)


def test_a_sample_keeps_small_classes_and_stands_for_the_table():
    group = np.repeat([0, 1, 2, 3], [5000, 900, 30, 0])
    sample = draw_sample(group, 4, 1000, seed=0)
    kept = np.bincount(sample.group, minlength=4)
    assert kept.tolist() == [485, 485, 30, 0]
    assert np.bincount(sample.group, sample.weights) == pytest.approx([5000, 900, 30])
    np.testing.assert_array_equal(sample.group, group[sample.rows])
    np.testing.assert_array_equal(sample.rows, draw_sample(group, 4, 1000, seed=0).rows)


def test_contrasts_are_with_the_right_rows():
    frame, group = mixed()
    old, poor = contrast_classes(code_columns(frame), draw_sample(group, 4, 10_000, 0), 2)
    known, novel = old.contrasts
    assert known.against == "the known classes"
    assert [d.column for d in known.differences] == ["age", "colour"]
    assert known.differences[0].here == str(int(np.sort(frame.age[group == 0])[49]))
    assert known.differences[0].there == str(int(np.sort(frame.age[group >= 2])[99]))
    share = (frame.colour[group >= 2] == "red").mean()
    assert (known.differences[1].title, known.differences[1].here) == ("share red", "100%")
    assert known.differences[1].effect == pytest.approx(1 - share)
    assert {d.column for d in novel.differences} == {"age", "colour", "income"}
    assert [d.column for d in poor.contrasts[0].differences] == ["income"]


def test_chance_is_not_told_as_a_difference():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(120, 300)))
    group = np.repeat([0, 1], [20, 100])
    (only,) = contrast_classes(code_columns(frame), draw_sample(group, 2, 10_000, 0), 1)
    assert [c.against for c in only.contrasts] == ["the known classes"]
    assert len(only.contrasts[0].differences) <= 1


def test_a_profile_has_everything():
    profiles = profiles_of_mixed()
    old, poor = profiles.classes
    assert (old.name, old.size, old.share) == ("novel_0", 100, 0.5)
    assert old.columns[:1] == ("age",)
    assert poor.rule.texts == ("income is missing",)
    assert {n.name for n in old.neighbours} == {"a", "b"}
    assert sum(n.share for n in old.neighbours) == pytest.approx(1.0)
    # Centres: (3, 0, 0, 0) against (0, 0, 1, 0); the known ones are the root of 2 apart.
    assert old.neighbours[0].distance == pytest.approx(np.sqrt(10 / 2), abs=0.05)
    assert profiles.n_sampled is None
    assert profiles_of_mixed(max_rows=200).n_sampled == 200


def test_typical_rows_are_central_and_differ():
    frame = pd.DataFrame({"x": [5.0, 5.0, 7.0, 100.0, 1.0, 2.0, 3.0]})
    z = np.array([[0.1], [0.0], [0.3], [9.0], [50.0], [51.0], [52.0]], np.float32)
    labels = ["novel_0"] * 4 + ["a"] * 3
    confidence = np.array([0.1, 0.2, 0.3, 0.4])
    novel = np.arange(7) < 4
    (only,) = profile_classes(SortedRows(frame, labels, novel, z, confidence), ("a",), 1).classes
    # The centre is 2.35: row 2, then 0, then 1, which looks the same as 0, then 3.
    assert only.columns == ("x",)
    assert [(t.row, t.confidence, t.values) for t in only.typical_rows] == [
        (2, 0.3, ("7",)),
        (0, 0.1, ("5",)),
        (3, 0.4, ("100",)),
    ]
    assert [n.name for n in only.neighbours] == ["a"]


def test_wine_reads_as_a_taster_would_write_it():
    wine = load_wine(as_frame=True)
    labels = np.array(["A", "novel_0", "novel_1"])[wine.target]
    novel = wine.target.to_numpy() > 0
    z = ((wine.data - wine.data.mean()) / wine.data.std()).to_numpy(np.float32)
    rows = SortedRows(wine.data, labels, novel, z, np.ones(novel.sum()))
    profiles = profile_classes(rows, ("A",), 2)
    assert profiles.classes[0].contrasts[0].differences[0].column == "proline"
    for profile in profiles.classes:
        assert profile.rule.on_new_rows.f1 > 0.8


def test_empty_classes_and_no_known_ones():
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    everything = np.ones(3, bool)
    rows = SortedRows(frame, ["novel_1"] * 3, everything, np.eye(3), np.ones(3))
    profiles = profile_classes(rows, (), 3)
    (only,) = profiles.classes
    assert (only.name, only.contrasts, only.neighbours, only.rule) == ("novel_1", (), (), None)
    assert profile_plot(profiles.grid) is None
    assert "No short rule" in render(profiles)


def test_the_grid_shows_every_class_against_all_others():
    grid = profiles_of_mixed().grid
    assert grid.classes == ("novel_0", "novel_1", "a", "b")
    assert ("age", "median") in grid.features
    assert ("income", "share missing") in grid.features
    income = grid.effect[grid.features.index(("income", "share missing"))]
    np.testing.assert_allclose(income, [-1 / 3, 1, -1 / 3, -1 / 3])
    figure = profile_plot(grid)
    assert figure.data[0]["z"].shape == grid.effect.shape
    assert "novel_1<br>income: share missing 100%" in str(figure.data[0]["text"])


def test_hostile_names_stay_text():
    spoil = {"age": HOSTILE[0], "colour": HOSTILE[1], "income": HOSTILE[2], "noise": "x" * 99}
    profiles = profiles_of_mixed(HOSTILE[:2], spoil.get)
    html = render(profiles, {"profiles": {}})
    for tag in ("<script", "<b>", "<a "):
        assert tag not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &gt; 50" in html
    assert "49" not in re.findall(r"bold&lt;/b&gt; &amp; (.{2})", html)
    figure = json.dumps(profile_plot(profiles.grid).plain())
    assert "&lt;script&gt;" in figure
    assert "<" not in figure.replace("<br>", "").replace("<extra></extra>", "")


def test_the_page_shows_what_was_found():
    html = re.sub(r"\s+", " ", render(profiles_of_mixed(), {"profiles": {}}))
    text = re.sub(r"<[^>]+>", "", html)
    assert "novel_0: 100 rows, 50.0% of the novel ones" in text
    assert "<code>age &gt; 50</code>" in html
    assert "100 of the 100 rows that fit this rule are of the class (precision 100.0%)" in html
    assert 'data-figure="profiles"' in html
    assert "Against the other novel classes" in html
    assert "That is weak" not in html


def rows_of_places(rng, kind, n_classes, others):
    """Rows in classes, a column that repeats these, and others that know them or do not."""
    n = 60 * n_classes
    classes = rng.permuted(np.repeat(np.arange(n_classes), 60))
    told = {
        "words": np.array([f"place {c}" for c in classes], object),
        "flag": classes == 0,
        "numbers": classes + rng.uniform(0, 0.4, n),
        "dates": pd.Timestamp("2024-01-01") + pd.to_timedelta(100 * classes, "D"),
        "many words": np.array([f"{c}{i % 3}" for i, c in enumerate(classes)], object),
    }[kind]
    signal = {"noise": 0.0, "telling": 6.0}[others]
    x = rng.normal(size=(n, 4)) + signal * rng.normal(size=(n_classes, 4))[classes]
    frame = pd.DataFrame(x, columns=list("abcd"))
    frame["id"] = [f"r{i}" for i in range(n)]  # says which row it is, and so everything
    frame["place"] = told
    return frame, np.array([f"novel_{c}" for c in classes])


@pytest.fixture
def whole_forests(monkeypatch):
    monkeypatch.setattr(contrasts, "_TREES", 50)


KINDS = ["words", "flag", "numbers", "dates", "many words"]


@pytest.mark.parametrize("kind", few(KINDS, "words", "numbers"))
@pytest.mark.parametrize("others", ["noise", "telling"])
@pytest.mark.parametrize("seed", few(range(3), 1))
@pytest.mark.usefixtures("whole_forests")
def test_a_column_that_alone_repeats_the_classes(kind, others, seed):
    rng = np.random.default_rng(seed)
    frame, labels = rows_of_places(rng, kind, 2 if kind == "flag" else 2 + seed, others)
    found = repeating_columns(frame, labels)
    assert found == (("place",) if others == "noise" else ())
    # Some rows are elsewhere, as answers are never exact.
    wrong = rng.random(len(labels)) < 0.02
    labels[wrong] = rng.choice(labels, wrong.sum())
    if others == "noise":
        assert repeating_columns(frame, labels) == ("place",)


def test_of_little_nothing_is_said():
    frame = pd.DataFrame({"a": ["x", "y", "x"], "b": [1.0, 2.0, 3.0]})
    assert repeating_columns(frame, np.array(["p", "q", "p"])) == ()
    assert repeating_columns(frame, np.array(["p", "p", "p"])) == ()
    assert repeating_columns(frame.iloc[:0], np.array([], object)) == ()
    alone = pd.DataFrame({"a": ["x", "y"] * 20})
    assert repeating_columns(alone, np.array(["p", "q"] * 20)) == ()


def test_copies_of_the_column_are_named_with_it():
    frame, labels = rows_of_places(np.random.default_rng(0), "words", 3, "noise")
    frame["code"] = frame["place"].map({"place 0": 7, "place 1": 3, "place 2": 5})
    assert repeating_columns(frame, labels) == ("place", "code")


def test_two_that_repeat_the_classes_are_none_that_alone_does():
    """And are no copies of each other, as numbers are never twice the same."""
    frame, labels = rows_of_places(np.random.default_rng(0), "numbers", 3, "noise")
    assert repeating_columns(frame, labels) == ("place",)
    frame["when"] = 7 * frame["place"] + np.random.default_rng(1).uniform(0, 0.1, len(frame))
    assert repeating_columns(frame, labels) == ()
