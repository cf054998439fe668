"""The baseline: a latent space that tells the known classes apart, and nothing else.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 6.
"""

from typing import NamedTuple

from ncd_jax.methods import spaces
from ncd_jax.methods.parts import PAPER, EncoderState, encoder_method
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.networks.losses import known_cross_entropy
from ncd_jax.networks.projection import Projection, ProjectionNet
from ncd_jax.types import Array, Batch, Method

__all__ = ["INFO", "HParams", "baseline"]


class HParams(NamedTuple):
    """Traced hyperparameters, each a scalar."""

    lr: Array
    dropout: Array
    latent_dim: Array


def baseline(spec: Spec) -> Method:
    """The baseline as pure functions for the shapes in `spec`."""
    net = ProjectionNet(spec.n_features, spec.n_known, spec.latent_width, rebuilds=False)

    def loss(out: Projection, batch: Batch, present: Array, hparams: HParams) -> dict[str, Array]:
        del hparams
        return {"loss": known_cross_entropy(out.logits, batch.y, present)}

    return encoder_method(spec, net, loss)


INFO = MethodInfo(
    title="Baseline",
    make=baseline,
    hparams=HParams,
    state=EncoderState,
    space=spaces.encoder,
    citation=PAPER,
)
