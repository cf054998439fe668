"""What other tables teach of one class or two: the weights that every table starts from.

They were learned on pairs of micro clusters of hidden classes, each table weighing the same:
mfeat, optdigits, pendigits, letter, cnae9, har, nsl_kdd, soybean, yeast, led7, ecoli, glass,
audiology, spectrometer and a sample of pbmc. `prior.json` holds them, with the command that makes
it.
"""

import json
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.judge.confidence import CONFIDENCE_FEATURES
from ncd_jax.judge.features import NAMES
from ncd_jax.judge.number import NUMBER_FEATURES
from ncd_jax.types import Array

__all__ = ["Prior", "read_prior"]


class Prior(NamedTuple):
    """Where the weights of a table are drawn to, and the scale on which they are.

    Attributes:
        mean: `f32[F]`, of each feature of a pair.
        scale: `f32[F]`, its standard deviation.
        weights: `f32[F + 1]`, of the standardised features, the intercept last.
        number: `f32[4]`, of the features in `judge.number`, the intercept last.
        confidence: `f32[D + 1]`, of the features in `judge.confidence`, the intercept last.
    """

    mean: Array
    scale: Array
    weights: Array
    number: Array
    confidence: Array

    def standardise(self, features: Array) -> Array:
        """Features `f32[..., F]` on the scale of the weights."""
        mean, scale = (jnp.broadcast_to(each, features.shape) for each in self[:2])
        return (features - mean) / scale


def read_prior(path: Path | None = None) -> Prior:
    """Reads a prior, by default the one that comes with the package.

    Args:
        path: a JSON file as `python -m benchmarks.judge_prior` writes it.

    Raises:
        ValueError: if its features are not those that are computed, in their order.
    """
    source = path or resources.files("ncd_jax.judge").joinpath("prior.json")
    content = json.loads(source.read_text(encoding="utf-8"))
    pairs = content["pairs"]
    for said, names in (
        (pairs["features"], NAMES),
        (content["number"]["features"], NUMBER_FEATURES),
        (content["confidence"]["features"], CONFIDENCE_FEATURES),
    ):
        if tuple(said) != names:
            raise ValueError(f"{source} has the features {', '.join(said)}, not {', '.join(names)}")
    arrays = (
        pairs["mean"],
        pairs["scale"],
        pairs["weights"],
        content["number"]["weights"],
        content["confidence"]["weights"],
    )
    return Prior(*(jax.device_put(np.array(each, np.float32)) for each in arrays))
