"""Rows that are no rows: many members of each kind, and tables in which nothing may be found."""

import numpy as np
import pandas as pd
import pytest
from reading_fixtures import grouped
from tiers import few

from ncd_jax.data.own_table import read_table
from ncd_jax.read.false_rows import without_false_rows
from ncd_jax.read.raw import RawTable

SUMS = {
    "sum": ["Total", "Gesamt:", "Summe", "TOTAL", "Grand Total", "Sum", ""],
    "mean": ["Average", "Mittelwert", "avg.", "Mean:", ""],
    "count": ["Count", "Anzahl", "n"],
}


def plain_table(rng, n=None):
    """A table as people have it: measurements, whole numbers, amounts, words, an id."""
    n = n or int(rng.integers(25, 400))
    columns = {"item": [f"A-{i:04}" for i in range(n)]}
    for i in range(int(rng.integers(2, 7))):
        kind = rng.integers(0, 4)
        if kind == 0:
            values = np.round(rng.normal(rng.normal(0, 3), rng.uniform(0.5, 5), n), 2)
        elif kind == 1:
            values = rng.poisson(rng.uniform(1, 60), n)
        elif kind == 2:
            values = np.round(rng.lognormal(3, 1.2, n), int(rng.integers(0, 3)))
        else:
            values = rng.integers(0, 2, n)
        columns[f"v{i}"] = values
    if rng.integers(0, 2):
        columns["colour"] = rng.choice(["red", "green", "blue"], n)
    columns["kind"] = rng.choice(["a", "b", "c", ""], n)
    return pd.DataFrame(columns)


def summed(rng, frame, kind, word, partial, label):
    """A row that sums up the numbers of a frame; `label` where its label is not empty."""
    row = dict.fromkeys(frame.columns, "")
    row["item"] = word
    row["kind"] = label
    figures = [name for name in frame if name[0] == "v"]
    keep = rng.permutation(figures)[: max(len(figures) - partial, 2)]
    for name in keep:
        value = {"sum": frame[name].sum(), "mean": frame[name].mean(), "count": len(frame)}[kind]
        row[name] = f"{value:.0f}" if kind == "count" else f"{value:.2f}"
    return row


def raw_of(frame):
    """As a file has it: text, and lines from the second on."""
    return RawTable(frame.astype(str).astype("str"), np.arange(2, len(frame) + 2))


def found_in(frame):
    raw = raw_of(frame)
    out = without_false_rows(raw, [name for name in frame if name != "kind"], "kind")
    gone = sorted(set(range(len(frame))) - set(range(len(frame)) if out.rows is None else out.rows))
    return gone, out.notes


@pytest.mark.parametrize("kind", SUMS)
@pytest.mark.parametrize("seed", few(range(12), 0, 1, 4))
def test_rows_that_sum_up_others_are_named_and_left_out(kind, seed):
    rng = np.random.default_rng(seed)
    words = SUMS[kind]
    frame = plain_table(rng)
    row = summed(rng, frame, kind, words[seed % len(words)], seed % 2, ("", "", "x")[seed % 3])
    gone, notes = found_in(pd.concat([frame, pd.DataFrame([row])], ignore_index=True))
    assert gone == [len(frame)]
    assert len(notes) == 1
    assert f"line {len(frame) + 2} is the {kind} of the others" in notes[0]


@pytest.mark.parametrize("seed", few(range(12), 0, 1, 5))
def test_several_of_them_below_one_another(seed):
    rng = np.random.default_rng(seed)
    frame = plain_table(rng)
    kinds = rng.permutation(list(SUMS))[: 2 + seed % 2]
    named = seed % 3
    rows = [summed(rng, frame, kind, SUMS[kind][0] * bool(named), 0, "") for kind in kinds]
    gone, notes = found_in(pd.concat([frame, pd.DataFrame(rows)], ignore_index=True))
    assert gone == list(range(len(frame), len(frame) + len(rows)))
    assert len(notes) == 1


