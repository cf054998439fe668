"""The networks of the baseline and of PBN: encoder, linear classifier, decoder.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 3.4.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ncd_jax.networks.layers import Dense, Perceptron
from ncd_jax.types import Array

__all__ = ["Classification", "ClassifierNet", "Projection", "ProjectionNet", "unit_rows"]


class Classification(NamedTuple):
    """What an encoder with a classifier says about `n` rows.

    Attributes:
        latent: `f32[n, L]`, before normalisation.
        logits: `f32[n, C]` over the known classes.
    """

    latent: Array
    logits: Array


class Projection(NamedTuple):
    """What the network of PBN says about `n` rows.

    Attributes:
        latent: `f32[n, L]`, before normalisation.
        logits: `f32[n, C]` over the known classes.
        reconstruction: `f32[n, d]` of the input.
    """

    latent: Array
    logits: Array
    reconstruction: Array


def unit_rows(h: Array, axis: int = -1) -> Array:
    """Rows of `f32[n, L]` scaled to Euclidean norm 1; a zero row stays zero.

    Args:
        h: the rows.
        axis: of the columns; 0 where rows are the last axis.
    """
    return h * jax.lax.rsqrt(jnp.maximum(jnp.sum(h**2, axis=axis, keepdims=True), 1e-24))


def _hidden(n_features: int) -> tuple[int, int]:
    """Widths of the encoder's hidden layers; a decoder has them the other way round."""
    return max(3 * n_features // 4, 1), max(n_features // 2, 1)


def _encode(
    x: Array, latent_width: int, latent_dim: Array, dropout: Array, *, train: bool
) -> tuple[Array, Array]:
    """Latents `f32[L, n]` before and after normalisation, by layers of the calling network."""
    d = x.shape[1]
    latent = Perceptron((*_hidden(d), latent_width))(x.T, d, dropout, train=train)
    latent = latent * (jnp.arange(latent_width) < latent_dim)[:, None]
    return latent, unit_rows(latent, axis=0)


class ClassifierNet(nn.Module):
    """Encoder `d -> 3d/4 -> d/2 -> L` and classifier `L -> C` on normalised latents.

    Attributes:
        n_known: known classes `C`.
        latent_width: columns `L` of the latent space.
    """

    n_known: int
    latent_width: int

    @nn.compact
    def __call__(
        self, x: Array, latent_dim: Array, dropout: Array, *, train: bool
    ) -> Classification:
        """Runs the network on `f32[n, d]`; arguments as those of `ProjectionNet`."""
        latent, z = _encode(x, self.latent_width, latent_dim, dropout, train=train)
        return Classification(latent.T, Dense(self.n_known)(z, latent_dim).T)


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
        latent, z = _encode(x, self.latent_width, latent_dim, dropout, train=train)
        logits = Dense(self.n_known)(z, latent_dim)
        wide, narrow = _hidden(self.n_features)
        mirror = Perceptron((narrow, wide, self.n_features))
        rebuilt = mirror(z, latent_dim, dropout, train=train)
        return Projection(latent.T, logits.T, rebuilt.T)
