"""An encoder with a cosine classifier of known classes and several heads of novel clusters.

Sources: Fini et al., "A unified objective for novel class discovery", ICCV 2021 (the heads);
Troisemaine et al., 2024, arXiv 2311.05440, section 3.4 (encoder and decoder).
"""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ncd_jax.clustering.rows import unit_rows
from ncd_jax.networks.layers import Dense, Perceptron, hidden_widths
from ncd_jax.types import Array

__all__ = ["JointHeads", "JointHeadsNet"]


class JointHeads(NamedTuple):
    """What the network says about `n` rows.

    Attributes:
        z: `f32[n, L]`, the latent, rows of norm 1.
        known: `f32[n, C]`, cosines with the known classes.
        novel: `f32[H, n, K]`, cosines with the clusters of every head.
        reconstruction: `f32[n, d]` of the input.
    """

    z: Array
    known: Array
    novel: Array
    reconstruction: Array


def unit_prototypes(key: Array, shape: tuple[int, ...]) -> Array:
    """Random directions on the last axis."""
    return unit_rows(jax.random.normal(key, shape, jnp.float32))


class KnownHead(nn.Module):
    """Cosines with a prototype for each of `n_classes` classes."""

    n_classes: int

    @nn.compact
    def __call__(self, z: Array, latent_dim: Array) -> Array:
        """Maps unit rows `f32[n, L]`, zero from column `latent_dim` on, to `f32[n, C]`."""
        width = z.shape[1]
        prototypes = self.param("prototypes", unit_prototypes, (self.n_classes, width))
        return z @ unit_rows(prototypes * (jnp.arange(width) < latent_dim)[None, :]).T


class NovelHeads(nn.Module):
    """Independent heads, each a projection (linear, BatchNorm, ReLU, linear) and prototypes.

    Their first layers are one product, as BatchNorm looks at every unit alone.

    Attributes:
        n_heads: heads `H`.
        n_slots: clusters `K` that a head has room for.
        hidden: units of a projection.
        width: columns of its result.
    """

    n_heads: int
    n_slots: int
    hidden: int
    width: int

    @nn.compact
    def __call__(self, z: Array, fan_in: Array | float, *, train: bool) -> Array:
        """Maps `f32[n, L]` with `fan_in` columns in use to cosines `f32[H, n, K]`."""
        h = Dense(self.n_heads * self.hidden)(z.T, fan_in).T
        h = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(h))
        h = h.reshape(len(z), self.n_heads, self.hidden)

        def init(key: Array, shape: tuple[int, ...]) -> Array:
            return jax.random.uniform(key, shape, jnp.float32, minval=-1.0) / math.sqrt(self.hidden)

        kernel = self.param("kernel", init, (self.n_heads, self.hidden, self.width))
        bias = self.param("bias", init, (self.n_heads, 1, self.width))
        projected = unit_rows(jnp.einsum("nhi,hio->hno", h, kernel) + bias)
        shape = (self.n_heads, self.n_slots, self.width)
        prototypes = unit_rows(self.param("prototypes", unit_prototypes, shape))
        return jnp.einsum("hno,hko->hnk", projected, prototypes)


class JointHeadsNet(nn.Module):
    """Encoder `d -> 3d/4 -> d/2 -> L`, its mirror as decoder, and both kinds of heads.

    Attributes:
        n_features: columns `d` of the table.
        n_known: known classes `C`.
        latent_width: columns `L` of the latent space.
        n_slots: novel clusters `K` that there is room for.
        n_heads: heads `H` of novel clusters.
        hidden: units of a novel head's projection.
        width: columns of its result.
    """

    n_features: int
    n_known: int
    latent_width: int
    n_slots: int
    n_heads: int = 2
    hidden: int = 128
    width: int = 32

    def setup(self) -> None:
        """Names the parts."""
        wide, narrow = hidden_widths(self.n_features)
        self.encoder = Perceptron((wide, narrow, self.latent_width))
        self.decoder = Perceptron((narrow, wide, self.n_features))
        self.known_head = KnownHead(self.n_known)
        self.novel_heads = NovelHeads(self.n_heads, self.n_slots, self.hidden, self.width)

    def __call__(self, x: Array, latent_dim: Array, dropout: Array, *, train: bool) -> JointHeads:
        """Runs the whole network on `f32[n, d]`.

        Args:
            x: rows.
            latent_dim: traced scalar; latent columns from here on are zero.
            dropout: traced rate, in encoder and decoder.
            train: whether batch statistics and dropout are those of training.
        """
        z, known, reconstruction = self.describe(x, latent_dim, dropout, train=train)
        novel = self.novel_heads(z, latent_dim, train=train)
        return JointHeads(z, known, novel, reconstruction)

    def describe(
        self, x: Array, latent_dim: Array, dropout: Array, *, train: bool
    ) -> tuple[Array, Array, Array]:
        """All of it but the novel heads: latent, known cosines and reconstruction."""
        z, known = self.recognise(x, latent_dim, dropout, train=train)
        return z, known, self.decoder(z.T, latent_dim, dropout, train=train).T

    def recognise(
        self, x: Array, latent_dim: Array, dropout: Array, *, train: bool
    ) -> tuple[Array, Array]:
        """Latent `f32[n, L]` and known cosines `f32[n, C]`."""
        latent = self.encoder(x.T, self.n_features, dropout, train=train).T
        z = unit_rows(latent * (jnp.arange(self.latent_width) < latent_dim)[None, :])
        return z, self.known_head(z, latent_dim)

    def discover(self, z: Array) -> Array:
        """Novel cosines `f32[H, n, K]` of latent rows, outside of training."""
        return self.novel_heads(z, self.latent_width, train=False)
