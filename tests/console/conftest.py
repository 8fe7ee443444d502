"""A running `linklocal dev` and Debian's Chromium for the tests of the console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from browser import Visitor, assets_built, chromium
from cloud import Cloud, clients
from live import Dev, running
from playwright.sync_api import Browser

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.needs("chromium", "chromium"))
            item.add_marker(pytest.mark.needs("npm", "npm"))


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    assert assets_built(), "the console's assets are not built: run `make console`"
    with running(tmp_path_factory.mktemp("console") / "state") as dev:
        yield dev


@pytest.fixture(scope="session")
def cloud(dev: Dev) -> Cloud:
    return clients(dev)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ended with its file: Playwright keeps an event loop running, in which no other test can run one."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, dev: Dev) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors with a browser of their own; at the end each must have had a clean page."""
    with ExitStack() as stack:

        def make(**options: object) -> Visitor:
            return stack.enter_context(Visitor(browser, dev, **options))

        yield make


@pytest.fixture
def visitor(visit: Callable[..., Visitor]) -> Visitor:
    """Somebody who is signed in as the administrator."""
    return visit().sign_in()
