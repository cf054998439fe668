"""The hyperparameters of the methods that come with the package, and where they are searched.

They are here and not in the files of the methods as the command line is made of them, and whoever
asks it for help, or misspells a flag, does not wait for JAX.
"""

from collections.abc import Callable

from ncd_jax.types import Interval

__all__ = ["SPACES", "cr_kd", "encoder", "ncd_sc", "nothing", "pbn", "rca", "tabular_ncd"]


def nothing(n_features: int) -> dict[str, Interval]:
    """No ranges, whatever the number of columns."""
    del n_features
    return {}


def ncd_sc(n_features: int) -> dict[str, Interval]:
    """Of NCD SC, whatever the number of columns."""
    del n_features
    return {
        "min_dist": Interval(
            0.1,
            0.993,
            valid=(1e-6, 0.9999),
            meaning="affinity of the rows that are hardest to connect",
        ),
        "n_components": Interval(
            2, 64, log=True, integer=True, valid=(1, 1000), meaning="eigenvectors in use"
        ),
    }


def rca(n_features: int) -> dict[str, Interval]:
    """Of RCA, whatever the number of columns."""
    del n_features
    return {
        "shrinkage": Interval(
            0.001,
            1.0,
            log=True,
            valid=(1e-6, 1.0),
            meaning="weight of the identity in the covariance within classes",
        )
    }


def encoder(n_features: int) -> dict[str, Interval]:
    """Of an encoder for a table of `n_features` columns."""
    low, high = min(8, n_features), min(max(n_features, 32), 512)
    return {
        "lr": Interval(1e-4, 1e-2, log=True, valid=(1e-12, 1e12), meaning="learning rate"),
        "dropout": Interval(
            0.0, 0.6, valid=(0.0, 0.99), meaning="share of units that are switched off in training"
        ),
        "latent_dim": Interval(
            low, high, True, True, valid=(1, 10_000), meaning="columns of the latent space"
        ),
    }


def pbn(n_features: int) -> dict[str, Interval]:
    """Of PBN for a table of `n_features` columns."""
    of_encoder = encoder(n_features)
    meaning = "balance between telling known classes apart and rebuilding the row"
    return {"lr": of_encoder["lr"], "w": Interval(0.0, 1.0, meaning=meaning), **of_encoder}


def tabular_ncd(n_features: int) -> dict[str, Interval]:
    """Of TabularNCD for a table of `n_features` columns."""
    return encoder(n_features) | {
        "k_neighbors": Interval(
            1, 100, integer=True, valid=(1, 10_000), meaning="neighbours a row may be moved to"
        ),
        "top_k": Interval(
            0.02, 1.0, meaning="similar rows that belong in one cluster, as a share of a class"
        ),
        "w1": Interval(
            0.0, 1.0, meaning="balance between telling known classes apart and steady answers"
        ),
        "w2": Interval(
            0.0, 1.0, meaning="balance between similar rows in one cluster and steady answers"
        ),
    }


def cr_kd(n_features: int) -> dict[str, Interval]:
    """Of class-relation distillation for a table of `n_features` columns."""
    return encoder(n_features) | {
        "alpha": Interval(
            0.0, 1.0, valid=(0.0, 1e6), meaning="weight of keeping the likeness to known classes"
        ),
        "mask_rate": Interval(
            0.1, 0.6, meaning="share of a row's entries that a view takes from other rows"
        ),
        "noise": Interval(
            0.0, 0.3, valid=(0.0, 1e6), meaning="noise of a view, in standard deviations"
        ),
        "reconstruction": Interval(
            1e-3, 1.0, log=True, valid=(0.0, 1e6), meaning="weight of rebuilding the row"
        ),
    }


SPACES: dict[str, Callable[[int], dict[str, Interval]]] = {
    "kmeans": nothing,
    "ncd_kmeans": nothing,
    "sc": nothing,
    "ncd_sc": ncd_sc,
    "rca": rca,
    "baseline": encoder,
    "pbn": pbn,
    "tabular_ncd": tabular_ncd,
    "cr_kd": cr_kd,
}
"""By the name of the method, which is that of its file; in the order of tables."""
