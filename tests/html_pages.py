"""Pages as a browser sees them, and names that would break a careless one."""

import base64
import json
import re
import shutil
import zlib
from html.parser import HTMLParser

import pytest

from ncd_jax.report.templating import pack

HOSTILE = (
    "</script><script>alert(1)</script>",
    '<img src=x onerror="alert(2)">',
    "<b>bold</b> & {{ 7 * 7 }}",
    "'\"><svg onload=alert(3)>",
    "%{x} \u2028 <a href='https://example.org'>link</a>",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class Page(HTMLParser):
    """Text, elements and scripts of a document."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags, self.scripts = "", [], []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts[-1] += data
        else:
            self.text += data

    @property
    def figures(self) -> dict:
        text = self.scripts[1]
        return json.loads(text if text.startswith("{") else unpacked(text))


def unpacked(text: str) -> str:
    """What `report.embedded.pack` packed."""
    data = base64.b85decode(text.translate(str.maketrans(",.:", "<>&")))
    return zlib.decompressobj().decompress(data).decode()


def squeeze(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def find_browser() -> str:
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium or Chrome on PATH")


def without_figures(html: str) -> str:
    """A report with a Plotly that draws nothing, which is what takes the time in a browser.

    Its figures have the data and the layout that they were given.
    """
    script = pack(
        "const keep = (plot, data, layout) => Object.assign(plot, { data, layout });"
        "var Plotly = { newPlot: keep, react: keep, relayout() {}, Plots: { resize() {} } };"
    )
    start = '<script type="text/plain" id="packed-plotly" data-bytes="'
    before, _, after = html.partition(start)
    return f'{before}{start}{script.n_bytes}">{script.text}{after[after.index("</script>") :]}'
