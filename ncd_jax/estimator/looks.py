"""How a fitted estimator shows what it found: in a line, in a notebook, as a page."""

import html
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from ncd_jax.report.headline import headline

__all__ = ["ShowsItsAnswer", "answer_of"]


def answer_of(labels: np.ndarray, n_known: int, k: int) -> str:
    """The headline of a fit.

    Args:
        labels: `i[u]`, the class of every unlabelled row; known ones come first.
        n_known: number of known classes.
        k: number of novel ones.
    """
    n_rows_known = int((labels < n_known).sum())
    found = {"n_novel_estimated": k, "n_unlabelled": len(labels), "n_rows_known": n_rows_known}
    return headline(found) if len(labels) else ""


class ShowsItsAnswer:
    """A mixin: once an estimator is fitted, it shows its answer beside its parameters."""

    _headline: str
    _report: bytes | None
    assignments_: pd.DataFrame

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        base: Any = super()
        said = getattr(self, "_headline", "")
        return f"{base.__repr__(N_CHAR_MAX)}{said and f'  # {said}'}"

    def _repr_html_inner(self) -> str:
        base: Any = super()
        page = str(base._repr_html_inner())
        if not getattr(self, "_headline", ""):
            return page
        classes = self.assignments_.groupby("label", sort=False)["confidence"]
        sizes = classes.agg(["size", "mean"]).sort_values("size", ascending=False)
        sizes = sizes.set_axis(["rows", "mean confidence"], axis=1).rename_axis("class")
        table = sizes.reset_index().to_html(index=False, float_format="{:.1%}".format, border=0)
        return f"<p><strong>{html.escape(self._headline)}</strong></p>{table}{page}"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        base: Any = super()
        bundle: dict[str, str] = base._repr_mimebundle_(**kwargs)
        if "text/html" in bundle:
            bundle["text/html"] = self._repr_html_inner()
        return bundle

    def report(self, path: str | Path) -> Path:
        """Writes the report of the fit, one self-contained HTML file.

        Raises:
            NotFittedError: nothing was fitted.
            ValueError: the fit was without tuning.
        """
        check_is_fitted(self)
        if self._report is None:
            raise ValueError("there is no report of a fit without tuning, as this one was")
        Path(path).write_bytes(zlib.decompress(self._report))
        return Path(path)
