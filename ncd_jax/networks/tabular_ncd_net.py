"""The network of TabularNCD: an encoder, a classification head and a clustering head.

Sources: Troisemaine et al., "A Method for Discovering Novel Classes in Tabular Data", 2022,
arXiv 2209.01217; and, for the widths, "A Practical Approach to Novel Class Discovery in
Tabular Data", 2024, arXiv 2311.05440.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from ncd_jax.networks.layers import Dense, Perceptron, hidden_widths
from ncd_jax.types import Array

__all__ = ["TabularNCDNet", "TabularNCDOutput"]


class TabularNCDOutput(NamedTuple):
    """What the network says about `n` rows.

    Attributes:
        latent: `f32[n, L]`, not normalised.
        logits: `f32[n, C + 1]` over the known classes and "some novel class".
        clusters: `f32[n, K]`, logits of all cluster slots.
    """

    latent: Array
    logits: Array
    clusters: Array


class _Head(nn.Module):
    """A linear layer inside a module, whose name stored models know."""

    width: int

    @nn.compact
    def __call__(self, z: Array, fan_in: Array | float) -> Array:
        return Dense(self.width)(z, fan_in)


class TabularNCDNet(nn.Module):
    """Encoder `d -> 3d/4 -> d/2 -> L`, and linear heads `L -> C + 1` and `L -> K`.

    Attributes:
        n_features: columns `d` of the table.
        n_known: known classes `C`.
        latent_width: columns `L` of the latent space.
        max_clusters: cluster slots `K`.
    """

    n_features: int
    n_known: int
    latent_width: int
    max_clusters: int

    def setup(self) -> None:
        """Names the parts, so that the clustering head can be asked alone."""
        self.encoder = Perceptron((*hidden_widths(self.n_features), self.latent_width))
        self.classification = _Head(self.n_known + 1)
        self.clustering = _Head(self.max_clusters)

    def __call__(
        self, x: Array, kinds: Array, latent_dim: Array, dropout: Array, *, train: bool
    ) -> TabularNCDOutput:
        """Runs the network on `f32[n, d]`.

        Args:
            x: rows.
            kinds: `f32[n, G]`, 1 for the kind of each row and 0 for the others. In training
                BatchNorm takes them apart; the running statistics are those of the first.
            latent_dim: traced scalar; latent columns from here on are zero.
            dropout: traced rate.
            train: whether batch statistics and dropout are those of training.
        """
        latent = self.encoder(x.T, self.n_features, dropout, train=train, kinds=kinds)
        latent = latent * (jnp.arange(self.latent_width) < latent_dim)[:, None]
        classes = self.classification(latent, latent_dim)
        clusters = self.clustering(latent, latent_dim)
        return TabularNCDOutput(latent.T, classes.T, clusters.T)

    def clusters(self, latent: Array) -> Array:
        """Logits `f32[n, K]` of all cluster slots from latents `f32[n, L]`."""
        return self.clustering(latent.T, 1.0).T
