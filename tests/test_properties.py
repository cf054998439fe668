"""What holds of any input: properties, tried on examples that Hypothesis makes up and makes small.

Few examples in `make test`, the same every time; many more under `--thorough`.
"""

import csv
import dataclasses
import datetime
import functools
import io
import itertools
import json
import string

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from ncd_jax.clustering.kmeans import kmeans
from ncd_jax.clustering.matching import count_pairs, match_clusters
from ncd_jax.config import default_config, parse
from ncd_jax.discovery.evaluate import accuracy_by_confidence
from ncd_jax.discovery.model import shares
from ncd_jax.errors import printable, without_password
from ncd_jax.judge.confidence import confidence
from ncd_jax.judge.merges import merges
from ncd_jax.judge.number import number_probability, surest, with_most
from ncd_jax.read.cells import numbers, times
from ncd_jax.read.columns import Column
from ncd_jax.read.files import read_raw
from ncd_jax.read.gaps import MARKS
from ncd_jax.read.options import ReadOptions
from ncd_jax.read.raw import is_empty
from ncd_jax.read.words import as_text, words_of
from ncd_jax.scoring import score
from ncd_jax.store.answers import read_answers
from ncd_jax.store.frames import frame_of, frame_parts
from ncd_jax.store.records import Assignments, read_assignments, write_assignments
from ncd_jax.store.workdir import Workdir, as_it_was, digest_of, harmless

HOSTILE = "'=\t\r\n -+1a\ufeff@\x0b,;\"\uff1d\u2028\u200b|é日"
TEXTS = st.text(HOSTILE + string.ascii_letters, max_size=7)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SHARES = st.floats(0, 1)


@given(st.lists(FINITE, min_size=1, max_size=30))
def test_numbers_come_back_to_the_bit(values):
    """As Python, NumPy and pandas write them, and with a comma."""
    cells = [repr(value) for value in values]
    for decimal in (".", ","):
        column = Column("q", "numeric", decimal)
        texts = pd.Series([cell.replace(".", decimal) for cell in cells], dtype="str")
        np.testing.assert_array_equal(numbers(column, texts), values)
    text = io.StringIO(pd.DataFrame({"q": values}).to_csv(index=False))
    written = pd.Series([line[0] for line in csv.reader(text)][1:], dtype="str")
    np.testing.assert_array_equal(numbers(Column("q", "numeric", "."), written), values)


@given(st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=30))
def test_whole_numbers_come_back_with_thousands_parted(values):
    cells = pd.Series([f"{value:,}" for value in values], dtype="str")
    np.testing.assert_array_equal(numbers(Column("q", "numeric", "."), cells), values)


MOMENTS = st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2250, 1, 1))


@given(st.lists(MOMENTS, min_size=1, max_size=20), st.sampled_from(["T", " "]))
def test_times_come_back_to_the_microsecond(moments, between):
    cells = pd.Series([moment.isoformat(between) for moment in moments], dtype="str")
    expected = np.array(moments, "datetime64[us]")
    np.testing.assert_array_equal(times(Column("q", "date"), cells), expected)


@given(st.lists(MOMENTS, min_size=1, max_size=20), st.sampled_from(["dmy", "mdy"]))
def test_days_come_back_whatever_is_first(moments, order):
    form = {"dmy": "%d.%m.%Y", "mdy": "%m/%d/%Y"}[order]
    cells = pd.Series([moment.strftime(form) for moment in moments], dtype="str")
    expected = np.array(moments, "datetime64[D]")
    np.testing.assert_array_equal(times(Column("q", "date", order=order), cells), expected)


@given(st.lists(TEXTS, min_size=1, max_size=20))
def test_words_and_codes_say_what_the_cells_said(cells):
    found = words_of(pd.Series(cells, dtype="str"))
    kept = [cell.strip() for cell in cells]
    said = [found.words[code] if code >= 0 else "" for code in found.codes.tolist()]
    assert [word or "" for word in said] == kept


@given(st.lists(st.one_of(TEXTS, st.none(), st.sampled_from(sorted(MARKS))), min_size=1))
def test_the_same_cells_are_empty_however_they_are_held(cells):
    """As text of Arrow's and as objects, which are asked one by one."""
    one_by_one = is_empty(pd.Series(cells, dtype=object))
    np.testing.assert_array_equal(is_empty(pd.Series(cells, dtype="str")), one_by_one)


