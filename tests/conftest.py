"""What every test folder shares: what a test may need from the machine, and the PostgreSQL server.

A missing tool is a failure in CI (`CI` is set there) and a skip that names the package elsewhere, so
that no run is green because something was absent.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import postgres
import pytest

_REASON = re.compile(r"needs (?P<what>.+): apt-get install (?P<package>[\w.+-]+)")
_TESTS = Path(__file__).parent
# Debian keeps nft, ip and the like where only root looks.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


# What takes longest comes first, so that the workers end together: a file is one worker's.
_SLOWEST_FIRST = ("crash", "wire", "netns", "console", "enter", "db", "fuzz")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: much of what tests do is wait for the processes they started."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(_TESTS).parts[0]
        return _SLOWEST_FIRST.index(folder) if folder in _SLOWEST_FIRST else len(_SLOWEST_FIRST)

    items.sort(key=place)


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def give_up(what: str, package: str | None = None) -> NoReturn:
    """End the running test for want of something: failure in CI, named skip elsewhere."""
    reason = f"needs {what}"
    if package is not None:
        reason += f": apt-get install {package}"
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        tool, package = marker.args
        if shutil.which(tool, path=_PATH) is None:
            give_up(tool, package)
    if item.get_closest_marker("root") is not None and os.geteuid() != 0:
        give_up("root")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was not tested and the line that mends it. Read from the reports, which workers send too."""
    reports = [*terminalreporter.getreports("skipped"), *terminalreporter.getreports("failed")]
    found = {_REASON.search(str(report.longrepr)) for report in reports}
    missing = {match["package"]: match["what"] for match in found if match is not None}
    if missing:
        terminalreporter.section("missing tools")
        terminalreporter.line(f"not tested here: what needs {', '.join(sorted(missing.values()))}")
        terminalreporter.line(f"apt-get install {' '.join(sorted(missing))}")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.PostgresServer]:
    """One server for the whole session, started when the first test asks for it."""
    where = postgres.binaries()
    if where is None:
        give_up("PostgreSQL", postgres.PACKAGE)
    with postgres.start(where) as server:
        yield server
