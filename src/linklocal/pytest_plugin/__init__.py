"""Fixtures of `pip install linklocal[pytest]`: `linklocal` and `linklocal_instance`. See docs/testing.md.

pytest loads this in every session, so it imports nothing that takes time until a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from linklocal.pytest_plugin.double import Instance, Linklocal


@pytest.fixture(scope="session")
def linklocal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linklocal]:
    """The server of the session, as `linklocal` has it, for fixtures that set up what all tests share.

    What is made with it before the first test that uses `linklocal` is there in all of them.
    """
    from linklocal.pytest_plugin.process import running

    with running(tmp_path_factory.mktemp("linklocal")) as double:
        yield double


@pytest.fixture(scope="session")
def _linklocal_checkpoint(linklocal_server: Linklocal) -> None:
    linklocal_server.take_checkpoint()


@pytest.fixture
def linklocal(linklocal_server: Linklocal, _linklocal_checkpoint: None) -> Iterator[Linklocal]:
    """A running `linklocal dev` of this session's own, without a trace of the tests before.

    Afterwards what the test made, changed or deleted is as it was, and its faults are gone.
    """
    yield linklocal_server
    linklocal_server.restore_checkpoint()


@pytest.fixture
def linklocal_instance(linklocal: Linklocal) -> Instance:
    """A running instance of the test's own, with metadata on and a trusted profile that may read."""
    return linklocal.create_instance()
