"""How pages are made: one environment that escapes every text, and filters for numbers."""

import math

import jinja2

__all__ = ["environment"]


def environment(*packages: str) -> jinja2.Environment:
    """Our templates, and those of other packages of ours.

    A name that a page lacks is an error, not a gap.
    """
    templates = jinja2.Environment(
        loader=jinja2.ChoiceLoader([*map(jinja2.PackageLoader, (*packages, "ncd_jax.report"))]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "percent": _percent,
        "decimals": _decimals,
        "significant": "{:.4g}".format,
        "count": "{:,}".format,
        "plural": _plural,
    }
    return templates


def _percent(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.1%}"


def _decimals(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def _plural(n: int, word: str, words: str) -> str:
    return f"{n:,} {word if n == 1 else words}"
