"""How pages are made: one environment that escapes every text, and packing of what is long."""

import base64
import functools
import itertools
import json
import math
import re
import zlib
from importlib import metadata, util
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from jinja2.filters import do_mark_safe

from ncd_jax.data.table import is_novel_name
from ncd_jax.kept_programs import kept

__all__ = ["Packed", "environment", "pack", "pack_json", "packed_plotly", "plotly_script"]

_MARKUP = str.maketrans("<>&", ",.:")
"""Signs of Python's alphabet that mean something in HTML, and others for them."""


class Packed(NamedTuple):
    """Deflated bytes in base 85, which `report.js` unpacks, and how many there are."""

    text: str
    n_bytes: int


def pack(text: str) -> Packed:
    """Packs text for a script element: nothing in it ends one or is read as markup."""
    data = zlib.compress(text.encode(), 9)
    packed = base64.b85encode(data, pad=True).decode("ascii").translate(_MARKUP)
    return Packed(packed, len(data))


def pack_json(value: Any) -> Packed:
    """Packs what JSON can say."""
    return pack(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def plotly_script() -> str:
    """Plotly's script; the package, which takes long to import, does nothing but hold it."""
    found = util.find_spec("plotly")
    assert found is not None
    assert found.origin is not None
    script = Path(found.origin).parent / "package_data" / "plotly.min.js"
    return script.read_text(encoding="utf-8")


@functools.cache
def packed_plotly() -> Packed:
    """Plotly's script: 4.8 MB, packed 1.8, which takes a second and is kept."""

    def make() -> tuple[int, bytes]:
        packed = pack(plotly_script())
        return packed.n_bytes, packed.text.encode()

    n_bytes, text = kept(f"plotly-{metadata.version('plotly')}", make)
    return Packed(text.decode(), n_bytes)


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
        "percent": functools.partial(_figure, "{:.1%}"),
        "decimals": functools.partial(_figure, "{:.2f}"),
        "significant": "{:.4g}".format,
        "count": "{:,}".format,
        "plural": lambda n, word, words: f"{n:,} {word if n == 1 else words}",
        "class_name": _class_name,
        "without_flags": _without_flags,
    }
    return templates


def _figure(form: str, value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else form.format(value)


def _class_name(name: str) -> str:
    """The name of a class, marked where it is one that people may give another."""
    if is_novel_name(name):
        return do_mark_safe(f'<span data-class="{name}">{name}</span>')
    return name


def _without_flags(text: str) -> str:
    """A note without what to say on a command line, where there is none."""
    clauses = re.split(r"(?<=[;,]) ", text)
    kept = itertools.takewhile(lambda clause: not re.search(r"(^|\s)--[a-z]", clause), clauses)
    return " ".join(kept).rstrip(";,")
