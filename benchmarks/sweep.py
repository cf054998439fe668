"""Sweeps of candidates over folds, against an eager PyTorch loop that trains one by one.

python -m benchmarks.sweep                       # PBN; needs the extra `bench`; some minutes
python -m benchmarks.sweep --tables=pendigits    # one of the tables
python -m benchmarks.sweep --method=tabular_ncd --tables=pendigits,optdigits
python -m benchmarks.sweep --small               # a minute, for `make bench`

Every table twice: with all candidates trained to their end, in one program, and with three rungs,
as on CPUs by default: half of them stop after a quarter of the epochs, half of the others after
half. Seconds are those of a candidate in a fold. Ours is the sweep as a user gets it, training,
clustering and scoring of all runs on one virtual device per core. The peer only trains, with the
median candidate's hyperparameters; see `benchmarks.eager`. Both take turns. Where a table has
fewer epochs than 200 all times are scaled to 200, and so is our clustering, which makes ours look
slower than it is; the peer may run fewer epochs still. `har_shaped` is generated, of the shape of
HAR: rows around Gaussian centres.
"""

import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from benchmarks.eager import Rows, better_threads, rows_of_fold, train_pbn, train_tabular_ncd
from benchmarks.timing import (
    Cost,
    Floor,
    compare,
    cpu_seconds,
    measure_floor,
    write_results,
)
from ncd_jax.config import KConfig, RunConfig, SearchConfig, TrainConfig
from ncd_jax.data.datasets import load_dataset
from ncd_jax.data.table import Table
from ncd_jax.discovery.problem import Problem, make_hparams, middle, prepare
from ncd_jax.discovery.tune import fold_method, fold_protocol
from ncd_jax.startup import one_device_per_core
from ncd_jax.tuning.cross_validation import SweepData
from ncd_jax.tuning.halving import Climb
from ncd_jax.tuning.proposals import Proposals
from ncd_jax.tuning.search import compile_sweep

_SMALL = flags.DEFINE_bool("small", False, "Few epochs of a table that needs no download.")
_METHOD = flags.DEFINE_enum("method", "pbn", ["pbn", "tabular_ncd"], "What is trained.")
_TABLES = flags.DEFINE_list("tables", [], "Which tables; all by default.")
_CANDIDATES = flags.DEFINE_integer("candidates", 16, "Candidates of the sweep.")
_FOLDS = flags.DEFINE_integer("folds", 5, "Folds of the sweep.")
_EPOCHS = flags.DEFINE_integer("epochs", None, "Epochs of each of our trainings.")
_RUNGS = flags.DEFINE_list("rungs", ["1", "3"], "How often candidates are looked at.")
_TURNS = flags.DEFINE_integer("turns", 3, "Turns of ours and the peer.")

ALL_TABLES = ("pendigits", "optdigits", "har_shaped")
FULL, BATCH = 200, 512
EPOCHS = {
    "pbn": {
        "digits": (100, 20),
        "pendigits": (200, 40),
        "optdigits": (100, 20),
        "har_shaped": (4, 1),
    },
    "tabular_ncd": {"pendigits": (8, 5), "optdigits": (12, 10), "har_shaped": (4, 1)},
}
"""Epochs of ours and of the peer."""


def main(_: list[str]) -> None:
    """Measures one table after the other."""
    one_device_per_core()
    floor = measure_floor()
    tables = ["digits"] if _SMALL.value else _TABLES.value or ALL_TABLES
    rows = [_measure(floor, name, int(rungs)) for name in tables for rungs in _RUNGS.value]
    of_method = [] if _METHOD.value == "pbn" else [_METHOD.value]
    write_results(
        "_".join(["sweep", *of_method, *_TABLES.value, *(["small"] if _SMALL.value else [])]),
        rows,
        trainings=_CANDIDATES.value * _FOLDS.value,
        **floor.facts,
    )


