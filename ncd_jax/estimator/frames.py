"""Frames of anybody at the entrance of the estimator."""

from typing import Any

from ncd_jax.estimator.parameters import as_value_errors
from ncd_jax.read.dtypes import is_frame, to_frame

__all__ = ["rows_of"]


def rows_of(X: Any) -> Any:
    """Frames of pandas, Polars or Arrow as pandas has them, in one form; all else as it is."""
    if not is_frame(X):
        return X
    with as_value_errors():
        return to_frame(X)
