"""The static facts that shape a method's program."""

from dataclasses import dataclass

__all__ = ["Spec"]


@dataclass(frozen=True)
class Spec:
    """Static facts: equal ones share a compilation, a new one is a new compilation.

    Attributes:
        n_features: columns of the table.
        n_known: known classes.
        latent_width: latent columns the program has room for; a candidate's `latent_dim`
            may be anything up to it.
        normalise: whether novel rows are clustered on latents scaled to norm 1.
    """

    n_features: int
    n_known: int
    latent_width: int
    normalise: bool = True
