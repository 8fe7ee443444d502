"""The node's Unix socket: who may ask, what is answered, and what a command line is told otherwise."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from linklocal.errors import OperatorError
from linklocal.node.local_api import SOCKET, Page, attachments_of, fetch, json_page, serving

PAGES = {
    "/v1/attachments": lambda: json_page([{"instance": "0717_a"}]),
    "/text": lambda: Page(b"hello", "text/plain"),
}


async def raw(folder: Path, request: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(folder / SOCKET))
    writer.write(request)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def test_answers_its_owner(tmp_path: Path) -> None:
    async with serving(tmp_path, PAGES):
        mode = (tmp_path / SOCKET).stat().st_mode & 0o777
        listed = await attachments_of(tmp_path)

    assert mode == 0o600
    assert listed == [{"instance": "0717_a"}]
    assert not (tmp_path / SOCKET).exists()


async def test_the_socket_of_a_killed_node_is_replaced(tmp_path: Path) -> None:
    (tmp_path / SOCKET).touch()
    async with serving(tmp_path, PAGES):
        assert await attachments_of(tmp_path) == [{"instance": "0717_a"}]


async def test_a_long_folder_name_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 60) / ("y" * 60)
    folder.mkdir(parents=True)
    async with serving(folder, PAGES):
        assert await attachments_of(folder) == [{"instance": "0717_a"}]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /v1/attachments?x=1 HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"POST /v1/attachments HTTP/1.1\r\n\r\n", 405),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / SPDY\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
    ],
)
async def test_what_it_answers(tmp_path: Path, request_: bytes, status: int) -> None:
    async with serving(tmp_path, PAGES):
        answer = await raw(tmp_path, request_)
    head, _, body = answer.partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Length: %d\r\n" % len(body) in head + b"\r\n"
    assert status == 200 or "error" in json.loads(body)


async def test_half_a_request_gets_nothing_and_harms_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, PAGES):
        assert await raw(tmp_path, b"GET / HT") == b""
        assert await attachments_of(tmp_path) == [{"instance": "0717_a"}]


async def test_a_client_that_stays_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with asyncio.timeout(1):
        async with serving(tmp_path, PAGES):
            _, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET))
    writer.close()


def test_without_a_node_the_next_step_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(
            OperatorError, match=f"No node runs with the state folder {folder}"
        ) as e:
            fetch(folder, "/v1/status")
        assert "linklocal node run" in e.value.next_step


async def test_an_older_node_is_named(tmp_path: Path) -> None:
    async with serving(tmp_path, PAGES):
        with pytest.raises(OperatorError, match="answered 404"):
            await asyncio.to_thread(fetch, tmp_path, "/v2/new")
