"""`/healthz` is about the process, `/readyz` about what it needs."""

from __future__ import annotations

from pathlib import Path

import httpx

from linklocal.clock import SystemClock
from linklocal.server.app import build
from linklocal.settings import ServerSettings


async def test_without_its_database_a_server_lives_but_is_not_ready(tmp_path: Path) -> None:
    folder, state = tmp_path / "database", tmp_path / "state"
    folder.mkdir()
    settings = ServerSettings(
        state_dir=state,
        database_url=f"sqlite:///{folder / 'linklocal.db'}",
        key_file=tmp_path / "server.key",
    )
    async with build(settings, SystemClock(), url="http://api.test", dev=False) as control:
        transport = httpx.ASGITransport(control.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
            assert (await http.get("/readyz")).status_code == 200

            await control.database.close()  # the next call must connect anew
            folder.rename(tmp_path / "gone")
            assert (await http.get("/readyz")).status_code == 503
            assert (await http.get("/healthz")).status_code == 200

            (tmp_path / "gone").rename(folder)
            assert (await http.get("/readyz")).status_code == 200
