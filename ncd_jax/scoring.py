"""Scoring against the truth: the only place, with the report's pictures, that sees it."""

import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.metrics import clustering_scores, contingency

__all__ = ["score"]


def score(labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """ACC, NMI and ARI of found classes `i[u]` against true ones `i[u]`, both from 0."""
    table = contingency(
        jnp.asarray(labels),
        jnp.asarray(truth),
        n_labels=int(labels.max()) + 1,
        n_classes=int(truth.max()) + 1,
    )
    return {name: float(value) for name, value in clustering_scores(table)._asdict().items()}
