"""One browser for every page that is looked at: it takes as long to start as a page to draw."""

from contextlib import contextmanager

import pytest
from html_pages import Page, find_browser


@pytest.fixture(scope="session")
def chromium():
    """A browser that Playwright drives."""
    sync_api = pytest.importorskip("playwright.sync_api")
    flags = ["--no-sandbox", "--disable-gpu"]
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=find_browser(), args=flags)
        yield browser
        browser.close()


class Opened:
    """A document of its own in a browser.

    Attributes:
        page: Playwright's.
        said: what scripts wrote to the console, threw or asked, and what the browser refused.
    """

    def __init__(self, page):
        self.page, self.said = page, []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))

    def now(self):
        """The document as it is after its scripts ran, without them."""
        self.page.evaluate("[...document.scripts].forEach((script) => script.remove())")
        return Page(self.page.evaluate("document.documentElement.outerHTML"))


@pytest.fixture(scope="session")
def opened(chromium, tmp_path_factory):
    """`with opened(html, width)` is a document in a window, after what `ready` selects is there."""

    @contextmanager
    def find(html, width=1280, ready="body[data-ready]"):
        path = tmp_path_factory.mktemp("opened") / "page.html"
        path.write_text(html, encoding="utf-8")
        context = chromium.new_context(viewport={"width": width, "height": 900})
        seen = Opened(context.new_page())
        seen.page.goto(path.as_uri())
        seen.page.wait_for_selector(ready, state="attached")
        yield seen
        context.close()

    return find
