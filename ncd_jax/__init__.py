"""Novel class discovery in tables, on JAX."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what is loaded lazily below, for those who read types
    from ncd_jax.estimator.novel_class_discovery import NovelClassDiscovery

__all__ = ["NovelClassDiscovery", "__version__"]

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """Loads what is public on first use, so that importing the package costs nothing."""
    if name in __all__:
        return getattr(importlib.import_module("ncd_jax.estimator.novel_class_discovery"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
