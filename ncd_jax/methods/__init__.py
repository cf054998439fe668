"""The methods, one file each, and the registry that names them.

A new method is a file with a factory `(spec) -> Method` and an `INFO` that describes it. One of
this package has a line in `registry.METHODS`, one of somebody else's is registered.
"""

from ncd_jax.methods.registry import METHODS, Registry, load_plugin, register
from ncd_jax.methods.spec import MethodInfo, Spec

__all__ = ["METHODS", "MethodInfo", "Registry", "Spec", "load_plugin", "register"]