@given(
    st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=12),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_quoted_cells_come_back(tmp_path_factory, rows, separator, encoding):
    """Whatever they hold: separators, quotes, breaks; quoted as Python's own writer does."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\n")
    lines.writerows([("a", "b", "c"), *rows])
    path = tmp_path_factory.mktemp("quoted") / "t.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    found = read_raw(path, options=ReadOptions(encoding=encoding)).frame
    assert found.to_numpy().tolist() == [list(row) for row in rows]


@given(st.text(HOSTILE, max_size=9))
def test_the_guard_against_formulas_is_undone(cell):
    guarded = harmless(cell)
    assert as_it_was(guarded) == cell
    assert harmless(guarded) == guarded or as_it_was(harmless(guarded)) == guarded


# By their numbers: to know the categories of all takes Hypothesis seconds.
SIGNS = st.one_of(
    st.integers(0, 0x2FF), st.integers(0x2000, 0x20FF), st.integers(0xE000, 0x10FFFF)
).map(chr)


@given(st.lists(SIGNS, max_size=40).map("".join))
def test_what_is_printed_is_printable_and_stays_so(text):
    assert printable(printable(text)) == printable(text)
    for hidden in (without_password(text), printable(without_password(text))):
        assert without_password(hidden) == hidden


NAMES = TEXTS.filter(lambda name: bool(name.strip()))


@given(st.lists(st.tuples(NAMES, SHARES, TEXTS), min_size=1, max_size=10))
def test_assignments_come_back(tmp_path_factory, said):
    labels, sure, kept = zip(*said, strict=True)
    n, workdir = len(said), Workdir(tmp_path_factory.mktemp("assigned"))
    copied = pd.DataFrame({"kept": pd.Series(kept, dtype="str")})
    answer = Assignments(np.arange(n), labels, np.array(sure), labels, np.array(sure), copied)
    write_assignments(workdir, "assignments.csv", answer)
    header, lines = read_assignments(workdir)
    assert header[:3] == ["row", "kept", "label"]
    found = [(line[1], line[2], line[4]) for line in lines]
    assert found == [(as_text(cell), name, name) for name, _, cell in said]


@given(st.dictionaries(st.integers(0, 10**6), NAMES.map(str.strip).filter(bool), max_size=8))
def test_labels_of_a_person_come_back(tmp_path_factory, labels):
    workdir = Workdir(tmp_path_factory.mktemp("answers"))
    breaks = str.maketrans("", "", "\r\n\x0b\u2028")
    labels = {row: name for row, name in labels.items() if name == name.translate(breaks)}
    workdir.write_csv("labels.csv", ("row", "label"), sorted(labels.items()))
    assert read_answers(workdir.path("labels.csv")).labels == labels


@given(
    st.lists(st.tuples(FINITE, TEXTS, st.booleans(), MOMENTS), min_size=1, max_size=8),
    st.sets(st.integers(0, 7)),
)
def test_frames_come_back_from_arrays_and_json(rows, gaps):
    frame = pd.DataFrame(rows, columns=["number", "word", "truth", "time"])
    frame["word"] = frame["word"].mask(frame.index.isin(gaps))
    frame["level"] = frame["word"].astype("category")
    parts, facts = frame_parts(frame)
    again = frame_of(parts, json.loads(json.dumps(facts)))
    one, other = (
        f.astype(object).where(f.notna(), None).to_numpy().tolist() for f in (again, frame)
    )
    assert one == other
    assert again["level"].dtype == "category"


@given(
    st.dictionaries(
        st.sampled_from(["search.folds", "search.candidates", "train.epochs", "k.max", "seed"]),
        st.integers(2, 1000),
    ),
    st.sampled_from(["auto", "ncd", "gcd"]),
    st.one_of(st.none(), st.integers(1, 1000)),
)
def test_a_configuration_comes_back(values, setting, n_novel):
    config = default_config()
    config.setting, config.k.n_novel = setting, n_novel
    with config.unlocked():
        config.update_from_flattened_dict(values)
    parsed = parse(config)
    again = default_config()
    told = dataclasses.asdict(parsed)
    again.update({name: value for name, value in told.items() if name != "hparams"})
    assert parse(again) == parsed
    run = {"config": told, "table": "t"}
    slower = run | {"config": told | {"search": told["search"] | {"lanes": 7, "grace": 9.0}}}
    assert digest_of(dict(reversed(run.items()))) == digest_of(run) == digest_of(slower)
    assert digest_of(run | {"config": told | {"seed": told["seed"] + 1}}) != digest_of(run)


PARTITIONS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40)


@given(PARTITIONS, st.permutations(range(6)))
def test_scores_are_those_of_scikit_learn_and_scipy(pairs, names):
    labels, classes = np.array(pairs).T
    table = contingency_matrix(classes, labels)
    expected = table[linear_sum_assignment(-table)].sum() / len(labels)
    for found in (labels, np.array(names)[labels]):
        said = score(found, classes)
        assert said["acc"] == pytest.approx(expected)
        assert said["nmi"] == pytest.approx(normalized_mutual_info_score(classes, labels))
        assert said["ari"] == pytest.approx(adjusted_rand_score(classes, labels))


@given(PARTITIONS)
def test_a_match_is_the_best_and_one_to_one(pairs):
    table = count_pairs(*np.array(pairs).T, 6, 6)
    match = match_clusters(table)
    matched = match >= 0
    assert len(set(match[matched].tolist())) == matched.sum()
    best = table[linear_sum_assignment(-table)].sum()
    assert table[np.flatnonzero(matched), match[matched]].sum() == best


@functools.cache
def compiled(function, **static):
    return jax.jit(functools.partial(function, **static))


POINTS = arrays(np.float32, (12, 2), elements=st.floats(-100, 100, width=16))


@given(POINTS, st.integers(1, 4), arrays(bool, 12))
def test_every_row_is_with_the_nearest_centroid(x, k, mask):
    assume(mask.any())
    run = compiled(kmeans, max_clusters=4, restarts=2)
    found = run(jax.random.key(0), jnp.asarray(x), k, mask=jnp.asarray(mask))
    labels, centroids = np.asarray(found.labels), np.asarray(found.centroids)
    assert (labels >= 0).all()
    assert (labels < k).all()
    squared = ((x[:, None].astype(float) - centroids[None, :k]) ** 2).sum(axis=2)
    room = 1e-3 * (1 + squared.max())
    rows = np.flatnonzero(mask)
    assert (squared[rows, labels[rows]] <= squared[rows].min(axis=1) + room).all()
    assert float(found.inertia) == pytest.approx(squared[rows, labels[rows]].sum(), abs=room * 12)


EVIDENCE = arrays(np.float32, (7, 7), elements=st.floats(-4, 4, width=16))


@given(EVIDENCE, arrays(np.int32, 7, elements=st.integers(0, 9)))
def test_every_merge_joins_two_groups_and_none_is_better_than_the_one_before(w, sizes):
    w = np.triu(w, 1) + np.triu(w, 1).T
    path = compiled(merges)(jnp.asarray(w), jnp.asarray(sizes))
    labels, linkage = np.asarray(path.labels), np.asarray(path.linkage)
    counts = [len(set(step[step >= 0].tolist())) for step in labels]
    n = int((sizes > 0).sum())
    assert counts == [max(n - i, min(n, 1)) for i in range(7)]
    for before, after in itertools.pairwise(labels):  # nested
        pairs = set(zip(before[sizes > 0].tolist(), after[sizes > 0].tolist(), strict=True))
        assert len(pairs) == len(set(before[sizes > 0].tolist()))
    made = linkage[: max(n - 1, 0)]
    assert (np.diff(made) <= 1e-4).all()


@given(
    arrays(np.float64, st.integers(0, 12), elements=st.floats(-9, 9)),
    arrays(np.float64, 4, elements=st.floats(-5, 5)),
    st.integers(1, 30),
)
def test_chances_of_a_number_add_up_and_are_bounded(linkage, weights, n_rows):
    likely = number_probability(linkage, 1, weights)
    bound = surest(n_rows)
    assert bound <= surest(n_rows + 1)
    for chances in (likely, with_most(likely, bound)):
        assert chances.sum() == pytest.approx(1)
        assert (chances >= 0).all()
    assert with_most(likely, bound).max() <= max(bound, 0.5) + 1e-9


@given(
    arrays(np.float64, (6, 3), elements=st.floats(-20, 20)),
    arrays(np.float64, 4, elements=st.floats(-5, 5)),
    arrays(np.float64, 6, elements=SHARES),
)
def test_confidence_rises_with_what_speaks_for_it_and_has_bounds(features, weights, most):
    sure = confidence(features, weights, most)
    assert ((sure >= 0) & (sure <= most)).all()
    order = np.argsort(features @ weights[:-1], kind="stable")
    assert (np.diff(confidence(features, weights)[order]) >= -1e-12).all()


@given(
    arrays(np.float64, (5, 4), elements=st.floats(0, 1e6)),
    arrays(np.float64, (2, 5), elements=SHARES),
    arrays(np.int64, 5, elements=st.integers(0, 3)),
    st.integers(1, 3),
)
def test_shares_of_all_classes_add_up_and_none_passes_the_rows_own(squared, p, labels, n_known):
    share = shares(squared, p[0], labels, p[1], n_known)
    np.testing.assert_allclose(share.sum(axis=1), 1)
    assert (share >= 0).all()
    assert (share.argmax(axis=1) == labels).all()


@given(st.lists(st.tuples(SHARES, st.booleans()), min_size=1, max_size=40))
def test_a_reliability_curve_rises_and_holds_all_rows(said):
    sure, right = map(np.array, zip(*said, strict=True))
    curve = accuracy_by_confidence(sure, right)
    confidences, accuracies, rows = (np.asarray(each) for each in curve[:3])
    assert (np.diff(confidences) >= 0).all()
    assert ((accuracies >= 0) & (accuracies <= 1)).all()
    assert rows.sum() == len(said)
    assert (rows * accuracies).sum() == pytest.approx(right.sum())
