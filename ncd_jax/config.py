"""What a run can be told, as frozen dataclasses: the single place of every default.

Config files and flags speak `ml_collections.ConfigDict`; `parse` turns that into a
`RunConfig` once, checks it, and below that nobody sees a ConfigDict.
"""

import dataclasses
import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import ml_collections
from ml_collections import config_dict

from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS

__all__ = [
    "JUDGE",
    "KConfig",
    "RunConfig",
    "SearchConfig",
    "TrainConfig",
    "default_config",
    "parse",
    "split_names",
]


JUDGE = "judge"
"""The index that is none: known classes teach which groups are one class; see `ncd_jax.judge`."""


@dataclass(frozen=True)
class SearchConfig:
    """Tuning by hidden known classes.

    Attributes:
        candidates: hyperparameter candidates to try.
        batch: candidates that are proposed, trained and scored together; one program call.
        folds: times some known classes are hidden; fewer where fewer choices exist.
        seeds: trainings of each candidate on each fold, averaged.
        k_known: whether the number of hidden (and novel) classes is given; when not, the same
            index estimates it in every fold.
        winners: most candidates that the refits are shared among: the best, and those it does
            not beat by more than luck.
        sampler: `tpe` (learns from earlier candidates) or `quasi_random`.
        restarts: k-means restarts of the clustering that is scored in a fold.
        held_out: share of the rows of every known class that lose their label once, so that it
            can be measured how many of them get it back.
        lanes: most trainings that run side by side on a device; bounds memory. 0: as many as suit
            the device.
        rungs: how often the candidates of a batch are looked at in training, half of them going on
            each time; 1: all are trained to the end. 0: as often as suits the device.
        storage: where workers on several machines share the search: `postgresql://...`,
            `sqlite:///...` or the path of a journal file; empty for the run's own journal.
        grace: seconds without a sign of life after which a worker's candidates go to others.
    """

    candidates: int = 24
    batch: int = 8
    folds: int = 5
    seeds: int = 1
    k_known: bool = False
    winners: int = 3
    sampler: str = "tpe"
    restarts: int = 5
    held_out: float = 0.1
    lanes: int = 0
    rungs: int = 0
    storage: str = ""
    grace: float = 60.0


@dataclass(frozen=True)
class TrainConfig:
    """One training.

    Attributes:
        epochs: passes over all rows.
        batch_size: most rows in a step; batches are made equally large.
        refits: trainings of the best candidates on all known classes, each from its own seed.
            The answer is the partition that agrees best with the others.
    """

    epochs: int = 200
    batch_size: int = 512
    refits: int = 5


