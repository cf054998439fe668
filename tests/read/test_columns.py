"""What columns mean; the cells they are read from are checked here too."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from ncd_jax.errors import UserError
from ncd_jax.read.cells import level_words, numbers, times
from ncd_jax.read.columns import Column
from ncd_jax.read.date_words import days_between
from ncd_jax.read.describe import describe
from ncd_jax.read.dtypes import to_frame
from ncd_jax.read.options import ReadOptions
from ncd_jax.read.raw import RawTable
from ncd_jax.read.words import level_key, merged, words_of

N = 100
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=N)
WORDS = RNG.choice(["red", "green", "blue"], N)


def read(frame, **options):
    return describe(RawTable(to_frame(frame)), list(frame), ReadOptions(**options))


def kind_of(cells, **options):
    """Kind and form of a column, and the notes."""
    found = read(pd.DataFrame({"q": cells, "other": NUMBERS}), **options)
    forms = {reading.name: reading.form for reading in found.readings}
    kinds = [(c.kind, forms["q"]) for c in found.columns if c.name == "q"]
    return (kinds[0] if kinds else None), found.notes


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
        (pd.Categorical(WORDS), "category"),
        (pd.Categorical(RNG.integers(0, 3, N)), "category"),
        (RNG.choice(["yes", "no"], N), "boolean"),
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
    found, notes = kind_of(cells)
    assert found[0] == kind
    assert notes == ()


def test_forms_of_numbers():
    percent, comma = spelled("{} %"), [word.replace(".", ",") for word in spelled("{}")]
    assert kind_of(percent)[0] == ("numeric", "per cent")
    assert kind_of(comma)[0] == ("numeric", "decimal comma")
    assert kind_of(spelled("{} kg"))[0] == ("numeric", "unit kg")
    assert kind_of(spelled("${}"))[0] == ("numeric", "currency $")
    assert kind_of([f"{i + 950:,}" for i in range(N)])[0] is None  # numbers the rows
    assert kind_of([f"{i * i + 500:,}" for i in range(N)])[0] == ("numeric", "thousands")


def test_new_cells_are_read_as_the_old_ones():
    euros = Column("q", "numeric", ",", "€")
    words = pd.Series(["1.234,5 €", "7", "-", "", None, "(3,25 €)", "€ 1 234"])
    np.testing.assert_array_equal(numbers(euros, words), [1234.5, 7, *[np.nan] * 3, -3.25, 1234])
    # Cells that are numbers already are numbers, whatever the old ones looked like.
    np.testing.assert_array_equal(numbers(euros, pd.Series([1.5, 2])), [1.5, 2])
    # Nobody saw how the old ones would have been written.
    typed = Column("q", "numeric")
    np.testing.assert_array_equal(numbers(typed, pd.Series(["1,5", "2"])), [1.5, 2])
    np.testing.assert_array_equal(numbers(typed, pd.Series(["1.5", "true"])), [1.5, 1])
    with pytest.raises(UserError, match="row 1 '12 £'"):
        numbers(euros, pd.Series(["1", "12 £"]))


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([None] * N, "every cell is empty"),
        ([np.nan] * N, "every cell is empty"),
        (["", " ", "NA", "?"] * 25, "every cell is empty"),
        ([7.5] * N, "one value"),
        (["red", " red ", "RED", "Red"] * 25, "one value"),
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
    ids = RNG.choice(10**7, N, replace=False)
    for name in ["id", "customer_id", "customerId", "Customer ID", "Invoice No"]:
        found = read(pd.DataFrame({name: ids, "x": NUMBERS}))
        assert [c.name for c in found.columns] == ["x"]
        assert name in found.notes[0]
    for name, cells in [("paid", ids), ("kid", ids), ("id", ids // 10**6), ("id", ids + 0.5)]:
        assert len(read(pd.DataFrame({name: cells, "x": NUMBERS})).columns) == 2


def test_what_programs_write_to_number_rows_is_left_out():
    rows = np.append(RNG.choice(10**4, N - 3, replace=False), [7, 8, 9])  # a few rows are doubled
    for name in ["Unnamed: 0", "index", "level_0", "row_id", "Row Number", "#", "row names"]:
        found = read(pd.DataFrame({name: rows, "x": NUMBERS}))
        assert [c.name for c in found.columns] == ["x"]
        assert "--id keeps it" in found.notes[0]
        assert len(read(pd.DataFrame({name: rows, "x": NUMBERS}), columns=[name]).columns) == 2
    # A column that only lost its name is one like any other.
    assert len(read(pd.DataFrame({"Unnamed: 0": NUMBERS + 0.1, "x": NUMBERS})).columns) == 2
    assert len(read(pd.DataFrame({"index": rows % 5, "x": NUMBERS})).columns) == 2


def test_columns_asked_for_are_kept_unless_they_are_constant():
    assert kind_of(range(N), columns=["q", "other"]) == (("numeric", ""), ())
    assert kind_of(range(N), columns=["q"]) == (("numeric", ""), ())
    assert kind_of([f"{i} a" for i in range(N)], categories=["q"])[0][0] == "category"
    assert kind_of(["a"] * N, columns=["q", "other"])[0] is None


def test_codes_can_be_categories():
    assert kind_of(RNG.integers(0, 9, N), categories=["q"]) == (("category", "9 levels"), ())
    assert kind_of(range(N), categories=["q"])[0][0] == "category"


def test_levels_that_are_too_many_are_told():
    found, (note,) = kind_of([f"user {i // 2}" for i in range(N)])
    assert found == ("category", "50 levels")
    assert "the others count as one, which 62% of its cells are" in note


@pytest.mark.parametrize("value", [7.5, "red", True, "x"])
def test_one_value_or_none_is_a_category(value):
    assert kind_of([value, None] * 50) == (("category", "1 level"), ())


def test_short_tables_have_no_identifiers():
    found = read(pd.DataFrame({"id": range(7), "name": list("abcdefg")}))
    assert [c.kind for c in found.columns] == ["numeric", "category"]
    assert found.notes == ()


def test_few_numbers_among_words_are_a_category_with_a_note():
    found, (note,) = kind_of(["1", "2", "4+", "1"] * 25)
    assert found == ("category", "3 levels")
    assert "'4+'" in note
    assert "--numbers=q" in note


def test_a_slip_among_few_numbers_is_a_gap():
    cells = ["1", "2", "3", "4"] * 25
    cells[3] = "two"
    (column, _), (note,) = kind_of(cells)
    assert column == "numeric"
    assert "'two' (row 3)" in note
    cells[3] = "5+"
    assert kind_of(cells)[0][0] == "category"


def test_odd_cells_are_named_and_taken_for_gaps():
    for odd in ["see note", "12 %", "x\ny", "inf", "-1e999"]:
        cells = spelled("{}")
        cells[40] = odd
        (column, _), (note,) = kind_of(cells)
        assert column == "numeric"
        assert "row 40" in note
        assert repr(odd) in note
    found = read(pd.DataFrame({"q": [0.5, *NUMBERS[1:7], np.inf, *NUMBERS[8:]]}))
    assert np.isnan(found.frame["q"][7])
    assert [(cell.row, cell.text) for cell in found.readings[0].odd] == [(7, "inf")]
    (note,) = found.notes
    assert "infinite" in note


def test_words_that_recur_are_gaps_with_a_note():
    cells = spelled("{}")
    cells[::5] = ["withheld"] * 20
    found, (note,) = kind_of(cells)
    assert found[0] == "numeric"
    assert "'withheld' (row 0)" in note


@pytest.mark.parametrize(
    ("cells", "fragments"),
    [
        ([f"{v} or so" if i % 4 else str(v) for i, v in enumerate(NUMBERS)], None),
        ([str(v) if i % 4 else f"about {i}" for i, v in enumerate(NUMBERS)], ["25", "'about 0'"]),
        ([[1, 2]] * N, ["holds lists"]),
        (NUMBERS + 1j, ["complex"]),
    ],
)
def test_columns_that_cannot_be_used_are_refused(cells, fragments):
    if fragments is None:  # most of its cells are words
        assert kind_of(cells)[0] is None
        return
    with pytest.raises(UserError) as caught:
        kind_of(cells)
    for fragment in ["column 'q'", *fragments]:
        assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_is_told_at_once():
    odd = [str(v) if i % 4 else f"about {i}" for i, v in enumerate(NUMBERS)]
    frame = pd.DataFrame({"a": odd, "b": NUMBERS, "c": odd[::-1]})
    with pytest.raises(UserError) as caught:
        read(frame)
    assert all(f"column '{name}' has 25 cells" in str(caught.value) for name in "ac")


def test_a_table_of_nothing():
    with pytest.raises(UserError, match="no column is left"):
        read(pd.DataFrame({"a": [1] * N, "b": [None] * N}))


def test_words_do_not_depend_on_how_they_are_stored():
    for cells in [
        ["1", "2.5", "True", "x", ""],
        [1, 2.5, True, " x ", None],
        [1.0, 2.5, np.True_, "x", np.nan],
    ]:
        found = words_of(pd.Series(cells, dtype=object))
        assert found.words == ["1", "2.5", "True", "x"]
        np.testing.assert_array_equal(found.codes, [0, 1, 2, 3, -1])
    found = words_of(pd.Series(pd.Categorical([" b", "a", None, "a"])))
    assert found.words == ["a", "b"]
    np.testing.assert_array_equal(found.codes, [1, 0, -1, 0])
    assert words_of(pd.Series([1.0, 3.0, np.nan])).words == ["1", "3"]
    assert words_of(pd.Series([True, False])).words == ["False", "True"]
    assert words_of(pd.Series(["01", "NA", " ", "1.0"])).words == ["01", "1.0", "NA"]
    assert words_of(pd.Series([2**60 + 1, 2**60])).words == [str(2**60), str(2**60 + 1)]


def test_categories_that_do_not_occur_are_no_words():
    found = words_of(pd.Series(pd.Categorical(["b", "b"], categories=["a", "b"])))
    assert found.words == ["b"]
    np.testing.assert_array_equal(found.codes, [0, 0])


def test_spellings_of_a_level_are_one_and_codes_stay_as_written():
    cells = pd.Series(["New York", "new  york", "NEW YORK", "New York", "Rome", "A1", "a1", "1.10"])
    words = merged(words_of(cells))
    assert words.words == ["1.10", "A1", "New York", "Rome", "a1"]
    assert words.codes.tolist() == [2, 2, 2, 2, 3, 1, 4, 0]
    for one, other in [("1.10", "1.1"), ("01", "1"), ("47e5", "47E5"), ("12e731", "12e999")]:
        assert level_key(one) != level_key(other)
    assert level_key("2.0") == level_key("2")  # whole numbers with gaps, as programs write them


def test_cells_of_the_wrong_kind_are_named_all_of_them():
    for call, column, cells, fragment in [
        (numbers, Column("q", "numeric"), ["1", "two", "3", "four"], "row 1 'two', row 3 'four'"),
        (times, Column("q", "date"), ["2020-01-01", "13.2020"], "not dates: row 1 '13.2020'"),
        (times, Column("q", "date"), ["2020-13-01"], "not dates: row 0 '2020-13-01'"),
        (
            level_words,
            Column("q", "boolean", levels=("no", "yes")),
            ["yes", "0", "maybe"],
            "not no or yes: row 2 'maybe'",
        ),
    ]:
        with pytest.raises(UserError, match=fragment):
            call(column, pd.Series(cells))


def test_days_agree_with_the_calendar():
    expected = [0.5, 18262.25, np.nan]
    for cells in [
        pd.to_datetime(["1970-01-01 12:00", "2020-01-01 06:00", None]),
        pd.to_datetime(["1970-01-01 12:00", "2020-01-01 06:00", None]).tz_localize("UTC"),
        ["1970-01-01T12:00:00Z", "2020-01-01 08:00+02:00", "NA"],
        [datetime.datetime(1970, 1, 1, 12), pd.Timestamp("2020-01-01 06:00"), None],
        ["1.1.1970 12:00", "01.01.2020 06:00:00", "-"],
        ["1 Jan 1970 12:00 PM", "January 1, 2020 6:00 am", "unknown"],
    ]:
        column = Column("q", "date", order="dmy")
        np.testing.assert_array_equal(days_between(times(column, pd.Series(cells))), expected)


def test_new_dates_of_a_column_that_had_a_type_say_what_comes_first():
    column = Column("q", "date")
    for cells in [["31.12.2024", "1.2.2024"], ["12/31/2024", "2/1/2024"]]:
        assert times(column, pd.Series(cells)).astype(str).tolist() == [
            "2024-12-31T00:00:00.000000",
            "2024-02-01T00:00:00.000000",
        ]
    with pytest.raises(UserError, match="'1/2/2024'"):
        times(column, pd.Series(["1/2/2024"]))


def test_truths_are_read_from_numbers_and_other_words_too():
    column = Column("q", "boolean", levels=("no", "yes"))
    for cells in [[1, 0, 1], [1.0, 0.0, 1.0], ["1", "false", "TRUE"], ["Ja", "n", "Y "]]:
        found = level_words(column, pd.Series(cells))
        assert found.words == ["no", "yes"]
        np.testing.assert_array_equal(found.codes, [1, 0, 1])
