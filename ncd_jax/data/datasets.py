"""The benchmark tables by name.

Seven tables with the choice of known and novel classes of Troisemaine et al., *A Practical
Approach to Novel Class Discovery in Tabular Data*, DMKD 2024, arXiv 2311.05440, and
`digits`, which comes with scikit-learn and needs no download. The table goes to the method
and the truth to the scoring; they are kept apart from here on.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from ncd_jax.data import uci
from ncd_jax.data.cache import Progress, RawFile, cache_dir, ensure_files
from ncd_jax.data.table import Table, Truth
from ncd_jax.errors import UserError
from ncd_jax.types import UNLABELLED

__all__ = ["DATASETS", "Dataset", "Split", "load_dataset"]

_ARCHIVE = "https://archive.ics.uci.edu/static/public/"


@dataclass(frozen=True)
class Split:
    """How a table without a test split of its own is parted.

    Attributes:
        test_share: share of the rows that are for testing.
        seed: of scikit-learn's `train_test_split` on the rows in file order.
        most_per_class: rows kept of each class on either side, the first ones.
    """

    test_share: float
    seed: int
    most_per_class: int | None = None


@dataclass(frozen=True)
class Dataset:
    """A benchmark table.

    Attributes:
        known: names of the known classes.
        novel: names of the novel classes.
        read: from the folder of the raw files to the table with all its labels.
        archive: where the UCI archive keeps the raw files; none where there are no files.
        files: the raw files.
        split: none where the test split is given, or where there is none.
        standardise: as in `Table`.
    """

    known: tuple[str, ...]
    novel: tuple[str, ...]
    read: Callable[[Path], uci.RawTable]
    archive: str = ""
    files: tuple[RawFile, ...] = ()
    split: Split | None = None
    standardise: bool = True


_SHA256 = """
optdigits.tra e1b683cc211604fe8fd8c4417e6a69f31380e0c61d4af22e93cc21e9257ffedd
optdigits.tes 6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8
pendigits.tra e2b9eb9f0d0467e2b64a4816a3420edf2b8043447576f4b84337aba44a9f97d3
pendigits.tes 8bd03229c5c5291fefe43e45465dd948d2645bf23328b9d993e0b777666b2015
letter-recognition.data 2b89f3602cf768d3c8355267d2f13f2417809e101fc2b5ceee10db19a60de6e2
CNAE-9.data 1e40e809ab50fb51c45ad33e0d2aba18e4ab75b5fc09965986d5010d970c3d36
y_train.txt 415b3357e2e2d5e70a45c781947c6bdd80e0410a579d862eedcd6bbce3c694ef
y_test.txt 2a94cb53ca46b956c1b2aebd4a09a72badd8a8e9ea9cdfe9f31b3306a08666bb
subject_train.txt 66e1e2fbe9b396fa5155f531dc3348c803f503be663e2318772d49947db9153a
subject_test.txt 63b8c577f4a85431c06bd87f6384608c90a9f72f05c7956dd21255dc63515c07
features.txt b384889885b1c8680ecf250e0e605b4c79536cdf09ce9f2fa7225a3c6773b5c7
activity_labels.txt f6e6b292704438261f0283b2a82659ab0661447dc16520938bdf379ed1bf8de0
"""


def _files(*names: str) -> tuple[RawFile, ...]:
    """Files by their names; those that go round in several versions are known by their shape."""
    words = _SHA256.split()
    known: dict[str, str] = dict(zip(words[::2], words[1::2], strict=True))
    return tuple(RawFile(name, known.get(name)) for name in names)


DATASETS = {
    "digits": Dataset(known=tuple("12789"), novel=tuple("03456"), read=uci.read_digits),
    "optdigits": Dataset(
        known=tuple("12789"),
        novel=tuple("03456"),
        read=uci.read_optdigits,
        archive="80/optical+recognition+of+handwritten+digits.zip",
        files=_files("optdigits.tra", "optdigits.tes"),
    ),
    "pendigits": Dataset(
        known=tuple("12489"),
        novel=tuple("03567"),
        read=uci.read_pendigits,
        archive="81/pen+based+recognition+of+handwritten+digits.zip",
        files=_files("pendigits.tra", "pendigits.tes"),
    ),
    "letter": Dataset(
        known=tuple("BCEFGIJKLNOQRSTUWYZ"),
        novel=tuple("ADHMPVX"),
        read=uci.read_letter,
        archive="59/letter+recognition.zip",
        files=_files("letter-recognition.data"),
        split=Split(test_share=0.3, seed=0),
    ),
    "mfeat": Dataset(
        known=tuple("02458"),
        novel=tuple("13679"),
        read=uci.read_mfeat,
        archive="72/multiple+features.zip",
        files=_files("mfeat-fac"),
        split=Split(test_share=0.2, seed=42),
    ),
    "cnae9": Dataset(
        known=tuple("4578"),
        novel=tuple("12369"),
        read=uci.read_cnae9,
        archive="233/cnae+9.zip",
        files=_files("CNAE-9.data"),
        split=Split(test_share=0.2, seed=42),
        standardise=False,
    ),
    "har": Dataset(
        known=("SITTING", "STANDING", "WALKING_UPSTAIRS"),
        novel=("LAYING", "WALKING", "WALKING_DOWNSTAIRS"),
        read=uci.read_har,
        archive="240/human+activity+recognition+using+smartphones.zip",
        files=_files(
            "X_train.txt",
            "X_test.txt",
            "y_train.txt",
            "y_test.txt",
            "subject_train.txt",
            "subject_test.txt",
            "features.txt",
            "activity_labels.txt",
        ),
    ),
    "uscensus1990": Dataset(
        known=("1", "2", "4", "6", "7", "8", "9", "10", "13", "14", "16", "17"),
        novel=("0", "3", "5", "11", "12", "15"),
        read=uci.read_uscensus1990,
        archive="116/us+census+data+1990.zip",
        files=_files("USCensus1990.data.txt"),
        split=Split(test_share=0.3, seed=0, most_per_class=1000),
    ),
}


def load_dataset(
    name: str, data_dir: Path | None = None, progress: Progress | None = None
) -> tuple[Table, Truth]:
    """Loads a benchmark table, and downloads it first where that is needed.

    Args:
        name: a key of `DATASETS`.
        data_dir: folder of all benchmark tables; see `cache.cache_dir`. The files of this
            one lie in its subfolder `name`.
        progress: told of the download.

    Raises:
        UserError: there is no such table, or its files are damaged or cannot be had.
    """
    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS, 1)
        hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(DATASETS)}"
        raise UserError(f"there is no benchmark table {name!r}; {hint}")
    spec = DATASETS[name]
    folder = cache_dir(data_dir) / name
    ensure_files(folder, spec.files, _ARCHIVE + spec.archive, progress)
    raw = spec.read(folder)
    if spec.split is not None:
        raw = _part(raw, spec.split)

    table = Table(
        name=name,
        x=raw.x.astype(np.float64),
        y=_codes(raw.labels, spec.known),
        columns=raw.columns,
        classes=spec.known,
        x_test=None if raw.x_test is None else raw.x_test.astype(np.float64),
        y_test=None if raw.labels_test is None else _codes(raw.labels_test, spec.known),
        standardise=spec.standardise,
    )
    truth = Truth(
        classes=spec.novel,
        y=_codes(raw.labels, spec.novel),
        y_test=None if raw.labels_test is None else _codes(raw.labels_test, spec.novel),
    )
    return table, truth


def _part(raw: uci.RawTable, split: Split) -> uci.RawTable:
    train, test = train_test_split(
        np.arange(len(raw.x)), test_size=split.test_share, random_state=split.seed
    )
    if split.most_per_class is not None:
        train = train[_first_per_class(raw.labels[train], split.most_per_class)]
        test = test[_first_per_class(raw.labels[test], split.most_per_class)]
    return uci.RawTable(raw.columns, raw.x[train], raw.labels[train], raw.x[test], raw.labels[test])


def _first_per_class(labels: np.ndarray, most: int) -> np.ndarray:
    """Positions of the first rows of each class, in order."""
    rows = [np.flatnonzero(labels == name)[:most] for name in np.unique(labels)]
    return np.sort(np.concatenate(rows))


def _codes(labels: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Index of every label in `classes`, or `UNLABELLED`: `i32[n]`."""
    codes = np.full(len(labels), UNLABELLED, np.int32)
    for code, name in enumerate(classes):
        codes[labels == name] = code
    return codes
