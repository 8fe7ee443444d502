"""`GET /metrics` of the server: what it counts, who may scrape it, and what it does not tell."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from linklocal.clock import SystemClock
from linklocal.server.app import build
from linklocal.server.metrics import METRICS
from linklocal.settings import ServerSettings

KEY = "a-key-of-the-administrator-" + "k" * 20
FORM = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": KEY}
TOKEN = "t" * 24


def numbers(text: str) -> dict[tuple[str, ...], float]:
    """Name and values of labels -> number."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_scrape_counts_calls_and_asks_for_its_token(
    tmp_path: Path, sqlite_template: Path
) -> None:
    shutil.copyfile(sqlite_template, tmp_path / "linklocal.db")
    settings = ServerSettings(state_dir=tmp_path, metrics_token=TOKEN, audit_sinks=frozenset())
    async with build(settings, SystemClock(), url="http://api.test", dev=False) as control:
        await control.bootstrap(KEY)
        transport = httpx.ASGITransport(control.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
            assert (await http.post("/identity/token", data=FORM)).status_code == 200
            assert (await http.get("/v1/vpcs")).status_code == 401
            assert (await http.get("/nowhere/r006-secret")).status_code == 404

            assert (await http.get("/metrics")).status_code == 401
            answer = await http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 200
    found = numbers(answer.text)
    assert found["linklocal_server_calls_total", "create_token", "success"] == 1
    assert found["linklocal_server_calls_total", "list_vpcs", "refused"] == 1
    assert found["linklocal_server_calls_total", "none", "refused"] == 1
    assert found["linklocal_server_call_seconds_count", "create_token"] == 1
    assert found["linklocal_server_tokens_issued_total", "apikey"] == 1
    assert found["linklocal_server_audit_dropped_total",] == 0
    assert "r006-secret" not in answer.text
    described = {
        line.split()[2] for line in answer.text.splitlines() if line.startswith("# HELP linklocal")
    }
    assert {name for name in described if not name.endswith("_created")} == set(METRICS)
