"""Novel class discovery in tables, on JAX."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what is loaded lazily below, for those who read types
    from ncd_jax.estimator.novel_class_discovery import NovelClassDiscovery, hidden_class_scorer
    from ncd_jax.export import load_exported
    from ncd_jax.methods.registry import register

__all__ = [
    "NovelClassDiscovery",
    "__version__",
    "hidden_class_scorer",
    "load_exported",
    "register",
]

__version__ = "0.3.0"

_PLACES = {
    "NovelClassDiscovery": "estimator.novel_class_discovery",
    "hidden_class_scorer": "estimator.novel_class_discovery",
    "load_exported": "export",
    "register": "methods.registry",
}


def __getattr__(name: str) -> Any:
    """Loads what is public on first use, so that importing the package costs nothing."""
    if name in _PLACES:
        return getattr(importlib.import_module(f"ncd_jax.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
