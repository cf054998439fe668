"""Text that is read by columns, and numbers told from bytes: as cell by cell, to the bit."""

import itertools
import random
import re

import numpy as np
import pandas as pd
import pytest

from ncd_jax.read import text_files
from ncd_jax.read.number_words import Evidence, plain_numbers
from ncd_jax.read.options import ReadOptions
from ncd_jax.read.raw import is_empty

REGULAR = {
    "plain": "a,b\n1,x\n2,y\n",
    "no break at the end": "a,b\n1,x\n2,y",
    "from Windows": "a,b\r\n1,x\r\n2,\r\n",
    "byte-order mark": "\ufeffa,b\n1,x\n2,y\n",
    "quotes": 'a,b\n"1","x"\n"2",y\n',
    "separators in cells": 'a,b\n1,"x, y"\n2,"p,q"\n',
    "breaks in cells": 'a,b\n1,"x\ny"\n2,"p\r\nq"\n3,z\n',
    "quotes in cells": 'a,b\n1,"say ""x"""\n2,""""\n3,"",\n'.replace('"",', '""'),
    "blank lines": "a,b\n\n1,x\n\n\n2,y\n\n3,z\n",
    "blank lines from Windows": "a,b\r\n\r\n1,x\r\n\r\n2,y\r\n",
    "blank lines and breaks": 'a,b\n\n1,"x\n\ny"\n\n2,"\n"\n3,z\n',
    "semicolons": "a;b\n1;x,1\n2;y\n",
    "tabs": "a\tb\n1\tx y\n2\t\n",
    "sep=": "sep=;\na;b\n1;x\n2;y\n",
    "a title": "Sales of May\na,b\n1,x\n2,y\n",
    "a byte-order mark and quotes": '\ufeff"a","b"\n"1","x"\n"2","y"\n',
    "signs of all lands": "a,b\nä,日本\n\u2028x,\x85\n",
    "empty cells": "a,b\n,\n1,\n,y\n",
    "names of rows": "b,c\nr1,1,2\nr2,3,4\n",
    "blanks behind": "a,b\n1 ,x  \n2\t,y\n",
}
IRREGULAR = {
    "blanks before": "a, b\n1, x\n2, y\n",
    "blanks before a quote": 'a,b\n1, "x,y"\n2,z\n',
    "a quote within a cell": 'a,b\n1,5" wide\n2,y\n',
    "a line of blanks": "a,b\n1,x\n   \n2,y\n",
    "bare carriage returns": "a,b\r1,x\r2,y\r",
    "one column": "a\n1\n\n2\n",
    "empty cells behind": "a,b\n1,x,\n2,y,,\n",
    "a NUL": "a,b\n1,x\0y\n2,z\n",
}
WRONG = {
    "too short": "a,b\n1,x\n2\n",
    "too long": "a,b\n1,x,3\n",
    "no end of a quote": 'a,b\n1,"x\n2,y\n',
    "signs behind a quote": 'a,b\n1,"x"y\n2,z\n',
    "a separator in a quote and signs behind": 'a,b\n"1,"x,y\n2,z\n',
}


def read(path):
    try:
        raw = text_files.read_text(path, lambda names: names, ReadOptions())
    except Exception as error:
        return type(error).__name__, str(error)
    return raw.frame.to_dict("list"), dict(raw.frame.dtypes), raw.lines.tolist(), raw.facts


def by_rows(*_):
    raise text_files.Irregular


@pytest.mark.parametrize("block", [1 << 24, 1, 7, 16])
@pytest.mark.parametrize("kind", [*REGULAR, *IRREGULAR, *WRONG])
def test_by_columns_is_as_by_rows(tmp_path, monkeypatch, kind, block):
    monkeypatch.setattr(text_files, "_BLOCK", block)
    path = tmp_path / ("t.tsv" if kind == "tabs" else "t.csv")
    path.write_bytes((REGULAR | IRREGULAR | WRONG)[kind].encode())
    found = []
    quick = text_files.read_regular

    def watched(*arguments):
        found.append(quick(*arguments))
        return found[-1]

    monkeypatch.setattr(text_files, "read_regular", watched)
    ours = read(path)
    if block > 100:
        assert bool(found) == (kind in REGULAR)
    monkeypatch.setattr(text_files, "read_regular", by_rows)
    assert ours == read(path)


