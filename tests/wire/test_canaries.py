"""Secrets that were planted are found nowhere but where they belong.

Used rightly and wrongly (in a path, a query, another field), then looked for in logs at debug level, the
table of events, audit files and output, metrics, errors and console pages.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import live
import pytest
from canaries import LICENCE, VERSION, Planted, use
from guest import until
from processes import free_port

# Not the streams of changes: they have rows of these pages.
PAGES = (
    "instances", "instances/{id}", "templates", "profiles", "api-keys", "nodes", "ssh-keys", "images",
    "vpcs", "subnets",
)  # fmt: skip


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """Everything is planted and used; the server runs on until the tests are done."""
    folder, port = tmp_path_factory.mktemp("canaries") / "state", free_port()
    environment = {
        **live.clean_environment(),
        "LINKLOCAL_LOG_LEVEL": "debug",
        "LINKLOCAL_STATUS_PORT": str(port),
        "LINKLOCAL_AUDIT_SINKS": '["file", "stdout"]',
        "LINKLOCAL_METRICS_PER_INSTANCE": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "clean_environment", lambda: environment)
        with live.running(folder) as dev:
            planted = Planted(dev, port)
            with httpx.Client(timeout=30) as http:
                use(planted, http)
                _use_licence(planted, http)
            yield planted


def _use_licence(planted: Planted, http: httpx.Client) -> None:
    """The demo instance has software with a licence key."""
    dev = planted.dev
    demo = next(one for one in dev.ready["instances"] if one["id"] != planted.instance_id)[
        "metadata"
    ]
    answer = http.put(
        f"{demo}/identity/v1/token", params=VERSION, headers={"Metadata-Flavor": "ibm"}
    )
    software = http.get(
        f"{demo}/metadata/v1/instance/software_attachments",
        params=VERSION,
        headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
    )
    assert LICENCE in software.text  # the guest gets it, so it is a secret that is about
    until(lambda: _event_of(planted, "is.metadata.instance-software-attachment.list"), 30)


def _event_of(planted: Planted, action: str) -> bool:
    return f'"{action}"' in _database(planted)


def _database(planted: Planted) -> str:
    """Every row of the events, as text."""
    with sqlite3.connect(planted.dev.state_dir / "linklocal.db") as connection:
        rows = connection.execute("SELECT * FROM events").fetchall()
    return "\n".join(str(row) for row in rows)


def test_no_event_has_a_secret(planted: Planted) -> None:
    stored = _database(planted)

    assert planted.instance_id in stored
    assert planted.leaks("the table of events", stored) == []


def test_no_file_that_is_kept_has_a_secret(planted: Planted) -> None:
    """The audit sinks' file and the node's record."""
    folder = planted.dev.state_dir
    until(lambda: planted.instance_id in _texts(folder / "audit"), 30)
    until(lambda: planted.instance_id in _texts(folder / "node" / "events"), 30)

    assert planted.leaks("the audit file", _texts(folder / "audit")) == []
    assert planted.leaks("the node's events", _texts(folder / "node" / "events")) == []


def _texts(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.iterdir()))


def test_no_log_has_a_secret(planted: Planted) -> None:
    """Standard output and error at debug level; the audit sink of standard output writes there, too."""
    log = planted.dev.state_dir.with_name(f"{planted.dev.state_dir.name}.log")
    until(lambda: "is.metadata.certificate.create" in log.read_text(), 30)

    assert planted.leaks("the log", log.read_text()) == []


def test_no_metric_has_a_secret(planted: Planted) -> None:
    server = httpx.get(f"{planted.dev.api}/metrics", timeout=30).text
    node = httpx.get(f"{planted.status}/metrics", timeout=30).text

    assert 'operation="create_instance"' in server
    assert f'instance="{planted.instance_id}"' in node
    assert planted.leaks("metrics", server + node) == []


def test_no_refusal_has_a_secret(planted: Planted) -> None:
    assert len(planted.refusals) == 10
    assert [leak for text in planted.refusals for leak in planted.leaks(text[:200], text)] == []


def test_no_page_of_the_console_has_a_secret(planted: Planted) -> None:
    with httpx.Client(base_url=planted.dev.api, follow_redirects=True, timeout=30) as http:
        signed = http.post("/console/sign-in", data={"api_key": planted.dev.api_key})
        assert signed.status_code == 200, signed.text
        for page in PAGES:
            answer = http.get(f"/console/{page.format(id=planted.instance_id)}")
            if answer.headers.get("content-type", "").startswith("text/html"):
                assert planted.leaks(page, answer.text) == []
        # The instance's own page shows its name: it was this page, and not that of the sign-in.
        assert planted.instance_id in http.get(f"/console/instances/{planted.instance_id}").text


def test_what_listens_tells_no_secret_of_its_arguments(planted: Planted) -> None:
    """Any user of the machine can read the arguments of a process."""
    shown = subprocess.run(
        ["ps", "-o", "args=", "-p", str(planted.dev.process.pid)],
        capture_output=True, text=True, timeout=30, check=True,
    ).stdout  # fmt: skip

    assert re.search(r"linklocal dev", shown)
    assert planted.leaks("the arguments", shown) == []
