"""Whole kinds of tables: the same numbers, dates and words in every spelling and format.

Each table is compared with the one that its author had in mind, by what comes out in the end:
the encoded columns, to the bit, and the classes.
"""

import datetime
import functools
import itertools

import numpy as np
import pandas as pd
import pytest
from encoded_rows import read_rows
from reading_fixtures import (
    N,
    as_written,
    grouped,
    make_labels,
    make_values,
    typed_table,
    write_csv,
)
from tiers import few

from ncd_jax.data.own_table import read_table
from ncd_jax.errors import UserError
from ncd_jax.read.columns import Column
from ncd_jax.read.options import ReadOptions

OTHER = make_values(1)
LABELS = make_labels()
GAPS = ["", "NA", "n/a", "N/A", "-", "--", "?", "#DIV/0!", "#N/A", "None", "NULL", "nan", "unknown"]
GAPS += ["Missing", "not available", ".", "—", "k.A.", "nil", "<NA>"]
PLACES = {"first": [0], "last": [N - 1], "some": [3, 10, 11, 30], "many": range(5, 20)}

NUMBERS = {
    "plain": lambda v: f"{v}",
    "two digits": lambda v: f"{v:.2f}",
    "plus": lambda v: f"{v:+.2f}",
    "scientific": lambda v: f"{v:.10e}",
    "thousands": grouped,
    "thousands by spaces": lambda v: grouped(v, mark=" "),
    "thousands by narrow spaces": lambda v: grouped(v, mark="\u202f"),
    "Swiss": lambda v: grouped(v, mark="'"),
    "dollars": lambda v: f"${grouped(v)}" if v >= 0 else f"-${grouped(-v)}",
    "dollars inside": lambda v: f"${grouped(v)}",
    "codes of money": lambda v: f"USD {grouped(v)}",
    "pounds behind": lambda v: f"{grouped(v)} £",
    "accountant": lambda v: grouped(v) if v >= 0 else f"({grouped(-v)})",
    "minus sign": lambda v: f"{v:.2f}".replace("-", "\u2212"),
    "per cent": lambda v: f"{v}%",
    "per cent with a space": lambda v: f"{v} %",
    "kilograms": lambda v: f"{v} kg",
    "kilograms in any case": lambda v: f"{v} {('kg', 'Kg', 'KG')[int(abs(v)) % 3]}",
    "degrees": lambda v: f"{v}°C",
    "speed": lambda v: f"{v} km/h",
    "area": lambda v: f"{v} m²",
    "white space": lambda v: f"  {v}  ",
}
COMMA = {
    "comma": lambda v: f"{v:.2f}".replace(".", ","),
    "comma and points": lambda v: grouped(v, ",", "."),
    "comma and spaces": lambda v: grouped(v, ",", " "),
    "comma and no-break spaces": lambda v: grouped(v, ",", "\u00a0"),
    "euros": lambda v: f"{grouped(v, ',', '.')} €",
    "euros in front": lambda v: f"€ {grouped(v, ',', '.')}",
    "euros by code": lambda v: f"{grouped(v, ',', '.')} EUR",
    "comma per cent": lambda v: f"{v:.2f} %".replace(".", ","),
    "comma kilograms": lambda v: f"{v:.2f} kg".replace(".", ","),
    "comma scientific": lambda v: f"{v:.10e}".replace(".", ","),
}


def assert_same(table, wanted):
    """The same encoded columns and the same classes."""
    assert table.columns == wanted.columns
    np.testing.assert_array_equal(table.x, wanted.x)
    np.testing.assert_array_equal(table.y, wanted.y)
    assert table.classes == wanted.classes


def with_gaps(values, places):
    values = values.copy()
    values[list(places)] = np.nan
    return values


@functools.cache
def wanted_numbers(seeds, place):
    """What is to come out where each column has the values of its seed, and gaps at a place."""
    columns = {f"q{s}": with_gaps(make_values(s), PLACES[place]) for s in seeds}
    return read_table(pd.DataFrame({**columns, "other": OTHER, "y": LABELS}), "y")


@pytest.mark.parametrize("gap", few(GAPS, *GAPS[::12]))
def test_numbers_with_a_point(tmp_path, gap):
    """Forms x gaps, in turns of places and files: 22 x 14 columns."""
    kinds = [*itertools.product(["utf-8", "utf-16"], [",", "\t", ";"])]
    check_numbers(tmp_path, GAPS.index(gap), NUMBERS.values(), gap, ".", kinds)


