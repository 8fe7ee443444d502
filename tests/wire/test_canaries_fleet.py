"""A server and a node as two processes: no planted secret gets out, and all metrics are really there.

As test_canaries.py, with what a fleet has besides: the audit's HTTP sink, the node's own log and files, the
console's streams of events, and a scrape of both processes.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import live
import processes
import pytest
from canaries import Planted, use
from guest import until
from processes import Fleet, free_port, placed_instance
from prometheus_client.parser import text_string_to_metric_families

from linklocal.node import metrics as node_metrics
from linklocal.server.metrics import METRICS as SERVER_METRICS

ROOT = Path(__file__).parents[2]


class FleetDev(live.Dev):
    """The server of a fleet, whose instances are served by a node of its own."""

    def __init__(self, fleet: Fleet, ready: dict[str, str]) -> None:
        super().__init__(fleet.processes["server"], fleet.folder / "server", ready)
        self._fleet = fleet

    def address(self, instance_id: str) -> str:
        return str(processes.until(lambda: self._fleet.address(instance_id)))


class OnFleet(Planted):
    """As `Planted`; `sent` is what the audit's endpoint got, headers left out."""

    def __init__(self, fleet: Fleet, dev: live.Dev, port: int, sent: list[str]) -> None:
        super().__init__(dev, port)
        self.fleet = fleet
        self.sent = sent

    def place(self, instance_id: str) -> None:
        self.fleet.cli("node", "place", instance_id, "host-1")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[tuple[str, list[str]]]:
    """An endpoint for audit events: its URL, and the bodies that it was sent."""
    sent: list[str] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/audit", sent
        server.shutdown()


@pytest.fixture(scope="module")
def planted(
    tmp_path_factory: pytest.TempPathFactory, endpoint: tuple[str, list[str]]
) -> Iterator[OnFleet]:
    port = free_port()
    url, sent = endpoint
    environment = {
        **live.clean_environment(),
        "LINKLOCAL_LOG_LEVEL": "debug",
        "LINKLOCAL_STATUS_PORT": str(port),
        "LINKLOCAL_METRICS_PER_INSTANCE": "true",
        "LINKLOCAL_AUDIT_URL": url,
        "LINKLOCAL_AUDIT_TOKEN": "canary-audit-token-4711",
    }
    fleet = Fleet(tmp_path_factory.mktemp("canaries-fleet"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "clean_environment", lambda: environment)
        try:
            cloud, _ = placed_instance(fleet)
            planted = OnFleet(fleet, FleetDev(fleet, cloud.dev.ready), port, sent)
            planted.secret("audit token", "canary-audit-token-4711")
            with httpx.Client(timeout=30) as http:
                use(planted, http)
            yield planted
        finally:
            fleet.end_all()


def test_no_log_and_no_file_of_the_node_has_a_secret(planted: OnFleet) -> None:
    """The server's log holds the first API key, which is shown once; it is another than those planted."""
    first = planted.fleet.key
    folder = planted.fleet.folder / "node" / "events"

    def written() -> str:
        return "".join(path.read_text() for path in sorted(folder.iterdir()))

    until(lambda: planted.instance_id in written(), 30)
    server = planted.fleet.log("server").replace(f"(shown once): {first}", "")

    assert planted.leaks("the node's events", written()) == []
    assert planted.leaks("the node's log", planted.fleet.log("node")) == []
    assert planted.leaks("the server's log", server) == []
    assert [leak for text in planted.refusals for leak in planted.leaks(text[:200], text)] == []


def test_the_audit_endpoint_gets_no_secret(planted: OnFleet) -> None:
    def all_sent() -> str:
        return "".join(planted.sent)

    until(lambda: '"is.metadata.certificate.create"' in all_sent(), 30)
    until(lambda: '"is.instance.instance.create"' in all_sent(), 30)

    assert planted.leaks("what the audit endpoint got", all_sent()) == []


def test_no_stream_of_the_console_has_a_secret(planted: OnFleet) -> None:
    id, api = planted.instance_id, planted.dev.api
    with httpx.Client(base_url=api, follow_redirects=True, timeout=60) as http:
        assert http.post("/console/sign-in", data={"api_key": planted.dev.api_key}).is_success
        for path, named in (
            (f"/console/instances/{id}/events", "event: settings"),
            ("/console/instances/events?seen=nothing", "event: rows"),
        ):
            heard = ""
            with http.stream("GET", path) as stream:
                for count, text in enumerate(stream.iter_text()):
                    heard += text
                    if count == 0:
                        hops = planted.cloud.vpc.get_instance(id).result["metadata_service"]
                        limit = hops["response_hop_limit"] % 64 + 1
                        planted.cloud.vpc.update_instance(
                            id, {"metadata_service": {"response_hop_limit": limit}}
                        )
                    if named in heard:
                        break
            assert named in heard
            assert planted.leaks(path, heard) == []


def described(page: str) -> set[str]:
    """The names of the metrics that a scrape describes."""
    families = text_string_to_metric_families(page)
    counted = {f"{one.name}_total" if one.type == "counter" else one.name for one in families}
    return {name for name in counted if name.startswith("linklocal_")}


def test_a_scrape_has_the_list_of_metrics_and_what_the_dashboard_shows(planted: OnFleet) -> None:
    server = httpx.get(f"{planted.dev.api}/metrics", timeout=30).text
    node = httpx.get(f"{planted.status}/metrics", timeout=30).text
    listed = {*node_metrics.METRICS, *node_metrics.LABELLED, node_metrics.SERVER_SECONDS}

    assert described(node) == listed
    assert {name for name in described(server) if not name.endswith("_created")} == set(
        SERVER_METRICS
    )
    assert planted.leaks("metrics", server + node) == []
    # Each series that the dashboard asks for is there, with its labels: not only its name.
    samples = {
        sample.name: set(sample.labels)
        for page in (server, node)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    dashboard = json.loads((ROOT / "deploy/grafana/linklocal.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for expression in asked:
        names = re.findall(r"linklocal_\w+", expression)
        assert names, expression
        known = set().union(*(samples.get(name, set()) for name in names)) | {"instance", "job"}
        grouped = re.findall(r"by \(([^)]*)\)", expression)
        labels = {label.strip() for group in grouped for label in group.split(",")}
        assert [name for name in names if name not in samples] == []
        assert labels <= known, expression