@pytest.mark.parametrize("mark", [",", "."])
def test_sums_are_written_with_thousands(mark):
    frame = plain_table(np.random.default_rng(5), 200)
    frame["v0"] = np.round(np.random.default_rng(1).normal(900, 80, 200), 2)
    frame["v1"] = np.random.default_rng(2).integers(10, 90, 200)
    frame = frame[["item", "v0", "v1", "kind"]]
    other = {",": ".", ".": ","}[mark]
    texts = frame.assign(v0=[f"{v:.2f}".replace(".", mark) for v in frame["v0"]]).astype(object)
    total = [
        "Total",
        grouped(frame["v0"].sum(), mark, other),
        grouped(frame["v1"].sum(), mark, other, 0),
    ]
    texts.loc[len(texts)] = [*total, ""]
    assert found_in(texts)[0] == [200]


def test_sums_of_groups_between_the_rows():
    rng = np.random.default_rng(0)
    frame = plain_table(rng, 90)
    parts = []
    for start in (0, 30, 60):
        part = frame.iloc[start : start + 30]
        parts += [part, pd.DataFrame([summed(rng, part, "sum", "Subtotal", 0, "")])]
    parts += [pd.DataFrame([summed(rng, frame, "sum", "Total", 0, "")])]
    gone, _ = found_in(pd.concat(parts, ignore_index=True))
    assert gone == [30, 61, 92, 93]


@pytest.mark.parametrize("seed", few(range(10), 0, 1, 2))
def test_headers_in_between(seed):
    rng = np.random.default_rng(seed)
    frame = plain_table(rng)
    at = sorted(rng.integers(1, len(frame), 1 + seed % 3))
    header = pd.DataFrame([dict(zip(frame, frame, strict=True))])
    parts = np.split(np.arange(len(frame)), at)
    pieces = [frame.iloc[parts[0]]]
    for part in parts[1:]:
        pieces += [header, frame.iloc[part]]
    gone, notes = found_in(pd.concat(pieces, ignore_index=True))
    assert gone == [place + i for i, place in enumerate(at)]
    assert len(notes) == 1
    assert "header" in notes[0]


@pytest.mark.parametrize("seed", few(range(10), 0, 1))
@pytest.mark.parametrize("brackets", ["{}", "[{}]", "({})"])
def test_a_row_of_units(seed, brackets):
    rng = np.random.default_rng(seed)
    frame = plain_table(rng)
    units = rng.choice(["mm", "kg", "%", "°C", "mg/dL", "€", "km/h", "m s-1", "years"], len(frame))
    row = dict(zip(frame, [brackets.format(u) for u in units[: len(frame.columns)]], strict=True))
    row |= {"item": "-", "kind": ("-", "", "text")[seed % 3]}
    gone, notes = found_in(pd.concat([pd.DataFrame([row]), frame], ignore_index=True))
    assert gone == [0]
    assert len(notes) == 1
    assert "line 2 holds units" in notes[0]


@pytest.mark.parametrize("seed", few(range(100), *range(24)))
def test_ordinary_rows_are_left_alone(seed):
    rng = np.random.default_rng(1000 + seed)
    frame = plain_table(rng)
    if seed % 2:  # names that sound like sums, a gap at the end, copies of a column
        frame.loc[rng.integers(0, len(frame), 3), "item"] = ["Total", "Max", "Mean"]
        frame.loc[len(frame) - 1, "item"] = ("Max", "")[seed % 4 // 2]
        frame["v9"] = frame["v0"] * 2.54
    assert found_in(frame) == ([], ())


def test_a_table_of_everything_at_once(tmp_path):
    rng = np.random.default_rng(4)
    frame = plain_table(rng, 60)
    header = dict(zip(frame, frame, strict=True))
    units = dict.fromkeys(frame, "mm") | {"item": "-", "kind": "-"}
    total = summed(rng, frame, "sum", "Total", 0, "")
    rows = [pd.DataFrame([units]), frame.iloc[:20], pd.DataFrame([header]), frame.iloc[20:]]
    pd.concat([*rows, pd.DataFrame([total])]).to_csv(tmp_path / "all.csv", index=False)
    frame.to_csv(tmp_path / "plain.csv", index=False)
    table, plain = (read_table(tmp_path / name, "kind") for name in ("all.csv", "plain.csv"))
    np.testing.assert_array_equal(table.x, plain.x)
    assert table.classes == plain.classes == ("a", "b", "c")
    for note, said in zip(
        table.notes, ("line 23 is the", "line 2 holds", "line 64 is"), strict=False
    ):
        assert said in note
    np.testing.assert_array_equal(table.row_numbers, [*range(1, 21), *range(22, 62)])