@pytest.mark.parametrize("gap", few(GAPS, *GAPS[1::12]))
def test_numbers_with_a_comma(tmp_path, gap):
    """Forms x gaps, in turns of places and files: 10 x 14 columns."""
    kinds = [*itertools.product(["utf-8-sig", "cp1252"], [";", "\t"])]
    check_numbers(tmp_path, GAPS.index(gap), COMMA.values(), gap, ",", kinds)


FORMS = NUMBERS | COMMA


@pytest.mark.parametrize("form", few(FORMS, *[*FORMS][::2]))
def test_a_column_of_numbers_alone(tmp_path, form):
    """Where no other column shows how numbers are written."""
    turn = [*FORMS].index(form)
    decimal, separator = ("," if form in COMMA else "."), ";\t"[turn % 2]
    forms, gap = [FORMS[form]], GAPS[turn % len(GAPS)]
    check_numbers(tmp_path, turn, forms, gap, decimal, [("utf-8", separator)])


def check_numbers(folder, turn, forms, gap, decimal, kinds):
    """A table of a column for each form; gaps in turns meet all places and kinds of files."""
    place, (encoding, separator) = [*PLACES][turn % len(PLACES)], kinds[turn % len(kinds)]
    wanted = wanted_numbers(tuple(range(len(forms))), place)
    columns = {}
    for seed, form in enumerate(forms):
        cells = [form(v) for v in make_values(seed).tolist()]
        columns[f"q{seed}"] = [gap if i in PLACES[place] else c for i, c in enumerate(cells)]
    others = as_written(OTHER)
    columns |= {"other": [c.replace(".", decimal) for c in others], "y": as_written(LABELS)}
    try:
        path = write_csv(folder / "t.csv", columns, separator, encoding)
    except UnicodeEncodeError:
        path = write_csv(folder / "t.csv", columns, separator)
    table = read_table(path, "y")
    assert_same(table, wanted)
    assert table.notes == ()
    assert table.reading.facts["decimal mark"] == decimal
    for reading in table.reading.columns[: len(forms)]:
        assert reading.kind == "numbers"
        assert reading.filled == N - len(list(PLACES[place]))
        assert reading.empty + sum(n for _, n in reading.gaps) == N - reading.filled
    np.testing.assert_array_equal(read_rows(path, table.encoder).x, wanted.x)


DAYS = [datetime.datetime(2019, 1, 5) + datetime.timedelta(days=29 * i) for i in range(N)]
TIMES = [day + datetime.timedelta(minutes=437 * i) for i, day in enumerate(DAYS)]
DATES = {
    "%Y-%m-%d": (DAYS, ""),
    "%Y/%m/%d": (DAYS, ""),
    "%Y.%m.%d": (DAYS, ""),
    "%Y%m%d": (DAYS, ""),
    "%d.%m.%Y": (DAYS, "day first"),
    "%d/%m/%Y": (DAYS, "day first"),
    "%d-%m-%Y": (DAYS, "day first"),
    "%m/%d/%Y": (DAYS, "month first"),
    "%m-%d-%Y": (DAYS, "month first"),
    "%d.%m.%y": (DAYS, "day first"),
    "%m/%d/%y": (DAYS, "month first"),
    "%d %b %Y": (DAYS, ""),
    "%d-%b-%y": (DAYS, ""),
    "%B %d, %Y": (DAYS, ""),
    "%A, %d. %B %Y": (DAYS, ""),
    "%Y-%m-%d %H:%M": (TIMES, ""),
    "%Y-%m-%dT%H:%M:%S": (TIMES, ""),
    "%Y-%m-%dT%H:%M:%SZ": (TIMES, ""),
    "%Y-%m-%d %H:%M:%S.%f": (TIMES, ""),
    "%d.%m.%Y %H:%M": (TIMES, "day first"),
    "%m/%d/%Y %I:%M %p": (TIMES, "month first"),
    "%d/%m/%Y %H:%M:%S": (TIMES, "day first"),
}


DATE_GAPS = ["", "-", "unknown", "NA", "0000-00-00"]
DATE_PLACES = [2, 7, 40]


def days_of(i, form):
    """Those of a column, which is no other one again."""
    return DATES[form][0][i:] + DATES[form][0][:i]


