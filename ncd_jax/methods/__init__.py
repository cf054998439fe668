"""The methods, one file each, and the registry that names them.

A new method is a file with a factory `(spec) -> Method` and an `ENTRY` that describes it, and
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
from ncd_jax.methods.spec import Entry, Spec

__all__ = ["METHODS", "Entry", "Spec"]

METHODS: dict[str, Entry] = {
    "kmeans": kmeans.ENTRY,
    "ncd_kmeans": ncd_kmeans.ENTRY,
    "sc": sc.ENTRY,
    "ncd_sc": ncd_sc.ENTRY,
    "rca": rca.ENTRY,
    "baseline": baseline.ENTRY,
    "pbn": pbn.ENTRY,
    "tabular_ncd": tabular_ncd.ENTRY,
    "cr_kd": cr_kd.ENTRY,
}
