import dataclasses
import functools
import io
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from ncd_jax.data import datasets, uci
from ncd_jax.data.datasets import DATASETS, load_dataset
from ncd_jax.errors import UserError

REAL = os.environ.get("NCD_JAX_DATA", "")
needs_files = pytest.mark.skipif(
    not Path(REAL, "pendigits").is_dir(),
    reason="NCD_JAX_DATA does not name a folder with the benchmark files",
)

# Rows, columns and test rows; none where there are none.
SHAPES = {
    "digits": (1797, 64, None),
    "optdigits": (3823, 62, 1797),
    "pendigits": (7494, 16, 3498),
    "letter": (14000, 16, 6000),
    "mfeat": (1600, 215, 400),
    "cnae9": (864, 856, 216),
}
needs = {name: () if name == "digits" else needs_files for name in SHAPES}
EACH = [pytest.param(name, marks=needs[name]) for name in SHAPES]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr(datasets, "_ARCHIVE", "http://127.0.0.1:9/")


def error_of(*args):
    with pytest.raises(UserError) as caught:
        load_dataset(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names_of(table, truth):
    """All class names again, by row: training and test."""
    parts = [(table.y, truth.y)]
    if table.y_test is not None:
        parts.append((table.y_test, truth.y_test))
    return [
        np.where(known >= 0, np.array(table.classes)[known], np.array(truth.classes)[novel])
        for known, novel in parts
    ]


def counts(labels):
    return dict(zip(*np.unique(labels, return_counts=True), strict=True))


@pytest.mark.parametrize("name", EACH)
def test_shapes_and_labels(name):
    table, truth = load_dataset(name)
    n, d, m = SHAPES[name]
    assert table.name == name
    assert table.x.shape == (n, d)
    assert len(set(table.columns)) == len(table.columns) == d
    assert table.x.dtype == np.float64
    assert table.y.dtype == truth.y.dtype == np.int32
    assert table.standardise == (name != "cnae9")
    assert not set(table.classes) & set(truth.classes)
    # Every row is either known or novel, and all classes occur.
    np.testing.assert_array_equal(table.y >= 0, truth.y < 0)
    assert set(table.y) == {-1, *range(len(table.classes))}
    assert set(truth.y) == {-1, *range(len(truth.classes))}
    if m is None:
        assert table.x_test is table.y_test is truth.y_test is None
    else:
        assert table.x_test.shape == (m, d)
        np.testing.assert_array_equal(table.y_test >= 0, truth.y_test < 0)
        assert set(truth.y_test) == {-1, *range(len(truth.classes))}


def test_the_classes_of_the_paper():
    chosen = {name: (" ".join(s.known), " ".join(s.novel)) for name, s in DATASETS.items()}
    assert chosen == {
        "digits": ("1 2 7 8 9", "0 3 4 5 6"),
        "optdigits": ("1 2 7 8 9", "0 3 4 5 6"),
        "pendigits": ("1 2 4 8 9", "0 3 5 6 7"),
        "letter": ("B C E F G I J K L N O Q R S T U W Y Z", "A D H M P V X"),
        "mfeat": ("0 2 4 5 8", "1 3 6 7 9"),
        "cnae9": ("4 5 7 8", "1 2 3 6 9"),
        "har": ("SITTING STANDING WALKING_UPSTAIRS", "LAYING WALKING WALKING_DOWNSTAIRS"),
        "uscensus1990": ("1 2 4 6 7 8 9 10 13 14 16 17", "0 3 5 11 12 15"),
    }


def test_digits_are_those_of_scikit_learn():
    table, truth = load_dataset("digits")
    digits = load_digits()
    np.testing.assert_array_equal(table.x, digits.data)
    np.testing.assert_array_equal(names_of(table, truth)[0], digits.target.astype(str))
    assert table.columns == tuple(digits.feature_names)


@needs_files
def test_digits_are_the_test_rows_of_optdigits():
    digits, digits_truth = load_dataset("digits")
    table, truth = load_dataset("optdigits")
    kept = [digits.columns.index(column) for column in table.columns]
    assert sorted(set(range(64)) - set(kept)) == [0, 39]
    np.testing.assert_array_equal(table.x_test, digits.x[:, kept])
    np.testing.assert_array_equal(table.y_test, digits.y)
    np.testing.assert_array_equal(truth.y_test, digits_truth.y)


@needs_files
def test_pendigits_rows_and_class_counts():
    table, truth = load_dataset("pendigits")
    first = [47, 100, 27, 81, 57, 37, 26, 0, 0, 23, 56, 53, 100, 90, 40, 98]
    np.testing.assert_array_equal(table.x[0], first)
    labels, labels_test = names_of(table, truth)
    assert list(labels[:3]) == ["8", "2", "1"]
    # As in the archive's own description of the table.
    assert list(counts(labels).values()) == [780, 779, 780, 719, 780, 720, 720, 778, 719, 719]
    assert list(counts(labels_test).values()) == [363, 364, 364, 336, 364, 335, 336, 364, 336, 336]


@needs_files
def test_optdigits_class_counts():
    table, truth = load_dataset("optdigits")
    labels = names_of(table, truth)[0]
    assert list(counts(labels).values()) == [376, 389, 380, 389, 387, 376, 377, 387, 380, 382]


@needs_files
@pytest.mark.parametrize(
    ("name", "file", "labels_in_file", "share", "seed"),
    [
        ("letter", "letter-recognition.data", True, 0.3, 0),
        ("cnae9", "CNAE-9.data", True, 0.2, 42),
        ("mfeat", "mfeat-fac", False, 0.2, 42),
    ],
)
def test_splits_are_those_of_scikit_learn_on_the_rows_of_the_file(
    name, file, labels_in_file, share, seed
):
    """Reads the file by other means and splits the rows themselves, not their numbers."""
    lines = (Path(REAL) / name / file).read_text().split("\n")
    rows = [line.replace(",", " ").split() for line in lines if line]
    labels = [row[0] if labels_in_file else str(i // 200) for i, row in enumerate(rows)]
    x = [[float(cell) for cell in row[1:]] for row in rows]
    train, test, y_train, y_test = train_test_split(
        np.array(x), labels, test_size=share, random_state=seed
    )
    table, truth = load_dataset(name)
    np.testing.assert_array_equal(table.x, train)
    np.testing.assert_array_equal(table.x_test, test)
    assert [list(part) for part in names_of(table, truth)] == [y_train, y_test]


@pytest.mark.parametrize("name", [pytest.param("pendigits", marks=needs_files), "digits"])
def test_which_novel_class_a_row_has_does_not_reach_the_table(monkeypatch, name):
    table, truth = load_dataset(name)
    spec = DATASETS[name]

    def shuffled(labels):
        labels = labels.copy()
        novel = np.isin(labels, spec.novel)
        labels[novel] = np.random.default_rng(0).permutation(labels[novel])
        return labels

    def read(folder):
        raw = spec.read(folder)
        if raw.labels_test is None:
            return raw._replace(labels=shuffled(raw.labels))
        return raw._replace(labels=shuffled(raw.labels), labels_test=shuffled(raw.labels_test))

    monkeypatch.setitem(DATASETS, name, dataclasses.replace(spec, read=read))
    other, other_truth = load_dataset(name)
    assert not np.array_equal(truth.y, other_truth.y)
    for field in dataclasses.fields(table):
        np.testing.assert_array_equal(getattr(table, field.name), getattr(other, field.name))


ACTIVITIES = ["WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING"]


def write_har_features(folder):
    """Files of the true shape; the first column counts the rows, the others are constant."""
    for part, rows in (("train", 7352), ("test", 2947)):
        rest = "  1.0e-1" * 560
        lines = (f"  {row}{rest}\n" for row in range(rows))
        (folder / f"X_{part}.txt").write_text("".join(lines))


def check_har(raw, labels, labels_test):
    assert raw.x.shape == (7352, 562)
    assert raw.x_test.shape == (2947, 562)
    assert len(set(raw.columns)) == 562
    assert raw.columns[-1] == "subject"
    np.testing.assert_array_equal(raw.x[:, 0], np.arange(7352))
    np.testing.assert_array_equal(raw.x_test[:, 0], np.arange(2947))
    np.testing.assert_array_equal(raw.x[:, 1:561], 0.1)
    np.testing.assert_array_equal(raw.labels, labels)
    np.testing.assert_array_equal(raw.labels_test, labels_test)


def test_har_has_the_label_of_every_row_the_first_included(tmp_path):
    write_har_features(tmp_path)
    names = enumerate(ACTIVITIES, 1)
    (tmp_path / "activity_labels.txt").write_text("".join(f"{i} {name}\n" for i, name in names))
    features = "".join(f"{i} band-{i % 400}\n" for i in range(1, 562))
    (tmp_path / "features.txt").write_text(features)
    labels = {}
    for part, rows in (("train", 7352), ("test", 2947)):
        codes = [1 if row == 0 else 2 + row % 5 for row in range(rows)]
        labels[part] = [ACTIVITIES[code - 1] for code in codes]
        (tmp_path / f"y_{part}.txt").write_text("".join(f"{code}\n" for code in codes))
        subjects = "".join(f"{row % 30}\n" for row in range(rows))
        (tmp_path / f"subject_{part}.txt").write_text(subjects)
    raw = uci.read_har(tmp_path)
    check_har(raw, labels["train"], labels["test"])
    np.testing.assert_array_equal(raw.x[:, -1], np.arange(7352) % 30)


@needs_files
def test_har_real_labels(tmp_path):
    folder = tmp_path / "har"
    shutil.copytree(Path(REAL) / "har", folder)
    if not (folder / "X_train.txt").exists():
        folder.chmod(0o755)
        write_har_features(folder)
    table, truth = load_dataset("har", tmp_path)
    labels, labels_test = names_of(table, truth)
    codes = [int(line) for line in (folder / "y_train.txt").read_text().split()]
    assert list(labels) == [ACTIVITIES[code - 1] for code in codes]
    # As published with the table.
    assert counts(labels) == {
        "LAYING": 1407,
        "SITTING": 1286,
        "STANDING": 1374,
        "WALKING": 1226,
        "WALKING_DOWNSTAIRS": 986,
        "WALKING_UPSTAIRS": 1073,
    }
    assert len(labels_test) == 2947
    assert labels_test[0] == "STANDING"
    assert set(table.x_test[:, -1]) == {2, 4, 9, 10, 12, 13, 18, 20, 24}


def write_census(folder, rows):
    """Columns of the true number; `count` counts the rows, which have classes of all sizes."""
    folder.mkdir()
    schooling = np.minimum(np.random.default_rng(0).geometric(0.15, rows) - 1, 17)
    header = ["caseid", "count", *(f"i{i}" for i in range(40)), "iYearsch"]
    header += [f"j{i}" for i in range(69 - len(header))]
    lines = [",".join(header)]
    for row in range(rows):
        cells = ["0"] * 69
        cells[:2] = str(10_000_000 + row), str(row)
        cells[42] = str(schooling[row])
        lines.append(",".join(cells))
    (folder / "USCensus1990.data.txt").write_text("\n".join(lines) + "\n")
    return schooling


def test_uscensus1990_keeps_the_first_rows_of_each_class_on_either_side(tmp_path, monkeypatch):
    spec = DATASETS["uscensus1990"]
    assert spec.split == datasets.Split(test_share=0.3, seed=0, most_per_class=1000)
    schooling = write_census(tmp_path / "uscensus1990", 3000)
    small = dataclasses.replace(
        spec,
        read=functools.partial(uci.read_uscensus1990, rows=3000),
        split=dataclasses.replace(spec.split, most_per_class=60),
    )
    monkeypatch.setitem(DATASETS, "uscensus1990", small)
    table, truth = load_dataset("uscensus1990", tmp_path)
    assert len(table.columns) == 67
    assert not {"caseid", "iYearsch"} & set(table.columns)

    sides = train_test_split(np.arange(3000), test_size=0.3, random_state=0)
    for side, x, labels in zip(sides, (table.x, table.x_test), names_of(table, truth), strict=True):
        seen = dict.fromkeys(range(18), 0)
        expected = []
        for row in side:
            seen[schooling[row]] += 1
            if seen[schooling[row]] <= 60:
                expected.append(row)
        np.testing.assert_array_equal(x[:, 0], expected)
        np.testing.assert_array_equal(labels, schooling[expected].astype(str))
        assert max(counts(labels).values()) == 60


@needs_files
def test_uscensus1990_reads_real_rows(tmp_path):
    sample = Path(REAL) / "uscensus1990" / "sample_first199.csv"
    if not sample.exists():
        pytest.skip(f"{sample.name}, the first rows of the table, is not there")
    shutil.copy(sample, tmp_path / "USCensus1990.data.txt")
    raw = uci.read_uscensus1990(tmp_path, rows=199)
    assert raw.x.shape == (199, 67)
    assert raw.columns[0] == "dAge"
    assert list(raw.labels[:2]) == ["11", "5"]
    assert list(raw.x[1, :8]) == [6, 1, 1, 0, 0, 7, 5, 2]
    message = error_of_reading(uci.read_uscensus1990, tmp_path)
    assert "(199, 68)" in message


def error_of_reading(read, folder):
    with pytest.raises(UserError) as caught:
        read(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert "delete it" in message
    return message


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("1 2 3\n", "(1, 3)"),
        ("", "cannot be read"),
        ("1 2\n1 2 3\n", "cannot be read"),
        ("a b\n", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        ("1 " * 216 + "\n" + ("1 " * 215 + "nan\n") * 1999, "empty cells"),
    ],
)
def test_files_without_a_checksum_are_checked_by_shape(tmp_path, content, fragment):
    path = tmp_path / "mfeat-fac"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = error_of_reading(uci.read_mfeat, tmp_path)
    assert str(path) in message
    assert fragment in message


def test_downloaded_from_the_archive_once(tmp_path, monkeypatch, serve):
    """The file has the true shape, and numbers that tell its rows and columns apart."""
    x = np.arange(2000)[:, None] * 1000 + np.arange(216)
    body = "".join(" ".join(map(str, row)) + "\n" for row in x)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mfeat-fac", body)
    base = serve({"/72/multiple+features.zip": buffer.getvalue()})
    monkeypatch.setattr(datasets, "_ARCHIVE", base + "/")
    seen = []
    table, truth = load_dataset("mfeat", tmp_path, lambda *report: seen.append(report))
    again, _ = load_dataset("mfeat", tmp_path)
    np.testing.assert_array_equal(table.x, again.x)
    assert serve.asked == ["/72/multiple+features.zip"]
    assert seen[-1] == (len(buffer.getvalue()),) * 2
    rows = table.x[:, 0].astype(int) // 1000
    np.testing.assert_array_equal(table.x, x[rows, 1:])
    np.testing.assert_array_equal(names_of(table, truth)[0], (rows // 200).astype(str))


def test_offline_and_not_there(tmp_path):
    message = error_of("pendigits", tmp_path)
    for fragment in ("pendigits.tra", "pendigits.tes", str(tmp_path / "pendigits"), "81/pen+based"):
        assert fragment in message


def test_unknown_name(tmp_path):
    assert "did you mean pendigits?" in error_of("pendigit", tmp_path)
    assert "uscensus1990" in error_of("zzz", tmp_path)