@dataclass(frozen=True)
class KConfig:
    """The number of novel classes.

    Attributes:
        n_novel: the number itself, where the user knows it; implies `search.k_known`.
        index: what chooses it otherwise, in the folds and on the novel rows alike: the same-class
            `judge`, which makes the partition too, or a cluster validity index, `silhouette`,
            `davies_bouldin`, `calinski_harabasz`, `dunn` or `km_acc`.
        max: largest number considered.
        restarts: k-means restarts for each number, on the novel rows.
        max_rows: novel rows that index or judge look at; a random sample where there are more.
        fold_restarts: k-means restarts for each number, in a fold: there are many folds.
        fold_max_rows: rows of a fold the index is measured on.
    """

    n_novel: int | None = None
    index: str = JUDGE
    max: int = 20
    restarts: int = 10
    max_rows: int = 2000
    fold_restarts: int = 2
    fold_max_rows: int = 1000


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the outcome of a run, beside the table itself.

    Attributes:
        dataset: a benchmark table by name; not used with a table of one's own.
        method: a name in `ncd_jax.methods.METHODS`, or `auto`: each of `methods` is tuned, and
            the one with the best hidden-class score gives the answer.
        methods: names with commas between them, for `auto`; all where it is empty.
        variant: a static choice inside the method; its first one where it is empty.
        setting: `ncd` where no unlabelled row is of a known class, `gcd` where some may be, `auto`
            to look; a benchmark table is `ncd` then.
        seed: source of all randomness.
        representation: what novel rows are clustered in: `normalised` or `raw` latents.
        hparams: hyperparameters that are fixed instead of tuned.
    """

    dataset: str = "digits"
    method: str = "rca"
    methods: str = ""
    variant: str = ""
    setting: str = "auto"
    seed: int = 0
    representation: str = "normalised"
    search: SearchConfig = field(default_factory=SearchConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    k: KConfig = field(default_factory=KConfig)
    hparams: dict[str, float] = field(default_factory=dict)


_CHOICES = {
    "setting": ("auto", "ncd", "gcd"),
    "representation": ("normalised", "raw"),
    "search.sampler": ("tpe", "quasi_random"),
    # Those of `clustering.n_clusters`, which mistakes do not wait for: it takes JAX.
    "k.index": (JUDGE, "silhouette", "davies_bouldin", "calinski_harabasz", "dunn", "km_acc"),
}
_RANGES = {
    "seed": (0, 2**32 - 1),
    "search.candidates": (1, 100_000),
    "search.batch": (1, math.inf),
    "search.folds": (1, 1000),
    "search.seeds": (1, math.inf),
    "search.winners": (1, math.inf),
    "search.restarts": (1, math.inf),
    "search.held_out": (0, 0.9),
    "search.lanes": (0, math.inf),
    "search.rungs": (0, 10),
    "search.grace": (1, math.inf),
    "train.epochs": (1, math.inf),
    "train.batch_size": (2, math.inf),
    "train.refits": (1, 1000),
    "k.n_novel": (1, 1000),
    "k.max": (2, 1000),
    "k.restarts": (1, math.inf),
    "k.max_rows": (10, math.inf),
    "k.fold_restarts": (1, math.inf),
    "k.fold_max_rows": (10, math.inf),
}


def default_config() -> ml_collections.ConfigDict:
    """The default `RunConfig` in the form that config files edit and flags override."""
    raw: dict[str, Any] = dataclasses.asdict(RunConfig())
    raw["k"]["n_novel"] = config_dict.placeholder(int)
    raw["hparams"] = {name: config_dict.placeholder(kind) for name, kind in _hparams().items()}
    return ml_collections.ConfigDict(raw)


def parse(config: ml_collections.ConfigDict) -> RunConfig:
    """Checks a ConfigDict and freezes it.

    Raises:
        UserError: an unknown key, a value of the wrong type, or one out of range.
    """
    raw = config.to_dict()
    hparams = {k: v for k, v in raw.pop("hparams", {}).items() if v is not None}
    _check_keys(hparams, list(_hparams()), "hparams.")
    parsed: RunConfig = _build(RunConfig, raw, "")
    parsed = dataclasses.replace(parsed, hparams=hparams)
    if parsed.method not in (*METHODS, "auto"):
        raise UserError(f"config.method={parsed.method!r} {METHODS.unknown(parsed.method)}")
    for key, choices in _CHOICES.items():
        if (value := attrgetter(key)(parsed)) not in choices:
            raise UserError(f"config.{key}={value!r} is unknown; choose {' or '.join(choices)}")
    for key, (least, most) in _RANGES.items():
        value = attrgetter(key)(parsed)
        if value is not None and value < least:
            raise UserError(f"config.{key}={value} is too small; give at least {least}")
        if value is not None and value > most:
            raise UserError(f"config.{key}={value} is too large; give at most {most}")
    return parsed


def split_names(
    names: str, choices: Sequence[str], key: str, default: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Names with commas between them; the default, or all choices, where there is none.

    Raises:
        UserError: a name that is none of the choices.
    """
    wanted = tuple(name.strip() for name in names.split(",") if name.strip())
    for name in wanted:
        if name not in choices:
            raise UserError(f"config.{key}: {name!r} is unknown; choose from {', '.join(choices)}")
    return tuple(dict.fromkeys(wanted or default or choices))


def _hparams() -> dict[str, type]:
    """The type of every hyperparameter of the methods that there are by now."""
    return {
        name: int if interval.integer else float
        for space in METHODS.spaces.values()
        for name, interval in space(1).items()
    }


def _build(kind: type, raw: dict[str, Any], prefix: str) -> Any:
    """Builds one dataclass from a dict, its nested dataclasses included."""
    fields = {f.name: f for f in dataclasses.fields(kind) if f.name != "hparams"}
    _check_keys(raw, list(fields), prefix)
    default = kind()
    values = {}
    for name, value in raw.items():
        current = getattr(default, name)
        if dataclasses.is_dataclass(current):
            if not isinstance(value, dict):
                raise UserError(f"config.{prefix}{name} is a group; set a key inside it")
            values[name] = _build(type(current), value, f"{prefix}{name}.")
        else:
            values[name] = _typed(value, current, f"{prefix}{name}")
    return kind(**values)


def _typed(value: Any, current: Any, key: str) -> Any:
    if current is None:
        return value
    wanted = type(current)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not wanted:
        raise UserError(f"config.{key}={value!r} has the wrong type; give a {wanted.__name__}")
    if wanted is float and not math.isfinite(value):
        raise UserError(f"config.{key}={value} is not finite; give a number")
    return value


def _check_keys(raw: dict[str, Any], known: list[str], prefix: str) -> None:
    for name in raw:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {prefix}{close[0]}?" if close else f"keys: {', '.join(known)}"
            raise UserError(f"config.{prefix}{name} is not a config key; {hint}")
