"""A simulated person answers: accuracy after some questions, beside peers that ask as much.

python -m benchmarks.ask                     # results/ask.json; needs NCD_JAX_DATA, an hour or two
python -m benchmarks.ask --scenes=FOLDER     # reads the judged tables that are kept there, and no
                                             # other; judges all, and keeps them, if none is

Fifteen development tables, six splits each into known and several novel classes, some of them with
thirty rows a class too, each judged with what the other tables teach. The person sees six rows of
each of two groups and says whether most of the one and most of the other are one class. Peers have
the same rows in the same space and as many answers: COBRAS (`pip install cobras_ts`, left out where
it is not there), which asks about two rows at a time, and k-means that starts from rows that a
person labelled, drawn at random or those that lie between two clusters.
"""

import functools
import importlib.util
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from absl import app, flags
from sklearn.cluster import KMeans

from benchmarks.judge_prior import Sight as Judged
from benchmarks.judge_prior import learn_pairs, look_at, splits_of, standard_prior
from benchmarks.person import Person
from benchmarks.timing import write_results
from ncd_jax.ask.choose import next_questions
from ncd_jax.ask.parts import Sight
from ncd_jax.ask.state import State, answer_all
from ncd_jax.clustering.matching import count_pairs, match_clusters
from ncd_jax.config import RunConfig
from ncd_jax.discovery.by_judge import cells_after_vote, judge_all
from ncd_jax.judge.prior import Prior
from ncd_jax.judge.scene import side_by_side
from ncd_jax.judge.vote import FEWEST_VOTERS, VOTERS, nearest_rows
from ncd_jax.startup import one_device_per_core

AFTER = (0, 3, 5, 10, 20, 50)
# Shares of wrong answers, and of none.
PERSONS = {"all right": (0.0, 0.0), "one in ten wrong": (0.1, 0.0), "a third unknown": (0.0, 1 / 3)}

_SCENES = flags.DEFINE_string("scenes", None, "Folder for judged tables.")
_PEERS = flags.DEFINE_bool("peers", True, "Measure peers too.")
_DRAWS = flags.DEFINE_integer("draws", 1, "Persons of each kind on a split.")


class Scene(NamedTuple):
    """A split as it is asked about.

    Attributes:
        sight: what a run leaves.
        classes: `i[n]`, the true class of every novel row.
        few: whether there were thirty rows a class and no more.
    """

    sight: Sight
    classes: np.ndarray
    few: bool


Converse = Callable[[Scene, int], Iterator[np.ndarray]]
"""Labels of all rows after 0, 1, ... answers of a person drawn by a seed."""


def main(_: list[str]) -> None:
    """Measures all and writes the figures."""
    one_device_per_core()
    ways: dict[str, Converse] = {
        who: functools.partial(_ask, shares=shares) for who, shares in PERSONS.items()
    }
    if _PEERS.value:
        ways |= {"labels at random": _label_at_random, "labels of doubtful rows": _label_doubtful}
        if importlib.util.find_spec("cobras_ts"):
            ways["COBRAS"] = _cobras
    rows: list[dict[str, Any]] = []
    for name, scenes in _judged_tables(flags.FLAGS.tables):  # a flag of judge_prior
        for rows_a_class in ("all", "30"):
            these = [scene for scene in scenes if scene.few == (rows_a_class == "30")]
            for who, converse in ways.items() if these else ():
                measured = _measure(converse, these)
                rows.append(
                    {"table": name, "rows_a_class": rows_a_class, "answers": who, **measured}
                )
                print(rows[-1], flush=True)
    rows += _means(rows)
    write_results("ask", rows)


