"""The node's metrics: added up from events, and described in the docs as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fakes.clock import FakeClock
from prometheus_client.parser import text_string_to_metric_families

from linklocal.events import Event
from linklocal.node import metrics
from linklocal.node.status import Status
from linklocal.node.tally import Tally, Timings
from linklocal.server.metrics import METRICS as SERVER_METRICS

ROOT = Path(__file__).parents[3]
ROW = re.compile(r"\| `(linklocal_\w+)` \| (.*) \|")


def event(clock: FakeClock, action: str, **changes: object) -> Event:
    values = {"outcome": "success", "status": 200, "trace": "t", "instance_id": "0717_a", **changes}
    return Event(time=clock.now(), action=action, **values)  # type: ignore[arg-type]  # by name


def scrape(tally: Tally, timings: Timings, clock: FakeClock) -> dict[tuple[str, ...], float]:
    status = Status("test", None, tally=tally, timings=timings)
    text = metrics.page(status, clock).content.decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def told(tally: Tally, clock: FakeClock) -> None:
    tally.add(event(clock, "is.metadata.instance.read"))
    tally.add(event(clock, "is.metadata.instance.read", count=41))
    tally.add(event(clock, "is.metadata.jwt-token.create"))
    tally.add(
        event(clock, "is.metadata.jwt-token.create", outcome="failure", rule="flavor", count=2)
    )


def test_calls_are_added_up_with_their_counts() -> None:
    clock, tally, timings = FakeClock(), Tally(), Timings()
    told(tally, clock)
    timings.add("iam_tokens", 0.03)
    timings.add("iam_tokens", 60.0)
    found = scrape(tally, timings, clock)

    assert found["linklocal_node_calls_total", "is.metadata.instance.read", "success"] == 42
    assert found["linklocal_node_refusals_total", "flavor"] == 2
    assert found["linklocal_node_issued_total", "identity"] == 1
    assert found["linklocal_node_server_seconds_bucket", "iam_tokens", "0.05"] == 1
    assert found["linklocal_node_server_seconds_bucket", "iam_tokens", "+Inf"] == 2
    assert found["linklocal_node_server_seconds_sum", "iam_tokens"] == pytest.approx(60.03)


@pytest.mark.parametrize("asked", [False, True])
def test_an_instance_has_a_series_only_where_it_was_asked_for(asked: bool) -> None:
    clock, tally = FakeClock(), Tally(per_instance=asked)
    told(tally, clock)
    found = scrape(tally, Timings(), clock)

    key = ("linklocal_node_instance_calls_total", "0717_a", "success")
    assert found.get(key) == (43 if asked else None)


def _described() -> dict[str, str]:
    node = {name: entry[0] for name, entry in metrics.METRICS.items()}
    node |= {name: entry[0] for name, entry in metrics.LABELLED.items()}
    return {**SERVER_METRICS, **node, metrics.SERVER_SECONDS: metrics.SERVER_SECONDS_HELP}


def test_the_docs_have_every_metric_and_no_other() -> None:
    rows = ROW.findall((ROOT / "docs/metrics.md").read_text())

    assert dict(rows) == _described()
    assert len(rows) == len(_described())


def test_the_dashboard_names_metrics_that_there_are() -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/linklocal.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    named = {name for text in expressions for name in re.findall(r"linklocal_\w+", text)}

    assert len(named) > 15
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in named} <= set(_described())
