"""The network of PBN: encoder, linear classifier and a decoder that mirrors the encoder.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 3.4.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from ncd_jax.networks.layers import Perceptron, dense
from ncd_jax.types import Array

__all__ = ["Projection", "ProjectionNet", "unit_rows"]


class Projection(NamedTuple):
    """What the network says about `n` rows.

    Attributes:
        latent: `f32[n, L]`, before normalisation.
        logits: `f32[n, C]` over the known classes.
        reconstruction: `f32[n, d]` of the input.
    """

    latent: Array
    logits: Array
    reconstruction: Array


def unit_rows(h: Array) -> Array:
    """Rows of `f32[n, L]` scaled to Euclidean norm 1; a zero row stays zero."""
    return h / jnp.sqrt(jnp.maximum(jnp.sum(h**2, axis=-1, keepdims=True), 1e-24))


class ProjectionNet(nn.Module):
    """Encoder `d -> 3d/4 -> d/2 -> L`, classifier `L -> C`, decoder `L -> d/2 -> 3d/4 -> d`.

    Attributes:
        n_features: columns `d` of the table.
        n_known: known classes `C`.
        latent_width: columns `L` of the latent space.
    """

    n_features: int
    n_known: int
    latent_width: int

    @nn.compact
    def __call__(self, x: Array, latent_dim: Array, dropout: Array, *, train: bool) -> Projection:
        """Runs the network on `f32[n, d]`.

        Args:
            x: rows.
            latent_dim: traced scalar; latent columns from here on are zero, so one compiled
                program serves every latent size up to `L`.
            dropout: traced rate.
            train: whether batch statistics and dropout are those of training.
        """
        d = self.n_features
        wide, narrow = max(3 * d // 4, 1), max(d // 2, 1)
        latent = Perceptron((wide, narrow, self.latent_width))(x, d, dropout, train=train)
        latent = latent * (jnp.arange(self.latent_width) < latent_dim)
        z = unit_rows(latent)
        logits = dense(self.n_known, latent_dim)(z)
        reconstruction = Perceptron((narrow, wide, d))(z, latent_dim, dropout, train=train)
        return Projection(latent, logits, reconstruction)
