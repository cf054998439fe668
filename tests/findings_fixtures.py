"""A finished run that never was, with everything in it that a real one has."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ncd_jax.discovery.evaluate import accuracy_by_confidence
from ncd_jax.profiles.classes import SortedRows, profile_classes
from ncd_jax.report.findings import Findings, Ranked, Shown
from ncd_jax.report.how_many import KCurve
from ncd_jax.report.latent_map import LatentMap
from ncd_jax.store.records import Assignments
from ncd_jax.tuning.trials import Trial

HIDDEN = (("0", "3"), ("1", "4"), ("2", "0"), ("3", "1"), ("4", "2"))


def make_trials(n: int, rng: np.random.Generator) -> tuple[Trial, ...]:
    trials = []
    for number in range(n):
        hparams = {
            "lr": float(10 ** rng.uniform(-4, -2)),
            "w": float(rng.uniform(0.1, 0.9)),
            "dropout": float(rng.uniform(0, 0.5)),
            "latent_dim": int(rng.integers(4, 65)),
        }
        level = 0.9 - 0.12 * (np.log10(hparams["lr"]) + 3) ** 2 - 0.2 * (hparams["w"] - 0.6) ** 2
        folds = np.clip(level + rng.normal(0, 0.05, 5) - [0, 0.06, 0.02, 0, 0.1], 0, 1)
        diverged = int(number % 11 == 7)
        folds[:diverged] = 0.0
        trials.append(
            Trial(
                number=number,
                hparams=hparams,
                score=float(folds.mean()),
                fold_scores=tuple(folds.tolist()),
                fold_k=tuple(rng.integers(2, 4, 5).astype(float).tolist()),
                diverged=diverged,
            )
        )
    return tuple(trials)


def make_map(rng: np.random.Generator, classes: tuple[str, ...]) -> LatentMap:
    true = rng.integers(0, 10, 300)
    centres = rng.normal(0, 4, (10, 8))
    z = centres[true] + rng.normal(0, 1, (300, 8))
    is_novel = true >= 5
    found = np.where(rng.random(300) < 0.06, rng.integers(5, 10, 300), true)
    names = [*classes, *(f"class {i}" for i in range(5, 10))]
    labels = [
        f"novel_{(f - 5) % 5}" if n else names[t]
        for f, t, n in zip(found, true, is_novel, strict=True)
    ]
    truth = [names[t] for t in true]
    # Laid out by two coordinates: t-SNE takes longer than all that looks at it.
    return LatentMap(z[:, :2], np.arange(300) * 2, tuple(labels), is_novel, tuple(truth))


def make_findings(classes: tuple[str, ...] = ("0", "1", "2", "3", "4"), n_trials: int = 32):
    rng = np.random.default_rng(0)
    trials = make_trials(n_trials, rng)
    best = max(trials, key=lambda t: t.score)
    labels = np.sort(rng.choice(5, 890, p=[0.25, 0.22, 0.2, 0.18, 0.15]))
    rng.shuffle(labels)
    ks = np.arange(2, 21)
    drawn = make_map(rng, classes)
    metrics: dict[str, Any] = {
        "method": "pbn",
        "warnings": [],
        "n_answers": 0,
        "n_novel_probability": {},
        "known_accuracy_by_chance": 0.24,
        "mean_confidence": 0.71,
        "n_rows": 1797,
        "n_unlabelled": 890,
        "setting": "ncd",
        "n_rows_known": 0,
        "known_sizes": {},
        "gate": None,
        "n_known_classes": 5,
        "n_novel_estimated": 5,
        "novel_sizes": np.bincount(labels).tolist(),
        "hidden_class_score": best.score,
        "hidden_class_score_std": float(np.std(best.fold_scores)),
        "known_accuracy": 0.962,
        "stability": 0.931,
        "notes": [],
        "hidden_class_accuracy": 0.874,
        "hidden_class_accuracy_by": {"several": 0.851, "one": 0.932},
        "hidden_class_k": [2, 2, 3],
        "confidence_ranking": 0.79,
        "confidence_error": 0.06,
        "diverged_runs": 3,
        "total_runs": 165,
        "compilations": 2,
        "refit_candidates": [1, 0],
        "seconds": {
            "prepare": 0.42,
            "compile": 11.3,
            "tune": 140.2,
            "refit": 13.8,
            "discover": 4.1,
            "report": 3.2,
            "total": 161.7,
        },
        "n_novel_true": 5,
        "novel_acc": 0.873,
        "novel_nmi": 0.812,
        "novel_ari": 0.781,
        "test": {
            "inductive": {"acc": 0.861, "nmi": 0.80, "ari": 0.77},
            "transductive": {"acc": 0.869, "nmi": 0.81, "ari": 0.775},
            "known_accuracy": 0.958,
        },
    }
    return Findings(
        config={
            "run": {"config": {"method": "pbn", "seed": 0, "k": {"max": 20}}, "table": "digits"},
            "environment": {"device": "cpu", "versions": {"jax": "0.10.2", "numpy": "2.4.6"}},
        },
        metrics=metrics,
        classes=classes,
        n_columns=64,
        hidden=tuple(tuple(classes[int(i)] for i in names) for names in HIDDEN),
        trials=trials,
        best=best.number,
        scored=trials,
        ranking=(Ranked("pbn", "PBN", best.fold_scores),),
        assignments=Assignments(
            rows=rng.permutation(1797)[:890],
            labels=tuple(f"novel_{label}" for label in labels),
            confidence=(sure := rng.beta(5, 2, 890)),
            runners_up=tuple(f"novel_{(label + 1) % 5}" for label in labels),
            runner_up_confidence=np.minimum(sure, 1 - sure) / 2,
        ),
        confidence_curve=accuracy_by_confidence(
            sure := rng.beta(5, 2, 400), rng.random(400) < sure
        ),
        profiles=make_profiles(rng, classes),
        k_curve=KCurve(
            name="silhouette",
            ks=ks,
            index=0.42 - 0.012 * np.abs(ks - 5) ** 1.3,
            spread=np.full(len(ks), 0.015),
            chosen=5,
        ),
        number=None,
        latent_map=drawn,
        shown=make_shown(rng, classes, len(drawn.row)),
        loss=0.2 + 1.4 * np.exp(-np.arange(200) / 25) + rng.normal(0, 0.008, 200),
    )


def make_shown(rng, classes, n_points):
    """Numbers, dates, words and gaps, under names and with cells as hostile as the classes."""
    n = n_points + 890
    frame = pd.DataFrame(rng.normal(size=(n, 2)), columns=["height", classes[0]])
    frame["colour"] = np.array(["red", None, *classes], object)[np.arange(n) % (2 + len(classes))]
    frame["born"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n), "D")
    frame.iloc[::9, 0] = np.nan
    drawn, listed = frame.iloc[:n_points], frame.iloc[n_points:].reset_index(drop=True)
    return Shown(tuple(frame.columns[:3]), drawn, np.arange(890), listed)


def make_profiles(rng, classes):
    """Of two novel classes in a small table, whose column names are as hostile as the classes'."""
    kind = rng.permuted(np.repeat(np.arange(len(classes) + 2), 30))
    names = [*classes, "novel_0", "novel_1"]
    x = rng.normal(size=(len(kind), 3)) + 4 * rng.normal(size=(len(names), 3))[kind]
    frame = pd.DataFrame(x, columns=[classes[0], "height", "weight"])
    frame["colour"] = pd.Categorical(np.array(["red", classes[0], "blue"])[kind % 3])
    is_novel = kind >= len(classes)
    labels = [names[i] for i in kind]
    sure = rng.random(is_novel.sum())
    return profile_classes(SortedRows(frame, labels, is_novel, x, sure), classes, 2)


