"""Real clients against a listener: the table of odd input over sockets, curl and http.client."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
from pathlib import Path

import pytest
from fakes.certificates import NAME, server_context
from unit.node.http_cases import CASES
from unit.node.http_harness import Answer, assert_complete, read_answers
from unit.node.listener_harness import VERSION, Stage, https, listening

TOKEN = f"/identity/v1/token?{VERSION}"


async def _exchange(stage: Stage, sent: bytes) -> list[Answer]:
    """Send all, then half-close, then read until the other side closes."""
    client = await stage.connect()
    client.send(sent)
    with contextlib.suppress(ConnectionError):
        await client.writer.drain()
        client.writer.write_eof()
    got = await client.ended()
    await client.close()
    return [a for a in read_answers(got) if not a.interim]


async def test_every_case_over_a_socket() -> None:
    """A refusal arrives although more was sent than is read: it is never lost to a reset."""
    wrong = {}
    async with listening(Stage(loopback=False)) as stage:
        for case in CASES:
            answers = await _exchange(stage, case.sent)
            for answer in answers:
                assert_complete(answer)
            # The instance's own answer to these paths is 404.
            statuses = tuple(200 if a.status in (404, 405) else a.status for a in answers)
            if statuses != case.answers:
                wrong[case.name] = statuses

    assert wrong == {}


def _curl_steps(base: str) -> list[list[str]]:
    return [
        ["-X", "PUT", "-H", "Metadata-Flavor: ibm", f"{base}{TOKEN}"],
        ["-X", "PUT", "-H", "Metadata-Flavor: ibm", "-d", '{"expires_in": 3600}', f"{base}{TOKEN}"],
        ["-X", "PUT", "-H", "Metadata-Flavor: ibm", "--http2", "-d", "{}", f"{base}{TOKEN}"],
        ["-X", "PUT", "-H", "Metadata-Flavor: ibm", "--http1.0", "-d", "{}", f"{base}{TOKEN}"],
        [
            "-X", "PUT", "-H", "Metadata-Flavor: ibm", "-H", "Transfer-Encoding: chunked",
            "-H", "Expect: 100-continue", "-d", "{}", f"{base}{TOKEN}",
        ],
    ]  # fmt: skip


async def _curl(*arguments: str) -> tuple[int, bytes]:
    """Status and body."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--max-time", "10", "-w", "\n%{http_code}", *arguments,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    body, _, status = out.rpartition(b"\n")
    return int(status), body


@pytest.mark.needs("curl", "curl")
async def test_curl() -> None:
    async with listening(Stage()) as stage:
        for arguments in _curl_steps(f"http://127.0.0.1:{stage.port}"):
            status, body = await _curl(*arguments)
            assert (status, "access_token" in json.loads(body)) == (200, True), arguments


@pytest.mark.needs("curl", "curl")
async def test_curl_over_https() -> None:
    async with listening(Stage(https()), server_context()) as stage:
        resolve = ["-k", "--resolve", f"{NAME}:{stage.port}:127.0.0.1"]
        for arguments in _curl_steps(f"https://{NAME}:{stage.port}"):
            status, _ = await _curl(*resolve, *arguments)
            assert status == 200, arguments
        # By address and without checking, as the mount helper does.
        status, _ = await _curl("-k", *_curl_steps(f"https://127.0.0.1:{stage.port}")[0])
        assert status == 200


@pytest.mark.needs("curl", "curl")
@pytest.mark.parametrize("secure", [False, True])
async def test_curl_is_told_that_its_upload_is_too_large(secure: bool, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * 900_000)
    stage, tls = (Stage(https()), server_context()) if secure else (Stage(), None)
    async with listening(stage, tls):
        scheme = "https" if secure else "http"
        url = f"{scheme}://127.0.0.1:{stage.port}/x"
        for form in (["--data-binary", f"@{big}"], ["-H", "Expect:", "-T", str(big)]):
            status, body = await _curl("-k", *form, url)
            assert status == 413
            assert json.loads(body)["errors"][0]["code"] == "invalid_request"


async def test_http_client() -> None:
    def use(port: int) -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        statuses = []
        for method, path, body in [
            ("PUT", TOKEN, b"{}"),
            ("HEAD", TOKEN, None),
            ("GET", "/nowhere", None),
            ("PUT", TOKEN, None),
        ]:
            connection.request(method, path, body, {"Metadata-Flavor": "ibm"})
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()
        return statuses

    async with listening(Stage()) as stage:
        statuses = await asyncio.to_thread(use, stage.port)

    assert statuses == [200, 405, 404, 200]
    assert stage.listener.counters.connections == 1
