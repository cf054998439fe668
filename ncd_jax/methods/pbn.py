"""PBN, projection-based novel class discovery.

A latent space that tells the known classes apart (cross-entropy on labelled rows) and still
describes every row (reconstruction of all rows); novel rows are clustered in it.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 3.4.
"""

from typing import NamedTuple

from ncd_jax.methods import spaces
from ncd_jax.methods.parts import PAPER, EncoderState, encoder_method
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.networks.losses import known_cross_entropy, reconstruction_error
from ncd_jax.networks.projection import Projection, ProjectionNet
from ncd_jax.types import Array, Batch, Method

__all__ = ["INFO", "HParams", "pbn"]


class HParams(NamedTuple):
    """Traced hyperparameters, each a scalar; `w` is the share of the cross-entropy in the loss."""

    lr: Array
    w: Array
    dropout: Array
    latent_dim: Array


def pbn(spec: Spec) -> Method:
    """PBN as pure functions for the shapes in `spec`."""
    net = ProjectionNet(spec.n_features, spec.n_known, spec.latent_width)

    def loss(out: Projection, batch: Batch, present: Array, hparams: HParams) -> dict[str, Array]:
        known = known_cross_entropy(out.logits, batch.y, present)
        rebuild = reconstruction_error(out.reconstruction, batch.x, spec.blocks)
        total = hparams.w * known + (1.0 - hparams.w) * rebuild
        return {"loss": total, "cross_entropy": known, "reconstruction": rebuild}

    return encoder_method(spec, net, loss)


INFO = MethodInfo(
    title="PBN",
    make=pbn,
    hparams=HParams,
    state=EncoderState,
    space=spaces.pbn,
    citation=PAPER,
)
