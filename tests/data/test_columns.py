"""What columns mean; the cells they are read from are checked here too."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from ncd_jax.data.columns import describe
from ncd_jax.data.values import days, distinct, numbers, truths
from ncd_jax.errors import UserError

N = 100
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=N)
WORDS = RNG.choice(["red", "green", "blue"], N)


def kind_of(cells, **options):
    """Kind and spelling of a column, and the notes."""
    frame = pd.DataFrame({"q": cells, "other": NUMBERS})
    columns, notes = describe(frame, ["q", "other"], **options)
    found = [(c.kind, c.spelling) for c in columns if c.name == "q"]
    return (found[0] if found else None), notes


def spelled(form):
    return [form.format(v) for v in NUMBERS.round(2)]


def dates(form):
    start = datetime.datetime(2020, 1, 1, 12, 30)
    return [(start + datetime.timedelta(days=int(i))).strftime(form) for i in range(N)]


DAYS = pd.Series(pd.date_range("2020-01-01", periods=N))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (NUMBERS, "numeric"),
        (NUMBERS.astype(np.float32), "numeric"),
        (RNG.integers(0, 3, N), "numeric"),
        (pd.array(RNG.integers(0, 3, N), "Int64"), "numeric"),
        (pd.array([None, *NUMBERS[1:]], "Float64"), "numeric"),
        (spelled("{}"), "numeric"),
        ([None, *spelled(" {} ")[1:]], "numeric"),
        (["?", "NA", *spelled("{:e}")[2:]], "numeric"),
        ([decimal.Decimal(v) for v in spelled("{}")], "numeric"),
        ([10**30, *range(1, N)], "numeric"),
        (pd.to_timedelta(NUMBERS, unit="s"), "numeric"),
        (WORDS, "category"),
        ([f"user {i // 2}" for i in range(N)], "category"),
        (pd.Categorical(WORDS), "category"),
        (pd.Categorical(RNG.integers(0, 3, N)), "category"),
        (RNG.choice(["yes", "no"], N), "category"),
        (RNG.choice(["1.2.3", "4.5.6"], N), "category"),
        (RNG.choice(["1_000", "2_000"], N), "category"),
        (RNG.choice(["\u0661", "\u0662"], N), "category"),
        (NUMBERS > 0, "boolean"),
        (pd.array([None, *(NUMBERS[1:] > 0)], "boolean"), "boolean"),
        ([None, True, False, True] * 25, "boolean"),
        (["true", "FALSE"] * 50, "boolean"),
        (DAYS, "date"),
        (DAYS.dt.tz_localize("Europe/Paris"), "date"),
        (DAYS.dt.date, "date"),
        (dates("%Y-%m-%d"), "date"),
        (dates("%Y/%m/%d"), "date"),
        (dates("%Y-%m-%dT%H:%M:%S"), "date"),
        (dates("%Y-%m-%d %H:%M:%S.%f+02:00"), "date"),
        ([None, *dates("%Y-%m-%d %H:%M")[1:]], "date"),
    ],
)
def test_kinds(cells, kind):
    assert kind_of(cells) == ((kind, "plain"), ())


def test_spellings_of_numbers():
    percent, comma = spelled("{} %"), [word.replace(".", ",") for word in spelled("{}")]
    assert kind_of(percent)[0] == ("numeric", "percent")
    assert kind_of(comma)[0] == ("numeric", "comma")
    for words, spelling in [(percent, "percent"), (comma, "comma"), (spelled("{}"), "plain")]:
        read = numbers(pd.Series([*words, ""]), spelling)
        np.testing.assert_array_equal(read, [*NUMBERS.round(2), np.nan])
    # A plain number is one whatever the others of its column looked like.
    np.testing.assert_array_equal(numbers(pd.Series(["1.5", "2"]), "comma"), [1.5, 2])
    np.testing.assert_array_equal(numbers(pd.Series([1.5, 2]), "percent"), [1.5, 2])


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([None] * N, "every cell is empty"),
        ([np.nan] * N, "every cell is empty"),
        (["", " ", "NA", "?"] * 25, "every cell is empty"),
        ([7.5] * N, "one value"),
        (["red", " red "] * 50, "one value"),
        ([1, "1.0"] * 50, "one value"),
        ([True] * N, "one value"),
        (DAYS[:1].repeat(N).array, "one value"),
        (range(N), "number the rows"),
        (RNG.permutation(N) + 5000.0, "number the rows"),
        (np.arange(N)[::-1] * 2 - 70, "number the rows"),
        ([f"user {i}" for i in range(N)], "100 of 100 cells are different"),
        (pd.Categorical([f"user {i}" for i in range(N)]), "100 of 100 cells are different"),
        ([f"user {i % 60}" for i in range(N)], "60 of 100"),
    ],
)
def test_columns_that_say_nothing_are_left_out_with_a_note(cells, reason):
    found, notes = kind_of(cells)
    assert found is None
    (note,) = notes
    assert note.startswith("column 'q' left out: ")
    assert reason in note


def test_identifiers_go_by_their_name_only_where_all_cells_differ():
    ids = RNG.choice(10**9, N, replace=False)
    for name in ["id", "customer_id", "customerId", "Customer ID", "Invoice No"]:
        frame = pd.DataFrame({name: ids, "x": NUMBERS})
        columns, notes = describe(frame, list(frame))
        assert [c.name for c in columns] == ["x"]
        assert name in notes[0]
    for name, cells in [("paid", ids), ("kid", ids), ("id", ids // 10**8), ("id", ids + 0.5)]:
        frame = pd.DataFrame({name: cells, "x": NUMBERS})
        assert len(describe(frame, list(frame))[0]) == 2


def test_columns_asked_for_are_kept_unless_they_are_constant():
    assert kind_of(range(N), wanted=["q"]) == (("numeric", "plain"), ())
    assert kind_of([f"{i} a" for i in range(N)], wanted=["q"])[0] == ("category", "plain")
    assert kind_of(["a"] * N, wanted=["q"])[0] is None


def test_codes_can_be_categories():
    assert kind_of(RNG.integers(0, 9, N), categories=["q"]) == (("category", "plain"), ())
    assert kind_of(range(N), categories=["q"])[0] == ("category", "plain")


@pytest.mark.parametrize("value", [7.5, "red", True])
def test_one_value_or_none_is_a_category(value):
    assert kind_of([value, None] * 50) == (("category", "plain"), ())


def test_short_tables_have_no_identifiers():
    frame = pd.DataFrame({"id": range(7), "name": list("abcdefg")})
    columns, notes = describe(frame, list(frame))
    assert [c.kind for c in columns] == ["numeric", "category"]
    assert notes == ()


def test_few_numbers_among_words_are_a_category_with_a_note():
    found, (note,) = kind_of(["1", "2", "many", "1"] * 25)
    assert found == ("category", "plain")
    assert "'many' (row 2)" in note


@pytest.mark.parametrize(
    ("cells", "fragments"),
    [
        ([*spelled("{}")[:40], "unknown", *spelled("{}")[41:]], ["row 40", "'unknown'"]),
        ([*spelled("{}")[:40], "12 %", *spelled("{}")[41:]], ["row 40", "'12 %'"]),
        ([*NUMBERS[:40], "x\ny", *NUMBERS[41:]], ["row 40", r"'x\ny'"]),
        ([f"1,{i:03}" for i in range(N)], ["'1,000'", "thousands"]),
        ([0.5, *NUMBERS[1:7], np.inf, *NUMBERS[8:]], ["row 7", "'inf'", "finite"]),
        ([*spelled("{}")[:-1], "-1e999"], ["row 99", "'-inf'", "finite"]),
        ([[1, 2]] * N, ["holds lists"]),
        (NUMBERS + 1j, ["not a number"]),
    ],
)
def test_columns_that_cannot_be_used_are_refused(cells, fragments):
    with pytest.raises(UserError) as caught:
        kind_of(cells)
    for fragment in ["column 'q'", *fragments]:
        assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_of_nothing():
    frame = pd.DataFrame({"a": [1] * N, "b": [None] * N})
    with pytest.raises(UserError, match="no column is left"):
        describe(frame, ["a", "b"])


def test_words_do_not_depend_on_how_they_are_stored():
    words = ["1", "2.5", "True", "x"]
    for cells in [
        ["1", "2.5", "True", "x", ""],
        [1, 2.5, "TRUE", " x ", None],
        ["01.0", "2.50", "true", "x", "NA"],
    ]:
        codes, found = distinct(pd.Series(cells, dtype=object))
        assert found == words
        np.testing.assert_array_equal(codes, [0, 1, 2, 3, -1])
        codes, found = distinct(pd.Series(pd.Categorical(cells)))
        np.testing.assert_array_equal([*found, ""], np.array([*words, ""])[[0, 1, 2, 3, 4]])
        np.testing.assert_array_equal(codes, [0, 1, 2, 3, -1])
    assert distinct(pd.Series([1.0, 3.0, np.nan]))[1] == ["1", "3"]
    assert distinct(pd.Series([True, False]))[1] == ["False", "True"]
    assert distinct(pd.Series(["01", "NA", " ", "1.0"]), as_written=True)[1] == ["01", "1.0", "NA"]
    assert distinct(pd.Series(["9" * 40]))[1] == ["9" * 40]


def test_categories_that_do_not_occur_are_no_words():
    cells = pd.Series(pd.Categorical(["b", "b"], categories=["a", "b"]))
    codes, words = distinct(cells)
    assert words == ["b"]
    np.testing.assert_array_equal(codes, [0, 0])


def test_cells_of_the_wrong_kind_are_named():
    for call, cells, fragment in [
        (numbers, ["1", "two"], "row 1 is 'two', not a number"),
        (days, ["2020-01-01", "31/12/2020"], "row 1 is '31/12/2020', not a date"),
        (days, ["2020-13-01"], "row 0 is '2020-13-01', not a date"),
        (truths, ["true", "0", "maybe"], "row 2 is 'maybe', neither true nor false"),
    ]:
        with pytest.raises(UserError, match=fragment):
            call(pd.Series(cells, name="q"))


def test_days_agree_with_the_calendar():
    expected = [0.5, 18262.25, np.nan]
    for cells in [
        pd.to_datetime(["1970-01-01 12:00", "2020-01-01 06:00", None]),
        pd.to_datetime(["1970-01-01 12:00", "2020-01-01 06:00", None]).tz_localize("UTC"),
        ["1970-01-01T12:00:00Z", "2020-01-01 08:00+02:00", "NA"],
        [datetime.datetime(1970, 1, 1, 12), pd.Timestamp("2020-01-01 06:00"), None],
    ]:
        np.testing.assert_array_equal(days(pd.Series(cells)), expected)


def test_truths_are_read_from_numbers_too():
    for cells in [[1, 0, 1], [1.0, 0.0, 1.0], ["1", "false", "TRUE"], [True, False, True]]:
        codes, words = truths(pd.Series(cells))
        assert words == ["false", "true"]
        np.testing.assert_array_equal(codes, [1, 0, 1])
    np.testing.assert_array_equal(numbers(pd.Series(["true", "False", "3"])), [1, 0, 3])
