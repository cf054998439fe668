"""The networks of the baseline and of PBN: encoder, linear classifier, decoder.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 3.4.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from ncd_jax.clustering.rows import unit_rows
from ncd_jax.networks.layers import Dense, Perceptron, hidden_widths
from ncd_jax.types import Array

__all__ = ["Projection", "ProjectionNet"]


class Projection(NamedTuple):
    """What the network says about `n` rows.

    Attributes:
        latent: `f32[n, L]`, before normalisation.
        logits: `f32[n, C]` over the known classes.
        reconstruction: `f32[n, d]` of the input; no columns without a decoder.
    """

    latent: Array
    logits: Array
    reconstruction: Array


class ProjectionNet(nn.Module):
    """Encoder `d -> 3d/4 -> d/2 -> L`, classifier `L -> C`, decoder `L -> d/2 -> 3d/4 -> d`.

    The classifier and the decoder are given latents of norm 1.

    Attributes:
        n_features: columns `d` of the table.
        n_known: known classes `C`.
        latent_width: columns `L` of the latent space.
        rebuilds: whether there is a decoder.
    """

    n_features: int
    n_known: int
    latent_width: int
    rebuilds: bool = True

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
        d, (wide, narrow) = self.n_features, hidden_widths(self.n_features)
        latent = Perceptron((wide, narrow, self.latent_width))(x.T, d, dropout, train=train)
        latent = latent * (jnp.arange(self.latent_width) < latent_dim)[:, None]
        z = unit_rows(latent, axis=0)
        logits = Dense(self.n_known)(z, latent_dim)
        if not self.rebuilds:
            return Projection(latent.T, logits.T, x[:, :0])
        rebuilt = Perceptron((narrow, wide, d))(z, latent_dim, dropout, train=train)
        return Projection(latent.T, logits.T, rebuilt.T)
