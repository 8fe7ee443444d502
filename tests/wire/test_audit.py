"""`linklocal audit` against a running server: refusals of the control plane, by their trace."""

from __future__ import annotations

import json

import pytest
from cloud import Cloud
from ibm_cloud_sdk_core import ApiException
from live import linklocal


def test_a_refusal_is_found_by_the_trace_of_its_error(cloud: Cloud) -> None:
    missing = "r006-00000000-0000-4000-8000-00000000a0d1"
    with pytest.raises(ApiException) as refused:
        cloud.vpc.get_vpc(missing)
    trace = refused.value.http_response.json()["trace"]

    done = linklocal(
        "audit", "query", "--action", "is.vpc.vpc.read", "--outcome", "failure",
        "--output", "JSON", state_dir=cloud.dev.state_dir,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (event,) = [one for one in json.loads(done.stdout) if one["eventId"] == trace]
    assert event["target"]["id"] == missing
    assert event["requestData"]["rule"] == "not_found"

    table = linklocal(
        "audit", "query", "--action", "is.vpc.vpc.read", state_dir=cloud.dev.state_dir
    )
    assert trace in table.stdout
    tail = linklocal("audit", "tail", "-n", "500", state_dir=cloud.dev.state_dir)
    assert trace in [json.loads(line)["eventId"] for line in tail.stdout.splitlines()]
