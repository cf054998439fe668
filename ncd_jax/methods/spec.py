"""How the rest of the package meets a method: static facts in, a record of its parts out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ncd_jax.types import Blocks, Interval, Method

__all__ = ["MethodInfo", "Spec"]


@dataclass(frozen=True)
class Spec:
    """Static facts: equal ones share a compilation, a new one is a new compilation.

    Attributes:
        n_features: columns of the table.
        n_known: known classes.
        latent_width: columns of the representation that the program has room for; a
            candidate may use fewer.
        max_clusters: most novel classes that the program has room for.
        restarts: of k-means, where the method clusters by it; the best one counts.
        normalise: whether learned latents are scaled to norm 1 before they are clustered.
        variant: one of the method's variants.
        blocks: encoded columns of each category; see `networks.categories`. Methods that rebuild
            rows or make new ones look at them, all others treat them as numbers.
    """

    n_features: int
    n_known: int
    latent_width: int
    max_clusters: int = 20
    restarts: int = 10
    normalise: bool = True
    variant: str = ""
    blocks: Blocks = ()


@dataclass(frozen=True)
class MethodInfo:
    """A method as the registry knows it.

    Attributes:
        title: its name in tables and reports.
        make: builds the pure functions from static facts.
        hparams: the tuple of its traced hyperparameters.
        state: the tuple of its state.
        space: `(n_features) -> {name: Interval}`, the ranges that are tuned.
        citation: where it comes from.
        variants: static choices inside the method, the default first; one empty name where
            there is none.
        needs_k: whether it must know the number of clusters before it is fitted. Where nobody
            knows it, it is estimated in the columns of the table.
        tuned_on_known: whether its hyperparameters are judged by how well the known classes
            come out as clusters, without folds: for methods that never look at a label.
        k_tolerance: share of its best value that a validity index may be worse by for a smaller
            number of clusters to be taken: for representations in which it hardly falls beyond
            the true number.
        masked: whether it asks which rows of the data there are, so that these may be filled up.
        grid: hyperparameters that are all tried, and all have a say, where the judge is asked: for
            methods that are fitted at once; none where a search is worth its time.
        width: name of the hyperparameter that says how many columns of the representation are
            in use; none where the method itself knows.
    """

    title: str
    make: Callable[[Spec], Method]
    hparams: Callable[..., Any]
    state: Callable[..., Any]
    space: Callable[[int], dict[str, Interval]]
    citation: str
    variants: tuple[str, ...] = ("",)
    needs_k: bool = False
    tuned_on_known: bool = False
    k_tolerance: float = 0.0
    masked: bool = False
    grid: tuple[dict[str, float], ...] | None = None
    width: str | None = "latent_dim"