@functools.cache
def wanted_dates(forms):
    typed = {
        f"q{i}": pd.Series(days_of(i, form)).drop(DATE_PLACES).reindex(range(N))
        for i, form in enumerate(forms)
    }
    return read_table(pd.DataFrame({**typed, "other": OTHER, "y": LABELS}), "y")


@pytest.mark.parametrize("order", ["", "day first", "month first"])
@pytest.mark.parametrize("gap", few(DATE_GAPS, "", "0000-00-00"))
def test_dates(tmp_path, order, gap):
    """Forms x gaps: 22 x 5 columns, those of a table with the same part first."""
    check_dates(tmp_path, [form for form in DATES if DATES[form][1] == order], gap)


@pytest.mark.parametrize("form", few(DATES, *[*DATES][::2]))
def test_a_column_of_dates_alone(tmp_path, form):
    check_dates(tmp_path, [form], "unknown")


def check_dates(folder, forms, gap):
    wanted, columns = wanted_dates(tuple(forms)), {}
    for i, form in enumerate(forms):
        cells = enumerate(day.strftime(form) for day in days_of(i, form))
        columns[f"q{i}"] = [gap if row in DATE_PLACES else cell for row, cell in cells]
    columns |= {"other": as_written(OTHER), "y": as_written(LABELS)}
    path = write_csv(folder / "t.csv", columns)
    table = read_table(path, "y")
    assert_same(table, wanted)
    for reading, form in zip(table.reading.columns, forms, strict=False):
        assert reading.kind == "dates"
        assert DATES[form][1] in reading.form
    np.testing.assert_array_equal(read_rows(path, table.encoder).x, wanted.x)


def test_dates_that_may_be_read_either_way_are_told(tmp_path):
    cells = [f"{1 + i % 9:02}/{1 + i % 7:02}/2024" for i in range(N)]
    columns = {"q": cells, "other": as_written(OTHER), "y": as_written(LABELS)}
    path = write_csv(tmp_path / "t.csv", columns)
    (note,) = read_table(path, "y").notes
    assert "--dates=q:dmy" in note
    day_first = read_table(path, "y", options=ReadOptions(dates=["q:dmy"]))
    assert day_first.notes == ()
    assert day_first.frame["q"][1] == pd.Timestamp(2024, 2, 2)
    assert day_first.frame["q"][7] == pd.Timestamp(2024, 1, 8)
    # A second column says how this table writes them.
    columns["seen"] = [f"{1 + i % 28:02}/{1 + i % 7:02}/2024" for i in range(N)]
    table = read_table(write_csv(tmp_path / "t.csv", columns), "y")
    assert table.frame["q"][7] == pd.Timestamp(2024, 1, 8)


PAIRS = [("yes", "no"), ("Y", "N"), ("true", "false"), ("T", "F"), ("ja", "nein"), ("J", "N")]
PAIRS += [("oui", "non"), ("si", "no"), ("on", "off"), ("wahr", "falsch"), ("vrai", "faux")]


CASES = {"lower": str.lower, "upper": str.upper, "capital": str.capitalize}


@pytest.mark.parametrize("gap", few(["", "unknown", "-", "n/a", "?"], "-"))
@pytest.mark.parametrize("case", [*CASES, "any"])
def test_yes_and_no(tmp_path, case, gap):
    """Pairs x cases x gaps: 11 x 4 x 5 columns."""
    check_yes_and_no(tmp_path, PAIRS, case, gap)


@pytest.mark.parametrize("pair", few(PAIRS, *PAIRS[::3]))
def test_a_column_of_yes_and_no_alone(tmp_path, pair):
    check_yes_and_no(tmp_path, [pair], "any", "unknown")


