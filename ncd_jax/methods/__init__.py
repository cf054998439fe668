"""The methods, one file each, and the registry that names them.

A new method is a file with a factory `(spec) -> Method` and an `INFO` that describes it, and
one line below.
"""

from ncd_jax.methods import (
    baseline,
    cr_kd,
    kmeans,
    ncd_kmeans,
    ncd_sc,
    pbn,
    rca,
    sc,
    tabular_ncd,
)
from ncd_jax.methods.spec import MethodInfo, Spec

__all__ = ["METHODS", "MethodInfo", "Spec"]

METHODS: dict[str, MethodInfo] = {
    "kmeans": kmeans.INFO,
    "ncd_kmeans": ncd_kmeans.INFO,
    "sc": sc.INFO,
    "ncd_sc": ncd_sc.INFO,
    "rca": rca.INFO,
    "baseline": baseline.INFO,
    "pbn": pbn.INFO,
    "tabular_ncd": tabular_ncd.INFO,
    "cr_kd": cr_kd.INFO,
}
