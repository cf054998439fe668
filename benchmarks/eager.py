"""The peers of trainings: eager PyTorch loops with the same layers, batches, loss and optimiser.

One training after the other, on the GPU where there is one. On CPUs PyTorch gets one thread or
one a core, whichever is faster: threads that wait for each other spin.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.timing import timed
from ncd_jax.discovery.problem import Problem
from ncd_jax.methods.parts import WEIGHT_DECAY
from ncd_jax.methods.tabular_ncd import MEMORY
from ncd_jax.read.threads import usable_cores
from ncd_jax.types import UNLABELLED

__all__ = ["Rows", "better_threads", "rows_of_fold", "train_pbn", "train_tabular_ncd"]

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Rows(NamedTuple):
    """What a loop is given.

    Attributes:
        x: `f32[n, d]`.
        y: `i32[n]`, known class or `UNLABELLED`.
        wanted: `bool[n]`, rows that are to be told apart.
        n_known: known classes.
        batch_size: most rows in a step.
    """

    x: np.ndarray
    y: np.ndarray
    wanted: np.ndarray
    n_known: int
    batch_size: int


def rows_of_fold(problem: Problem) -> Rows:
    """The first fold of a problem."""
    folds, x = problem.tuning_folds, np.asarray(problem.data.x)
    wanted = np.zeros(len(x), bool)
    wanted[folds.hidden_rows[0][folds.hidden_mask[0]]] = True
    batch_size = problem.config.train.batch_size
    return Rows(x, folds.y[0], wanted, problem.spec.n_known, batch_size)


def better_threads(epoch: Callable[[], object]) -> int:
    """Sets the number of threads with which an epoch takes less time, and says which it is."""

    def seconds(threads: int) -> float:
        torch.set_num_threads(threads)
        epoch()
        return timed(epoch)[1]

    best = min({1, usable_cores()}, key=seconds)
    torch.set_num_threads(best)
    return best


def train_pbn(rows: Rows, hparams: dict[str, float], epochs: int) -> float:
    """PBN; the loss of the last step."""
    d, latent, rate = rows.x.shape[1], int(hparams["latent_dim"]), hparams["dropout"]
    encoder = _perceptron((d, 3 * d // 4, d // 2, latent), rate)
    decoder = _perceptron((latent, d // 2, 3 * d // 4, d), rate)
    classifier = nn.Linear(latent, rows.n_known)
    modules = nn.ModuleList([encoder, decoder, classifier]).to(DEVICE)
    optimiser = _adamw(modules, hparams)
    loss = torch.zeros(())
    for x, y, _ in _batches(rows, epochs):
        z = functional.normalize(encoder(x))
        known = y != UNLABELLED
        loss = hparams["w"] * functional.cross_entropy(classifier(z[known]), y[known])
        loss = loss + (1 - hparams["w"]) * (decoder(z) - x).square().sum(dim=1).mean()
        _step(optimiser, loss)
    return float(loss.detach())


def train_tabular_ncd(rows: Rows, hparams: dict[str, float], epochs: int, k: int) -> float:
    """TabularNCD with `k` clusters; the loss of the last step."""
    d, latent = rows.x.shape[1], int(hparams["latent_dim"])
    encoder = _perceptron((d, 3 * d // 4, d // 2, latent), hparams["dropout"])
    classes, clusters = nn.Linear(latent, rows.n_known + 1), nn.Linear(latent, k)
    modules = nn.ModuleList([encoder, classes, clusters]).to(DEVICE)
    optimiser = _adamw(modules, hparams)
    memory = torch.zeros((0, d), device=DEVICE), torch.zeros(0, dtype=torch.bool, device=DEVICE)
    loss = torch.zeros(())
    for x, y, wanted in _batches(rows, epochs):
        known = y != UNLABELLED
        pool = torch.cat([memory[0], x]), torch.cat([memory[1], known])
        memory = pool[0][-MEMORY:], pool[1][-MEMORY:]

        # Each kind of rows goes through the encoder alone, as BatchNorm is to see it.
        z, z_moved = encoder(x), torch.empty((len(x), latent), device=DEVICE)
        for kind in (True, False):
            own, others = x[known == kind], pool[0][pool[1] == kind]
            z_moved[known == kind] = encoder(_move(own, others, int(hparams["k_neighbors"])))

        told = known | wanted
        target = torch.where(known, y, rows.n_known)
        logits, said = classes(z), clusters(z)
        cross_entropy = functional.cross_entropy(logits[told], target[told])
        steady_classes = functional.mse_loss(logits, classes(z_moved))
        n_nearest = int(hparams["top_k"] * int(wanted.sum()) / k)
        pairs = _pair_loss(z[wanted].detach(), said[wanted], n_nearest)
        steady_clusters = functional.mse_loss(said[wanted], clusters(z_moved)[wanted])
        loss = hparams["w1"] * cross_entropy + (1 - hparams["w1"]) * steady_classes
        loss = loss + hparams["w2"] * pairs + (1 - hparams["w2"]) * steady_clusters
        _step(optimiser, loss)
    return float(loss.detach())


def _perceptron(widths: tuple[int, ...], rate: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in, width in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, width), nn.ReLU(), nn.BatchNorm1d(width), nn.Dropout(rate)]
    return nn.Sequential(*layers[:-3])


def _adamw(modules: nn.Module, hparams: dict[str, float]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(modules.parameters(), lr=hparams["lr"], weight_decay=WEIGHT_DECAY)


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def _batches(rows: Rows, epochs: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    x = torch.tensor(rows.x, device=DEVICE)
    y = torch.tensor(rows.y, dtype=torch.long, device=DEVICE)
    wanted = torch.tensor(rows.wanted, device=DEVICE)
    for _ in range(epochs):
        for batch in torch.randperm(len(x), device=DEVICE).split(rows.batch_size):
            yield x[batch], y[batch], wanted[batch]


def _move(x: Tensor, pool: Tensor, k_neighbors: int) -> Tensor:
    """Each row a random part of the way to one of its most similar rows in the pool."""
    similarity = functional.normalize(x) @ functional.normalize(pool).T
    most = min(k_neighbors + 1, len(pool))  # the first one is the row itself
    nearest = similarity.topk(most).indices
    chosen = torch.randint(1, most, (len(x), 1), device=DEVICE)
    part = torch.rand((len(x), 1), device=DEVICE)
    return x + part * (pool[nearest.gather(1, chosen)[:, 0]] - x)


def _pair_loss(z: Tensor, said: Tensor, n_nearest: int) -> Tensor:
    """Cross-entropy of "the same cluster", to which rows among each other's nearest belong."""
    z = functional.normalize(z)
    similarity = (z @ z.T).fill_diagonal_(-2.0)
    near = torch.zeros_like(similarity, dtype=torch.bool)
    near.scatter_(1, similarity.topk(n_nearest).indices, True)
    together = near | near.T
    p = said.softmax(dim=1)
    same = (p @ p.T).clamp(max=1.0)
    each = -torch.where(together, same, 1 - same).add(1e-7).log()
    i, j = torch.triu_indices(len(z), len(z), 1, device=DEVICE)
    return each[i, j].mean()