def check_yes_and_no(folder, pairs, case, gap):
    columns, typed = {}, {}
    for i, pair in enumerate(pairs):
        rng = np.random.default_rng(i)
        answer, upper = rng.random(N) < 0.4, rng.random(N) < 0.5
        typed[f"q{i:02}"] = pd.array(answer, "boolean")
        typed[f"q{i:02}"][5:9] = pd.NA
        words = [pair[0] if a else pair[1] for a in answer]
        cells = [f"{w.upper()} " if up else w.lower() for w, up in zip(words, upper, strict=True)]
        cells = cells if case == "any" else [CASES[case](w) for w in words]
        columns[f"q{i:02}"] = [*cells[:5], *[gap] * 4, *cells[9:]]
    wanted = read_table(pd.DataFrame({**typed, "other": OTHER, "y": LABELS}), "y")
    columns |= {"other": as_written(OTHER), "y": as_written(LABELS)}
    table = read_table(write_csv(folder / "t.csv", columns), "y")
    np.testing.assert_array_equal(table.x, wanted.x)
    codes = {code.column.name: code for code in table.encoder.codes}
    for i, (pair, reading) in enumerate(zip(pairs, table.reading.columns, strict=False)):
        assert reading.kind == "yes/no"
        assert codes[f"q{i:02}"].words == (pair[1].lower(), pair[0].lower())


SENTINELS = [-999, -99, -9999, 999, 9999, 99999, -888, 1e20]


SENTINEL_PLACES = [(4, 40), range(10, 16), range(0, N, 3)]


@pytest.mark.parametrize("places", few(SENTINEL_PLACES, *SENTINEL_PLACES[::2]), ids=len)
@pytest.mark.parametrize("kind", ["text", "comma", "numbers", "whole"])
def test_numbers_that_stand_for_a_gap(tmp_path, places, kind):
    """Sentinels x how they are stored x how many there are: 8 x 4 x 3 columns."""
    columns, typed = {}, {}
    for i, sentinel in enumerate(SENTINELS):
        values = np.random.default_rng(i).normal(20, 5, N).round(0 if kind == "whole" else 2)
        typed[f"q{i}"] = with_gaps(values, places)
        values[list(places)] = sentinel
        columns[f"q{i}"] = values.astype(int) if kind == "whole" and sentinel < 1e9 else values
    others = {"other": OTHER, "y": LABELS}
    wanted = read_table(pd.DataFrame({**typed, **others}), "y")
    source = pd.DataFrame({**columns, **others})
    if kind in ("text", "comma"):
        cells = {name: [f"{v:g}" for v in values] for name, values in columns.items()}
        cells["other"] = as_written(OTHER)
        if kind == "comma":
            cells = {name: [c.replace(".", ",") for c in cells[name]] for name in cells}
        source = write_csv(tmp_path / "t.csv", cells | {"y": as_written(LABELS)}, ";")
    table = read_table(source, "y")
    assert_same(table, wanted)
    assert sum("far off" in note for note in table.notes) == len(SENTINELS)
    kept = read_table(source, "y", options=ReadOptions(numbers=[*columns]))
    assert not any("far off" in note for note in kept.notes)
    assert not kept.frame[[*columns]].isna().any(axis=None)


def test_numbers_that_could_be_a_gap_are_none_where_they_fit():
    for values in [
        np.random.default_rng(0).normal(0, 800, N).round(),  # -999 is one like others
        np.append(np.arange(N - 1) * 1.5, 999),  # once
        np.where(np.arange(N) % 3, -1.0, np.arange(N)),
    ]:
        values[:2] = [-999, -999] if values[0] < 0 or abs(values).max() > 1500 else values[:2]
        assert read_table(typed_table(values, OTHER, LABELS), "y").notes == ()


def test_a_lone_mark_in_words_is_a_gap_and_words_are_levels(tmp_path):
    levels = ["red", "green", "none", "unknown"] * 12
    levels[2:4] = levels[3:1:-1]  # else one of them would be that of all unlabelled rows
    columns = {"q": levels, "other": as_written(OTHER), "y": as_written(LABELS)}
    table = read_table(write_csv(tmp_path / "t.csv", columns), "y")
    assert table.encoder.names[-4:] == ("q=green", "q=none", "q=red", "q=unknown")
    assert "'unknown'" in table.reading.columns[0].remark
    for gap in ["-", "—", "..."]:
        cells = [gap if level == "none" else level for level in levels]
        table = read_table(write_csv(tmp_path / "t.csv", columns | {"q": cells}), "y")
        assert table.encoder.names[-4:] == ("q=green", "q=red", "q=unknown", "q=(missing)")
    # Beside a plus it is an answer.
    cells = ["+" if level == "red" else "-" for level in levels]
    table = read_table(write_csv(tmp_path / "t.csv", columns | {"q": cells}), "y")
    assert table.encoder.names[-2:] == ("q=+", "q=-")
    said = read_table(
        write_csv(tmp_path / "t.csv", columns), "y", options=ReadOptions(missing=["none"])
    )
    assert said.encoder.names[-4:] == ("q=green", "q=red", "q=unknown", "q=(missing)")


