"""A sweep of 16 PBN candidates x 5 folds on pendigits, against an eager PyTorch loop.

python -m benchmarks.sweep                  # needs the extra `bench`

The sweep is measured as a user gets it: training, clustering and scoring of all 80 runs in one
compiled program. The peer only trains, one run after the other, with the same network, data,
batches and optimiser; its trainings are timed before and after the sweep, and their median
counts, so that a machine that changes its mind in between does less harm.
"""

import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

from ncd_jax.config import KConfig, RunConfig, SearchConfig, TrainConfig
from ncd_jax.data.datasets import load_dataset
from ncd_jax.discovery.problem import Problem, prepare
from ncd_jax.discovery.tune import tune
from ncd_jax.startup import one_device_per_core, usable_cores
from ncd_jax.store.records import describe_environment

_CANDIDATES = flags.DEFINE_integer("candidates", 16, "Candidates of the sweep.")
_FOLDS = flags.DEFINE_integer("folds", 5, "Folds of the sweep.")
_EPOCHS = flags.DEFINE_integer("epochs", 200, "Epochs of each training.")
_PEERS = flags.DEFINE_integer("peer_trainings", 2, "PyTorch trainings before and after.")
_OUT = flags.DEFINE_string("out", "benchmarks/results/sweep.json", "Where the figures go.")

LR, W, DROPOUT, LATENT_DIM, BATCH = 1e-3, 0.5, 0.1, 16, 512


def main(_: list[str]) -> None:
    """Measures the peer, the sweep in both settings, and the peer again."""
    one_device_per_core()
    problems = {known: _problem(known) for known in (True, False)}
    _peer_seconds(problems[True])  # the first one pays for start-up
    peer = [_peer_seconds(problems[True]) for _ in range(_PEERS.value)]
    sweeps = {known: _sweep(problem) for known, problem in problems.items()}
    peer += [_peer_seconds(problems[True]) for _ in range(_PEERS.value)]

    eager = float(np.median(peer))
    rows = [
        {
            "k": "known" if known else "unknown",
            **figures,
            "speedup": round(eager / figures["seconds_per_training"], 1),
        }
        for known, figures in sweeps.items()
    ]
    import torch

    report = {
        "environment": {
            **describe_environment(),
            "torch": torch.__version__,
            "cores": usable_cores(),
        },
        "trainings": _CANDIDATES.value * _FOLDS.value,
        "epochs": _EPOCHS.value,
        "pytorch_seconds_per_training": [round(s, 2) for s in peer],
        "sweeps": rows,
    }
    print(json.dumps(report, indent=1))
    Path(_OUT.value).write_text(json.dumps(report, indent=1) + "\n")


def _problem(k_known: bool) -> Problem:
    table, truth = load_dataset("pendigits")
    n = _CANDIDATES.value
    config = RunConfig(
        dataset="pendigits",
        method="pbn",
        k=KConfig(index="silhouette"),
        search=SearchConfig(candidates=n, batch=n, folds=_FOLDS.value, sampler="quasi_random"),
        train=TrainConfig(epochs=_EPOCHS.value, batch_size=BATCH),
    )
    return prepare(config, table, len(truth.classes) if k_known else None)


def _sweep(problem: Problem) -> dict[str, Any]:
    start = time.perf_counter()
    found = tune(problem).found
    seconds = time.perf_counter() - start
    run = seconds - found.compile_seconds
    return {
        "compilations": found.compilations,
        "compile_seconds": round(found.compile_seconds, 1),
        "run_seconds": round(run, 1),
        "seconds_per_training": round(run / (_CANDIDATES.value * _FOLDS.value), 3),
        "best_hidden_class_score": round(max(t.score for t in found.trials), 4),
    }


def _peer_seconds(problem: Problem) -> float:
    """Seconds of one eager PyTorch training on the first fold."""
    import torch
    from torch import nn

    torch.set_num_threads(usable_cores())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x = torch.tensor(np.asarray(problem.data.x), device=device)
    y = torch.tensor(problem.tuning_folds.y[0], dtype=torch.long, device=device)
    n, d = x.shape

    def perceptron(*widths: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for fan_in, width in itertools.pairwise(widths):
            layers += [nn.Linear(fan_in, width), nn.ReLU(), nn.BatchNorm1d(width)]
            layers += [nn.Dropout(DROPOUT)]
        return nn.Sequential(*layers[:-3])

    encoder = perceptron(d, 3 * d // 4, d // 2, LATENT_DIM).to(device)
    decoder = perceptron(LATENT_DIM, d // 2, 3 * d // 4, d).to(device)
    classifier = nn.Linear(LATENT_DIM, problem.tuning_folds.hidden.shape[1]).to(device)
    modules = nn.ModuleList([encoder, decoder, classifier])
    optimiser = torch.optim.AdamW(modules.parameters(), lr=LR, weight_decay=0.01)

    start = time.perf_counter()
    for _ in range(_EPOCHS.value):
        for rows in torch.randperm(n, device=device).split(BATCH):
            batch, labels = x[rows], y[rows]
            z = nn.functional.normalize(encoder(batch))
            known = labels >= 0
            loss = W * nn.functional.cross_entropy(classifier(z[known]), labels[known])
            loss = loss + (1 - W) * ((decoder(z) - batch) ** 2).sum(dim=1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    app.run(main)
