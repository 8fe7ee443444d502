"""A checkout without npm: the server runs, and the console's pages say how to build it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fakes.clock import FakeClock

from linklocal.console import pages
from linklocal.iam.secrets import load_key_file
from linklocal.server.app import build
from linklocal.settings import ServerSettings
from linklocal.store.migrations import upgrade


async def test_every_page_says_how_to_build_the_console(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "STATIC", tmp_path / "static")  # as a fresh checkout has it: empty
    database_url = f"sqlite:///{tmp_path / 'linklocal.db'}"
    settings = ServerSettings(
        state_dir=tmp_path, database_url=database_url, key_file=tmp_path / "server.key"
    )
    upgrade(database_url)
    load_key_file(tmp_path / "server.key", create=True)
    async with build(settings, FakeClock(), url="http://api.test", dev=True) as control:
        transport = httpx.ASGITransport(control.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
            for path in ("/console/", "/console/sign-in?code=x", "/console/instances/new"):
                answer = await http.get(path)
                assert answer.status_code == 503
                assert answer.headers["content-type"].startswith("text/plain")
                assert "make console" in answer.text
                assert "apt-get install nodejs npm" in answer.text
                assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert (await http.post("/console/sign-in", data={"api_key": "x"})).status_code == 405
            assert (await http.get("/healthz")).status_code == 200
        # The printed URL still has a code: nothing else may depend on the assets.
        assert control.console.codes.new("x")