def _means(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Means over tables, which all count the same."""
    frame = pd.DataFrame(rows)
    for (rows_a_class, who), every in frame.groupby(["rows_a_class", "answers"], sort=False):
        figures = every.drop(columns=["table", "rows_a_class", "answers"])
        means = {"table": f"mean of {len(every)}", "rows_a_class": rows_a_class, "answers": who}
        longest = {"seconds": float(figures.pop("seconds").max())}
        yield means | figures.mean().round(2).to_dict() | longest


def _measure(converse: Converse, scenes: Sequence[Scene]) -> dict[str, float]:
    """Accuracy and error of the number after some answers, and the longest wait for a question."""
    figures, longest = [], 0.0
    for scene in scenes:
        n_classes = len(np.unique(scene.classes))
        for seed in range(_DRAWS.value):
            after: list[tuple[float, int]] = []
            start = time.process_time()
            for n, labels in enumerate(converse(scene, seed)):
                if n not in AFTER:
                    longest = max(longest, time.process_time() - start)
                else:
                    found = len(np.unique(labels))
                    after.append((accuracy(labels, scene.classes), abs(found - n_classes)))
                if n == AFTER[-1]:
                    break
                start = time.process_time()
            # Where all was asked, it stays as it is.
            figures.append(after + after[-1:] * (len(AFTER) - len(after)))
    mean = np.mean(figures, axis=0)
    return {
        **{f"acc_{n}": round(float(acc), 2) for n, (acc, _) in zip(AFTER, mean, strict=True)},
        **{f"error_{n}": round(float(error), 2) for n, (_, error) in zip(AFTER, mean, strict=True)},
        "seconds": round(longest, 3),
    }


def accuracy(labels: np.ndarray, classes: np.ndarray) -> float:
    """Rows in the class that their cluster stands for, in percent."""
    labels = np.unique(labels, return_inverse=True)[1]
    table = count_pairs(labels, classes, int(labels.max()) + 1, int(classes.max()) + 1)
    match = match_clusters(table)
    return 100 * float(table[match >= 0, match[match >= 0]].sum() / len(labels))


def _ask(scene: Scene, seed: int, shares: tuple[float, float]) -> Iterator[np.ndarray]:
    person = Person(scene.classes, np.random.default_rng(seed), *shares)
    answers: dict[str, str] = {}
    while True:
        state = answer_all(scene.sight, answers)
        questions = next_questions(scene.sight, state, 1)
        yield _voted(scene, state) if len(answers) in AFTER or not questions else state.labels
        if not questions:
            return
        answers[questions[0].name] = person.answer(questions[0])


def _voted(scene: Scene, state: State) -> np.ndarray:
    """Labels of all rows as a run ends with them, after the vote and by cells."""
    micro, z = scene.sight.micro, scene.sight.z
    leaf = np.empty(len(micro), np.intp)
    for u, rows in enumerate(state.leaves.rows):
        leaf[rows] = u
    codes = np.array([state.labels[rows[0]] for rows in state.leaves.rows])
    n_voters = max(round(VOTERS * len(micro) / len(scene.sight.evidence)), FEWEST_VOTERS)
    return cells_after_vote(codes, leaf, z, nearest_rows(z, n_voters), keep_all=False).labels


def _label_at_random(scene: Scene, seed: int) -> Iterator[np.ndarray]:
    order = np.random.default_rng(seed).permutation(len(scene.classes))
    yield from _label(scene, order)


def _label_doubtful(scene: Scene, seed: int) -> Iterator[np.ndarray]:
    """Rows that are nearly as near to another class as to their own come first."""
    labels = answer_all(scene.sight, {}).labels
    means = np.stack([scene.sight.z[labels == k].mean(axis=0) for k in np.unique(labels)])
    if len(means) == 1:
        yield from _label_at_random(scene, seed)
        return
    distances = np.sort(np.linalg.norm(scene.sight.z[:, None] - means[None], axis=2), axis=1)
    yield from _label(scene, np.argsort(distances[:, 1] - distances[:, 0], kind="stable"))


def _label(scene: Scene, order: np.ndarray) -> Iterator[np.ndarray]:
    """k-means that starts from the means of the labelled rows, which keep their labels."""
    yield _voted(scene, answer_all(scene.sight, {}))
    z = scene.sight.z
    for n in range(1, AFTER[-1] + 1):
        rows = order[:n]
        given = np.unique(scene.classes[rows], return_inverse=True)[1]
        starts = np.stack([z[rows[given == k]].mean(axis=0) for k in range(given.max() + 1)])
        labels = KMeans(len(starts), init=starts, n_init=1).fit_predict(z) if n in AFTER else given
        if n in AFTER:
            labels[rows] = given
        yield labels


class _Querier:
    """What COBRAS asks: knows the classes. Its own module of them wants a web server."""

    def __init__(self, classes: np.ndarray) -> None:
        self._classes = classes

    def query_points(self, one: int, other: int) -> bool:
        """Whether two rows are of one class."""
        return bool(self._classes[one] == self._classes[other])

    def continue_cluster_process(self) -> bool:
        """Until all is asked."""
        return True

    def update_clustering(self, clustering: Any) -> None:
        """Nothing is shown."""


def _cobras(scene: Scene, seed: int) -> Iterator[np.ndarray]:
    """Source: van Craenendonck and others, "COBRAS: interactive clustering", 2018."""
    module = importlib.import_module("cobras_ts.cobras_kmeans")
    if not hasattr(np, "int"):  # it was written for an older NumPy
        setattr(np, "int", int)  # noqa: B010
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    cobras = module.COBRAS_kmeans(
        scene.sight.z.astype(np.float64), _Querier(scene.classes), AFTER[-1]
    )
    _, labels, *_ = cobras.cluster()
    yield np.zeros(len(scene.classes), int)
    for each in labels:
        yield np.asarray(each)


def _judged_tables(names: Sequence[str]) -> Iterator[tuple[str, list[Scene]]]:
    """All tables, each judged with what the others teach; read where they were kept."""
    folder = Path(_SCENES.value) if _SCENES.value else None
    kept = [name for name in names if folder and (folder / f"{name}.npz").exists()]
    if folder and kept:
        print(f"kept are {', '.join(kept)}", flush=True)
        yield from ((name, _read(folder / f"{name}.npz")) for name in kept)
        return
    judged = {}
    for name in names:
        start = time.perf_counter()
        judged[name] = [look_at(split, RunConfig(setting="ncd")) for split in splits_of(name)]
        print(f"{name} read in {time.perf_counter() - start:.0f} s", flush=True)
    for name in names:
        others = [sights for other, sights in judged.items() if other != name]
        prior = standard_prior(learn_pairs(others or [judged[name]]))
        several = [sight for sight in judged[name] if sight.split.novel.max() > 0]
        scenes = [_scene(sight, prior) for sight in several]
        if folder:
            _write(folder / f"{name}.npz", scenes)
        yield name, scenes


def _scene(judged: Judged, prior: Prior) -> Scene:
    judgement = judge_all(judged.folded, [judged.fitted], prior)[-1][0]
    m, mask = judgement.n_micro, judged.problem.target_mask
    micro = np.asarray(judgement.scene.labels)[mask]
    z = side_by_side(np.asarray(judged.fitted.refits.z, np.float32))[mask]
    target = np.asarray(judged.problem.target_rows)[judged.problem.target_mask]
    classes = np.full(len(judged.split.table.y), -1)
    classes[judged.split.table.y < 0] = judged.split.novel
    sight = Sight(
        judgement.evidence[:m, :m],
        np.asarray(micro, np.intp),
        z,
        np.zeros((len(micro), 0)),
    )
    return Scene(sight, np.unique(classes[target], return_inverse=True)[1], judged.split.few)


def _write(path: Path, scenes: Sequence[Scene]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    for i, (sight, classes, few) in enumerate(scenes):
        parts = {"evidence": sight.evidence, "micro": sight.micro, "z": sight.z}
        parts |= {"classes": classes, "few": np.array(few)}
        arrays |= {f"{name}{i}": value for name, value in parts.items()}
    np.savez(path, **arrays)


def _read(path: Path) -> list[Scene]:
    with np.load(path) as kept:
        arrays = dict(kept)
    scenes = []
    for i in range(sum(name.startswith("micro") for name in arrays)):
        names = ("evidence", "micro", "z", "classes", "few")
        evidence, micro, z, classes, few = (arrays[f"{name}{i}"] for name in names)
        sight = Sight(evidence, micro, z, np.zeros((len(micro), 0)))
        scenes.append(Scene(sight, classes, bool(few)))
    return scenes


if __name__ == "__main__":
    app.run(main)
