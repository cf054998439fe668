"""How pages are made: one environment that escapes every text, and filters for numbers."""

import functools
import itertools
import math
import re

import jinja2
from jinja2.filters import do_mark_safe

__all__ = ["environment"]


@functools.cache
def environment(*packages: str) -> jinja2.Environment:
    """Our templates, and those of other packages of ours; a page's are compiled once.

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
        "class_name": _class_name,
        "without_flags": _without_flags,
    }
    return templates


def _percent(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.1%}"


def _decimals(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def _plural(n: int, word: str, words: str) -> str:
    return f"{n:,} {word if n == 1 else words}"


def _class_name(name: str) -> str:
    """The name of a class, marked where it is one that people may give another."""
    if re.fullmatch(r"novel_\d+", name):
        return do_mark_safe(f'<span data-class="{name}">{name}</span>')
    return name


def _without_flags(text: str) -> str:
    """A note without what to say on a command line, where there is none."""
    clauses = re.split(r"(?<=[;,]) ", text)
    kept = itertools.takewhile(lambda clause: not re.search(r"(^|\s)--[a-z]", clause), clauses)
    return " ".join(kept).rstrip(";,")
