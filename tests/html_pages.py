"""Pages as a browser sees them, and names that would break a careless one."""

import base64
import json
import re
import shutil
import subprocess
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

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


def run_browser(page: Path, *flags: str) -> tuple[str, str]:
    """What a browser writes, and what scripts wrote to its console."""
    command = [
        find_browser(),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        "--v=0",
        "--virtual-time-budget=20000",
        f"--user-data-dir={page.parent / 'profile'}",
        *flags,
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    log = done.stderr.decode(errors="replace")
    return done.stdout.decode(), "\n".join(x for x in log.splitlines() if "CONSOLE" in x)


def browse(html: str, folder: Path) -> tuple[str, str]:
    """The document after its scripts ran, and what they wrote to the console."""
    (folder / "report.html").write_text(html, encoding="utf-8")
    return run_browser(folder / "report.html", "--dump-dom")
