"""The scikit-learn face."""

from ncd_jax.estimator.novel_class_discovery import NovelClassDiscovery

__all__ = ["NovelClassDiscovery"]
