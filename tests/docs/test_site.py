"""The documentation's site: built without a warning, and read in a browser that may ask no other host."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import chromium
from mkdocs.commands.build import build
from mkdocs.config import load_config
from playwright.sync_api import Page

CONFIG = Path(__file__).parents[2] / "mkdocs.yml"
pytestmark = pytest.mark.needs("chromium", "chromium")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a site that is built as `make docs` does: a link that leads nowhere ends it."""
    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(CONFIG), site_dir=str(folder))
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def page(site: str) -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        problems: list[str] = []
        page.on("console", lambda said: said.type == "error" and problems.append(said.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                asked.url.startswith((site, "data:", "blob:"))
                or problems.append(f"asked another host: {asked.url}")
            ),
        )
        yield page
        assert not problems


def test_every_page_is_reached_and_fits(site: str, page: Page) -> None:
    """From the navigation; on a small screen none is wider than that."""
    page.goto(f"{site}/index.html")
    links = page.locator(".md-nav--primary a.md-nav__link[href$='.html']")
    targets = {link.get_attribute("href") or "" for link in links.all()}
    assert {"first-steps.html", "operations.html", "api.html"} <= targets
    page.set_viewport_size({"width": 400, "height": 900})
    for target in sorted(targets):
        page.goto(f"{site}/{target}", wait_until="domcontentloaded")
        assert page.locator("h1").count() == 1, target
        assert not page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        ), target


@pytest.mark.parametrize(
    ("target", "operation"),
    [("api.html", "/v1/instances/{id}"), ("metadata-api.html", "/identity/v1/token")],
)
def test_the_apis_are_described(site: str, page: Page, target: str, operation: str) -> None:
    page.goto(f"{site}/{target}")
    shown = page.frame_locator("iframe").locator(f'[data-path="{operation}"]').first
    shown.wait_for()
