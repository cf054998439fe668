"""From the evidence of pairs to groups: average linkage.

The evidence of two micro clusters is the log-odds that they are one class, so its sign says whether
to merge them. That of two groups is its mean over all pairs of their rows: merging goes on while it
is above 0.

Source of average linkage: Sokal and Michener, "A statistical method for evaluating systematic
relationships", 1958.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from ncd_jax.types import UNLABELLED, Array

__all__ = ["Merges", "best_partition", "evidence", "merges"]

MOST_EVIDENCE = 4.0

Triple = tuple[Array, Array, Array]


class Merges(NamedTuple):
    """All partitions of `M` micro clusters, one merge after the other.

    Attributes:
        labels: `i32[M, M]`, after as many merges as the row says the group of each micro cluster,
            numbered by the first of each; `UNLABELLED` where it is empty. When all are in one
            group it stays like that.
        linkage: `f32[M - 1]`, mean evidence between the two groups of each merge, never larger than
            that of the one before; minus infinity where none was left.
    """

    labels: Array
    linkage: Array


def evidence(log_odds: Array, pairs: Array) -> Array:
    """Evidence `f32[M, M]`: log-odds of one class, at most 4 either way; 0 for no pair.

    Args:
        log_odds: `f32[M, M]`, symmetric.
        pairs: `bool[M, M]`, two different micro clusters with rows.
    """
    return jnp.where(pairs, jnp.clip(log_odds, -MOST_EVIDENCE, MOST_EVIDENCE), 0.0)


def merges(evidence: Array, sizes: Array) -> Merges:
    """Merges the two groups with the largest mean evidence, until there is one.

    `M^2` operations a merge. Of equal ones the first in the order of the micro clusters wins.

    Args:
        evidence: `f32[M, M]`, symmetric.
        sizes: `i32[M]`, rows of each micro cluster; empty ones are left out.
    """
    chex.assert_shape(evidence, (len(sizes), len(sizes)))
    slots = jnp.arange(len(sizes), dtype=jnp.int32)
    filled = sizes > 0
    between = filled[:, None] & filled[None] & (slots[:, None] != slots[None])

    def merge(carry: Triple, _: None) -> tuple[Triple, tuple[Array, Array]]:
        mean, rows, group = carry
        first, second = jnp.unravel_index(jnp.argmax(mean), mean.shape)
        linkage = mean[first, second]

        # Once there is one group all linkages are infinite, first and second are both slot 0, and
        # the groups stay as they are.
        both = rows[first] + rows[second]
        joint = (rows[first] * mean[first] + rows[second] * mean[second]) / both
        is_first, is_second = slots == first, slots == second
        mean = jnp.where(
            is_first[:, None], joint[None], jnp.where(is_first[None], joint[:, None], mean)
        )
        mean = jnp.where(is_second[:, None] | is_second[None], -jnp.inf, mean)
        rows = jnp.where(is_second, 0.0, jnp.where(is_first, both, rows))
        group = jnp.where(group == second, first, group)
        return (mean, rows, group), (group, linkage)

    start = (jnp.where(between, evidence, -jnp.inf), sizes.astype(evidence.dtype), slots)
    _, (group, linkage) = jax.lax.scan(merge, start, length=len(sizes) - 1)
    group = jnp.concatenate([slots[None], group])
    number = jnp.cumsum((group == slots[None]) & filled[None], axis=1, dtype=jnp.int32) - 1
    labels = jnp.take_along_axis(number, group, axis=1)
    return Merges(jnp.where(filled[None], labels, UNLABELLED), linkage)


def best_partition(path: Merges) -> Array:
    """The partition `i32[M]` of most worth: that of all merges whose mean evidence is above 0.

    It is both, as no linkage is larger than the one before.
    """
    return path.labels[jnp.sum(path.linkage > 0)]