def _measure(floor: Floor, name: str, rungs: int) -> dict[str, Any]:
    ours, theirs = EPOCHS[_METHOD.value][name]
    if _SMALL.value:
        ours, theirs = max(ours // 10, 1), max(theirs // 8, 1)
    ours = _EPOCHS.value or ours
    problem = _problem(name, ours, rungs)
    folds, n = problem.tuning_folds, _CANDIDATES.value
    asked = Proposals(problem.space, {}, "quasi_random", problem.config.seed).ask(n, n)
    values = {key: np.array([one.hparams[key] for one in asked]) for key in problem.space}
    data = SweepData(
        keys=jax.random.split(jax.random.key(0), 1),
        x=problem.data.x,
        folds=jax.tree.map(jnp.asarray, folds),
        ks=jnp.asarray(folds.hidden.sum(axis=1), jnp.int32),
    )
    method, protocol = fold_method(problem, folds), fold_protocol(problem, folds)
    hparams = make_hparams(_METHOD.value, values)
    start = time.perf_counter()
    sweep = compile_sweep(method, data, hparams, protocol, n)
    compile_seconds = time.perf_counter() - start

    def run() -> Climb:
        return sweep(hparams, n)

    rows = rows_of_fold(problem)
    median = middle(problem.space)

    def train(epochs: int) -> float:
        if _METHOD.value == "pbn":
            return train_pbn(rows, median, epochs)
        return train_tabular_ncd(rows, median, epochs, int(folds.hidden[0].sum()))

    threads = better_threads(lambda: train(1))
    found = compare(run, lambda: train(theirs), _TURNS.value)
    trainings = n * _FOLDS.value
    scale = FULL / ours / trainings
    row = {
        "table": f"{name} {rows.x.shape[0]} x {rows.x.shape[1]}",
        "epochs": ours,
        "rungs": rungs,
        "seconds_per_training": round(found.ours * scale, 3),
        "pytorch_seconds": round(found.peer * FULL / theirs, 2),
        "pytorch_epochs": theirs,
        "pytorch_threads": threads,
        "cpu_seconds_per_training": round(cpu_seconds(run) * scale, 2),
        "pytorch_cpu_seconds": round(cpu_seconds(lambda: train(theirs)) * FULL / theirs, 1),
        "times_pytorch": round(found.ratio * FULL / theirs / scale, 1),
        "compile_seconds": round(compile_seconds, 1),
    }
    if _METHOD.value == "pbn" and rungs == 1:
        cost = _mean([_cost(rows, int(latent)) for latent in values["latent_dim"]])
        row["gigaflop_per_training"] = round(cost.flops / 1e9, 1)
        row["times_floor"] = round(found.ours * scale / floor.seconds(cost), 1)
    return row


def _problem(name: str, epochs: int, rungs: int) -> Problem:
    n = _CANDIDATES.value
    config = RunConfig(
        dataset=name,
        method=_METHOD.value,
        k=KConfig(index="silhouette"),
        search=SearchConfig(
            candidates=n, batch=n, folds=_FOLDS.value, rungs=rungs, sampler="quasi_random"
        ),
        train=TrainConfig(epochs=epochs, batch_size=BATCH),
    )
    if name == "har_shaped":
        return prepare(config, _har_shaped(), 3)
    table, truth = load_dataset(name)
    return prepare(config, table, len(truth.classes))


def _har_shaped() -> Table:
    """7352 rows of 562 columns around the centres of six classes, three of them known."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 6, 7352)
    x = rng.normal(size=(6, 562))[classes] + rng.normal(size=(7352, 562))
    names = tuple(f"x{i}" for i in range(562))
    return Table("har_shaped", x, np.where(classes < 3, classes, -1), names, ("a", "b", "c"))


def _cost(rows: Rows, latent: int) -> Cost:
    """Of one training of PBN for 200 epochs, from the shapes.

    A product forwards, one for the gradient of the weights and one for that of its input, which
    the first layer does not need. A step reads its batch once, and parameters and both moments are
    read and written.
    """
    n, d = rows.x.shape
    wide, narrow = 3 * d // 4, d // 2
    layers = [(d, wide), (wide, narrow), (narrow, latent), (latent, rows.n_known)]
    layers += [(latent, narrow), (narrow, wide), (wide, d)]
    weights = sum(fan_in * width for fan_in, width in layers)
    flops = FULL * n * 2.0 * (3 * weights - d * wide)
    steps = FULL * -(-n // rows.batch_size)
    return Cost(flops, FULL * n * d * 4.0 + steps * 6 * 4.0 * weights)


def _mean(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.mean(part) for part in zip(*costs, strict=True)))


if __name__ == "__main__":
    app.run(main)
