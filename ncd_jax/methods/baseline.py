"""The baseline: a latent space that tells the known classes apart, and nothing else.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 6.
"""

from typing import NamedTuple

from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.methods.training import State, encoder_method, encoder_space
from ncd_jax.networks.losses import known_cross_entropy
from ncd_jax.networks.projection import Classification, ClassifierNet
from ncd_jax.types import Array, Batch, Method

__all__ = ["INFO", "HParams", "baseline"]


class HParams(NamedTuple):
    """Traced hyperparameters, each a scalar.

    Attributes:
        lr: learning rate of AdamW.
        dropout: dropout rate in the encoder.
        latent_dim: latent columns in use.
    """

    lr: Array
    dropout: Array
    latent_dim: Array


def baseline(spec: Spec) -> Method:
    """The baseline as pure functions for the shapes in `spec`."""
    net = ClassifierNet(spec.n_known, spec.latent_width)

    def loss(
        out: Classification, batch: Batch, present: Array, hparams: HParams
    ) -> dict[str, Array]:
        del hparams
        return {"loss": known_cross_entropy(out.logits, batch.y, present)}

    return encoder_method(spec, net, loss)


INFO = MethodInfo(
    title="Baseline",
    make=baseline,
    hparams=HParams,
    state=State,
    space=encoder_space,
    citation="C. Troisemaine, A. Reiffers-Masson, S. Gosselin, V. Lemaire, S. Vaton: A Practical "
    "Approach to Novel Class Discovery in Tabular Data. Data Mining and Knowledge Discovery, "
    "2024. arXiv 2311.05440.",
)