CODES = {
    "hexadecimal": ["47e580", "12e731", "9a11", "88e8", "00f3", "1e9"],
    "versions": ["1.1", "1.10", "1.2.3", "2.0.1", "1.1.0", "2.0"],
    "zip": ["01067", "04109", "10115", "20095", "80331", "99084"],
    "article": ["00017", "00018", "17", "170", "00170", "1700"],
    "parts": ["12a", "12b", "13a", "13c", "14a", "14b"],
    "long": ["9007199254740993", "9007199254740992", "9007199254740994", "9007199254741993"],
    "mixed": ["A1", "a1", "B1", "b1", "1B", "1b"],
}


@pytest.mark.parametrize("kind", CODES)
def test_codes_stay_as_written(tmp_path, kind):
    levels = CODES[kind]
    cells = [levels[i * 7 // 5 % len(levels)] for i in range(N)]
    columns = {"q": cells, "other": as_written(OTHER), "y": as_written(LABELS)}
    paths = [write_csv(tmp_path / "t.csv", columns)]
    frame = pd.DataFrame(columns)
    frame["other"] = OTHER
    for path, write in [("t.xlsx", "to_excel"), ("t.parquet", "to_parquet")]:
        getattr(frame, write)(tmp_path / path, index=False)
        paths.append(tmp_path / path)
    wanted = read_table(frame, "y")
    for source in [*paths, None]:
        table = wanted if source is None else read_table(source, "y")
        (code,) = (c for c in table.encoder.codes if c.column.name == "q")
        assert code.words == tuple(sorted(levels))
        np.testing.assert_array_equal(table.x, wanted.x)


def test_thousands_are_told_from_fractions_by_the_whole_table(tmp_path):
    people = [f"{v:,.0f}".replace(",", ".") for v in (abs(OTHER) + 1) * 7]
    comma = [f"{v:.3f}".replace(".", ",") for v in OTHER]
    german = {"people": people, "other": comma, "y": as_written(LABELS)}
    table = read_table(write_csv(tmp_path / "t.csv", german, ";"), "y")
    expected = np.round((abs(OTHER) + 1) * 7)
    np.testing.assert_array_equal(table.frame["people"], expected)
    np.testing.assert_array_equal(table.frame["other"], OTHER)
    # Nothing else says what the mark is, but it stands just where numbers reach a thousand.
    alone = {"people": people, "k": ["u", "v"] * 24, "y": as_written(LABELS)}
    path = write_csv(tmp_path / "t.csv", alone, ";")
    table = read_table(path, "y")
    np.testing.assert_array_equal(table.frame["people"], expected)
    assert "--decimal=." in table.notes[0]
    forced = read_table(path, "y", options=ReadOptions(decimal="point"))
    assert forced.frame["people"].max() < 1000
    english = {"people": [p.replace(".", ",") for p in people], "y": as_written(LABELS)}
    table = read_table(write_csv(tmp_path / "t.csv", english), "y")
    np.testing.assert_array_equal(table.frame["people"], expected)


def test_odd_cells_have_their_line_in_the_file(tmp_path):
    cells = as_written(make_values(3))
    cells[20] = "see note"
    text = "q,y\n\n" + "".join(f"{c},{y}\n" for c, y in zip(cells, as_written(LABELS), strict=True))
    path = tmp_path / "t.csv"
    path.write_text(text)
    table = read_table(path, "y")
    assert "'see note' (line 23)" in table.notes[0]
    (odd,) = table.reading.columns[0].odd
    assert (odd.row, odd.where) == (20, "line 23")
    (column,) = (c.column for c in table.encoder.codes if c.column.name == "q")
    assert column == Column("q", "numeric", ".", gaps=("see note",))


def test_rows_without_a_cell_are_left_out_and_the_others_keep_their_numbers(tmp_path):
    columns = {"q": as_written(make_values(4)), "k": ["u", "v"] * 24, "y": as_written(LABELS)}
    wanted = read_table(write_csv(tmp_path / "t.csv", columns), "y")
    places = [0, 7, 8, N + 3]
    for blank in ["", " ", "NA"]:
        spread = {name: list(cells) for name, cells in columns.items()}
        for place in places:
            for cells in spread.values():
                cells.insert(place, blank)
        spread["y"] = ["" if cell.strip() in ("", "NA") else cell for cell in spread["y"]]
        table = read_table(write_csv(tmp_path / "t.csv", spread), "y")
        assert_same(table, wanted)
        assert table.row_numbers.tolist() == [i for i in range(N + 4) if i not in places]
        assert "4 rows without any cell left out: line 2, line 9, line 10" in table.notes[0]


def test_columns_that_tell_the_label_are_told_of_from_everywhere(tmp_path):
    rng = np.random.default_rng(0)
    y = np.array(LABELS, object)
    tales = {
        "words": [{"a": "alpha", "b": "beta", "c": "gamma", None: "unknown"}[c] for c in y],
        "codes": [{"a": 3, "b": 1, "c": 2, None: rng.integers(1, 4)}[c] for c in y],
        "flag": ["open" if c is None else rng.choice(["shut", "sold"]) for c in y],
        "filled": [None if c is None else rng.normal() for c in y],
        "order": np.argsort(np.argsort([str(c) for c in y], kind="stable")) * 3 + 10,
    }
    for name, cells in tales.items():
        frame = pd.DataFrame({"q": make_values(5), name: cells, "y": y})
        # What says who is unlabelled is left out, and so is the order of rows sorted by class,
        # those without one last.
        remedy = f"--drop={name}" if name == "codes" else f"--use={name}"
        (note,) = read_table(frame, "y").notes
        assert remedy in note
        frame.to_csv(tmp_path / "t.csv", index=False)
        (note,) = read_table(tmp_path / "t.csv", "y").notes
        assert remedy in note
    innocent = pd.DataFrame({"q": make_values(5), "k": rng.choice(["u", "v"], N), "y": y})
    assert read_table(innocent, "y").notes == ()


def test_units_that_people_mix_are_converted_and_others_are_told(tmp_path):
    values = abs(make_values(6)) + 1
    wanted = read_table(typed_table(values, OTHER, LABELS), "y")
    other = {"other": as_written(OTHER), "y": as_written(LABELS)}
    for small, large, factor in [("g", "kg", 1000), ("MB", "GB", 1000), ("min", "h", 60)]:
        cells = [f"{v:.6f} {large}" for v in values.tolist()]
        cells[::3] = [f"{v * factor:.6f} {small}" for v in values[::3].tolist()]
        table = read_table(write_csv(tmp_path / "t.csv", {"q": cells, **other}), "y")
        np.testing.assert_allclose(table.x, wanted.x, rtol=1e-5, atol=1e-6)
        assert "other units converted" in table.reading.columns[0].form
    cells = [f"{v:.2f}k" if i % 2 else f"{1000 * v:.0f}" for i, v in enumerate(values.tolist())]
    table = read_table(write_csv(tmp_path / "t.csv", {"q": cells, **other}), "y")
    np.testing.assert_allclose(table.frame["q"], 1000 * values)
    cells = [f"{v} kg" if i % 2 else f"{v} $" for i, v in enumerate(values.tolist())]
    table = read_table(write_csv(tmp_path / "t.csv", {"q": cells, **other}), "y")
    assert "several units" in table.notes[0]


def test_limits_are_numbers_where_they_are_few(tmp_path):
    cells = [f"{abs(v) + 1}" for v in make_values(7).tolist()]
    cells[::6] = ["<0.1", "< 0.1", "~3", ">=5000", "≤2", "<0.1", "<0.1", "<0.1"]
    columns = {"q": cells, "other": as_written(OTHER), "y": as_written(LABELS)}
    table = read_table(write_csv(tmp_path / "t.csv", columns), "y")
    assert table.reading.columns[0].form == "limits as numbers"
    assert table.frame["q"][[0, 6, 12, 18, 24]].tolist() == [0.1, 0.1, 3, 5000, 2]
    columns["q"] = ["<18" if i % 2 else ">65" for i in range(N)]
    table = read_table(write_csv(tmp_path / "t.csv", columns), "y")
    assert table.encoder.names[-2:] == ("q=<18", "q=>65")


def test_what_is_wrong_in_all_columns_is_told_with_its_lines(tmp_path):
    odd = [f"{v}" if i % 3 else f"about {i}" for i, v in enumerate(make_values(8).tolist())]
    columns = {"q": odd, "other": as_written(OTHER), "r": odd[::-1], "y": as_written(LABELS)}
    path = write_csv(tmp_path / "t.csv", columns)
    with pytest.raises(UserError) as caught:
        read_table(path, "y", unlabelled="none of them")
    message = str(caught.value)
    assert "\n" not in message
    for part in ["'q' has 16 cells", "'about 3' (line 5)", "'r' has 16 cells", "no cell 'none of"]:
        assert part in message
    for options in [
        ReadOptions(drop=["q", "r"]),
        ReadOptions(missing=[c for c in odd if "about" in c]),
    ]:
        assert read_table(path, "y", options=options).notes == ()
    kept = read_table(path, "y", options=ReadOptions(numbers=["q"], categories=["r"]))
    assert [c.column.kind for c in kept.encoder.codes] == ["numeric", "numeric", "category"]


@pytest.mark.parametrize(
    ("word", "is_class"),
    [("unknown", False), ("?", False), ("Unlabelled", False), ("NA", True), ("none", True)],
)
def test_labels_that_say_there_is_none(tmp_path, word, is_class):
    labels = [word if label is None else label for label in LABELS]
    labels[3] = ""
    path = write_csv(tmp_path / "t.csv", {"q": as_written(OTHER), "y": labels})
    table = read_table(path, "y")
    assert (word in table.classes) == is_class
    assert f"'{word}' is taken for" in table.notes[0]
    assert word in read_table(path, "y", unlabelled="").classes
    said = read_table(path, "y", unlabelled=word)
    assert word not in said.classes
    assert said.notes == ()
    assert (said.y < 0).sum() == N // 4


def test_spellings_of_a_class_are_one_and_told_of(tmp_path):
    def read(names):
        labels = [
            "" if c is None else names[c][i // 4 % len(names[c])] for i, c in enumerate(LABELS)
        ]
        return read_table(write_csv(tmp_path / "t.csv", {"q": as_written(OTHER), "y": labels}), "y")

    table = read({"a": ["Basic", " basic", "Basic", "BASIC "] * 2, "b": ["A"], "c": ["a"]})
    assert table.classes == ("A", "Basic", "a")
    assert "'BASIC', 'basic' for 'Basic'" in table.notes[0]
    table = read({"a": ["1", "1.0"], "b": ["2.0"], "c": ["3.0", "3"]})
    assert (table.classes, table.notes) == (("1", "2.0", "3"), ())


@pytest.mark.parametrize("word", ["TBD", "nan", "-", "N/A", "to be checked", "Unassigned", "-1"])
def test_words_mean_unlabelled_where_no_cell_is_empty(tmp_path, word):
    names = {"a": "0", "b": "1", "c": "2", None: word}
    labels = [names[label] for label in LABELS]
    columns = {"q": as_written(OTHER), "y": labels}
    table = read_table(write_csv(tmp_path / "t.csv", columns), "y")
    assert table.classes == ("0", "1", "2")
    assert f"so '{word}' is taken for unlabelled" in table.notes[0]
    columns["y"] = ["" if i == 5 else label for i, label in enumerate(labels)]
    assert word in read_table(write_csv(tmp_path / "t.csv", columns), "y").classes
    columns["y"] = ["other" if label == word else label for label in labels]
    with pytest.raises(UserError, match=r"filled on every row \(0 12, 1 12, 2 12, other 12\)"):
        read_table(write_csv(tmp_path / "t.csv", columns), "y")


def test_ids_and_kept_columns_are_copied_and_ids_are_no_features(tmp_path):
    ids = [f"{i:05}" for i in range(N)]
    columns = {"nr": ids, "q": as_written(OTHER), "k": ["u", "v"] * 24, "y": as_written(LABELS)}
    path = write_csv(tmp_path / "t.csv", columns)
    table = read_table(path, "y", options=ReadOptions(id="nr", keep=["k", "y"]))
    assert list(table.copied) == ["nr", "k", "y"]
    assert table.copied["nr"].tolist() == ids
    assert table.encoder.columns == ("k", "q")
    assert [r.kind for r in table.reading.columns] == ["id", "numbers", "categories", "label"]
    new = read_rows(path, table.encoder, ReadOptions(keep=["nr"]))
    assert new.copied["nr"].tolist() == ids
