"""The class that a row would be in if it were not in its own."""

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax

from ncd_jax.data.table import Table
from ncd_jax.discovery.calibration import fit_temperature
from ncd_jax.discovery.model import Model, apply_model
from ncd_jax.discovery.solution import Solution
from ncd_jax.methods import METHODS
from ncd_jax.types import UNLABELLED

__all__ = ["Seconds", "seconds_of", "seconds_of_solution", "temperature_of"]


class Seconds(NamedTuple):
    """The second likeliest class of `u` rows.

    Attributes:
        labels: `i[u]`, index into the classes of the model; -1 where there is only one.
        confidence: `f64[u]`, how likely it is; never more than what the class of the row leaves
            of 1, nor than that class itself.
    """

    labels: np.ndarray
    confidence: np.ndarray

    def names(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        """The name of each; empty text where there is none."""
        return tuple(classes[label] if label >= 0 else "" for label in self.labels.tolist())


def seconds_of(log_shares: np.ndarray, labels: np.ndarray, confidence: np.ndarray) -> Seconds:
    """Takes the likeliest class beside each row's own.

    What the confidence leaves of 1 is divided among the other classes by their shares.

    Args:
        log_shares: `f64[u, m]`, of every class in each row, up to a constant of the row.
        labels: `i[u]`, the class of each.
        confidence: `f64[u]`, how sure that is.
    """
    if log_shares.shape[1] < 2:
        return Seconds(np.full(len(labels), -1), np.zeros(len(labels)))
    rows, others = np.arange(len(labels)), log_shares.copy()
    others[rows, labels] = -np.inf
    second = others.argmax(axis=1)
    share = softmax(others, axis=1)[rows, second]
    return Seconds(second, np.minimum(share * (1 - confidence), confidence))


def seconds_of_solution(solution: Solution, table: Table) -> Seconds:
    """The second likeliest class of every unlabelled row.

    Shares are a softmax over the class means of the model. Where the gate said how likely a row is
    of a known class, the known ones have that much together, and the novel ones the rest.
    """
    model, gate, n_known = solution.model, solution.gate, len(table.classes)
    squared = apply_model(model, table.x[table.y == UNLABELLED]).squared
    shares = -squared.astype(np.float64) / temperature_of(model, table)
    if gate is not None and gate.is_open and len(model.classes) > n_known:
        with np.errstate(divide="ignore"):
            known, novel = np.log(gate.p_known)[:, None], np.log1p(-gate.p_known)[:, None]
        shares[:, :n_known] = log_softmax(shares[:, :n_known], axis=1) + known
        shares[:, n_known:] = log_softmax(shares[:, n_known:], axis=1) + novel
        shares = np.maximum(shares, -1e9)  # what is impossible still has an order
    return seconds_of(shares, solution.labels(n_known), solution.confidence)


def temperature_of(model: Model, table: Table) -> float:
    """The temperature of the softmax under which the labels of the table are likeliest."""
    labelled, width = table.y != UNLABELLED, METHODS[model.method].width
    n_columns = int(model.hparams[width]) if width else model.means.shape[1]
    squared = apply_model(model, table.x[labelled]).squared
    return fit_temperature(squared, table.y[labelled], n_columns)