WORDS = ["0", "7", "-7", "12", "007", "-0", "-07", "1.5", "-1.5", ".5", "5.", "-.5", "0.5", "00.5"]
WORDS += ["1.234", "12.345", "123.456", "1234.567", "0.123", "-0.123", "00.123", ".123", "-1.234"]
WORDS += ["1.2345", "1e5", "1E-05", "1.25e+10", "12e5", "12e-5", "1e0005", "1.5e400", "1e-400"]
WORDS += ["123456789012345", "1234567890123456", "-1234567890123456", "0.1234567890123456789"]
WORDS += [
    "1.2e5",
    "1.e5",
    "+3",
    "+1.5",
    "1-2",
    "2024-01-05",
    "e5",
    "-",
    ".",
    "1..2",
    "1.2.3",
    "--1",
]
WORDS += ["--1", "nan", "inf", "1,5", "1_000", "0x1F", "x", " 7", "7 ", "\u0663", "5.0", "1e5."]
WORDS += ["9" * 400]
GAPS = ["", "NA", " ", "?", "#DIV/0!"]


def columns():
    """Each word alone, beside each kind of number and gap, and drawn together at random."""
    yield from ([word] for word in WORDS + GAPS)
    beside = ["2.5", "1.234", "1e-7", "NA"]
    yield from ([word, other] for word, other in itertools.product(WORDS + GAPS, beside))
    rng = random.Random(0)
    usual = [word for word in WORDS if plain_by_patterns([word, "1.25"]) is not None]
    for _ in range(30):
        yield [rng.choice(usual + GAPS) for _ in range(rng.randint(2, 80))]


WRITTEN = re.compile(
    r"[+-]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9])(?:[eE][+-]?[0-9]{1,3})?|"
    r"[0-9]+(?:[eE][+-][0-9]{1,3})?)"
)
CODE = re.compile(r"[+-]?0[0-9]+|[0-9]{16,}")
SURELY_A_POINT = re.compile(r"\.[0-9]{0,2}$|\.[0-9]{4,}|[0-9]{4}\.|^[+-]?0?\.|[eE]")


def plain_by_patterns(words):
    """Values, gaps and evidence by the cells, one by one; nothing where words must say."""
    cells = pd.Series(words, dtype="str")
    empty = is_empty(cells.astype(object))
    filled = [word for word, e in zip(words, empty, strict=True) if not e]
    if not filled or not all(map(WRITTEN.fullmatch, filled)) or any(map(CODE.fullmatch, filled)):
        return None
    marked, whole = [w for w in filled if "." in w], [w for w in filled if "." not in w]
    point = sum(SURELY_A_POINT.search(word) is not None for word in marked)
    values = np.full(len(words), np.nan)
    values[~empty] = [*map(float, filled)]
    if (marked and not point) or np.isinf(values).any():
        return None
    gaps = {word: n for word, n in cells[empty].str.strip().value_counts().items() if word}
    longest = max(map(len, whole), default=0)
    said = Evidence(0, point, 0, 0, "", len(whole), len(filled), longest)
    return values, gaps, said


def test_numbers_by_bytes_are_those_by_patterns():
    told = {True: 0, False: 0}
    for words in columns():
        cells = pd.Series(words, dtype="str")
        ours, wanted = plain_numbers(cells), plain_by_patterns(words)
        assert (ours is None) == (wanted is None), words
        told[ours is None] += 1
        if ours is not None:
            np.testing.assert_array_equal(ours.values, wanted[0])
            np.testing.assert_array_equal(
                ours.values, [float(w or "nan") if is_number(w) else np.nan for w in words]
            )
            assert ours[1:] == wanted[1:], words
        np.testing.assert_array_equal(is_empty(cells), is_empty(cells.astype(object)))
    assert min(told.values()) > 100


def is_number(word):
    try:
        float(word)
    except ValueError:
        return False
    return True