@pytest.fixture(scope="session")
def findings_of():
    """Findings with other names of classes, or fewer trials."""
    return make_findings


@pytest.fixture(scope="session")
def findings() -> Findings:
    return make_findings()


@pytest.fixture(scope="session")
def least_findings(findings: Findings) -> Findings:
    """One candidate, one fold, one refit, a given k, no truth, one row, one epoch."""
    trial = dataclasses.replace(findings.trials[0], fold_scores=(0.5,), fold_k=(2.0,))
    truth_keys = ("n_novel_true", "novel_acc", "novel_nmi", "novel_ari", "test")
    metrics = {k: v for k, v in findings.metrics.items() if k not in truth_keys}
    metrics |= {
        "n_unlabelled": 1,
        "n_novel_estimated": 1,
        "novel_sizes": [1],
        "stability": None,
        "known_accuracy": float("nan"),
        "hidden_class_score_std": None,
    }
    return dataclasses.replace(
        findings,
        metrics=metrics,
        hidden=(("0", "3"),),
        trials=(trial,),
        best=trial.number,
        scored=(trial,),
        ranking=(Ranked("pbn", "PBN", trial.fold_scores),),
        assignments=Assignments(np.array([4]), ("novel_0",), np.array([1.0]), ("",), np.zeros(1)),
        confidence_curve=accuracy_by_confidence([0.5], [True]),
        profiles=dataclasses.replace(findings.profiles, classes=()),
        k_curve=None,
        latent_map=LatentMap(np.zeros((1, 2)), np.array([4]), ("novel_0",), np.array([True]), None),
        shown=Shown((), pd.DataFrame(index=[0]), np.array([0]), pd.DataFrame(index=[0])),
        loss=np.array([0.7]),
    )
