"""Who may use the node's socket: its own user and root, others for the instances that a setting names."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from linklocal.ids import InstanceId
from linklocal.node.local_api import SOCKET, Page, json_page, post, serving
from linklocal.node.local_users import LocalUsers
from linklocal.node.unix_socket import Caller
from linklocal.settings import NodeSettings

MINE, OTHERS = InstanceId("0717_mine"), InstanceId("0717_others")
NOBODY = 65534

ASK = """
import json, os, sys
from pathlib import Path
from linklocal.errors import OperatorError
from linklocal.node.local_api import fetch, post
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
for path in ("/v1/hand_over", "/v1/attach", "/v1/attachments"):
    try:
        answer = post(Path(sys.argv[2]), path, {"x": 1}, [0]) if path != "/v1/attachments" else fetch(
            Path(sys.argv[2]), path)
    except OperatorError as error:
        answer = error.message
    print(json.dumps(answer))
"""


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that other users can enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


async def _seen(body: Mapping[str, Any], caller: Caller) -> Page:
    return json_page({"uid": caller.uid, "descriptors": len(caller.descriptors)})


PAGES = {"/v1/attachments": lambda: json_page([])}
ACTIONS = {"/v1/hand_over": _seen, "/v1/attach": _seen}


def test_who_may_do_what() -> None:
    users = LocalUsers({1000: {MINE}}, own=500)

    for uid in (0, 500):
        assert users.may_ask(uid, "GET", "/v1/status")
        assert users.may_use(uid, OTHERS)
    assert users.may_ask(1000, "POST", "/v1/hand_over")
    assert not users.may_ask(1000, "POST", "/v1/attach")
    assert users.may_use(1000, MINE)
    assert not users.may_use(1000, OTHERS)
    assert not users.may_ask(1001, "POST", "/v1/hand_over")
    assert "LINKLOCAL_LOCAL_USERS" in users.refusal(1001)


def test_the_setting_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINKLOCAL_LOCAL_USERS", json.dumps({"1000": [MINE]}))

    assert NodeSettings().local_users == {1000: {MINE}}


async def test_descriptors_and_the_user_reach_the_action(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        async with serving(tmp_path, PAGES, ACTIONS):
            answer = await asyncio.to_thread(
                post, tmp_path, "/v1/hand_over", {}, [file.fileno(), file.fileno()]
            )

    assert answer == {"uid": os.getuid(), "descriptors": 2}


@pytest.mark.root
@pytest.mark.parametrize("listed", [True, False])
async def test_another_user(reachable: Path, listed: bool) -> None:
    """By the kernel's word: a listed user may hand over and nothing else, one that is not may nothing."""
    folder, shared = reachable / "state", reachable / "node.sock"
    folder.mkdir(mode=0o700)
    users = LocalUsers({NOBODY: {MINE}} if listed else {})
    async with serving(folder, PAGES, ACTIONS, users=users, shared=shared):
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", ASK, str(NOBODY), str(shared)],
            capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        closed = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", ASK, str(NOBODY), str(folder / SOCKET)],
            capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]

    if listed:
        assert answers[0] == {"uid": NOBODY, "descriptors": 1}, done.stderr
        assert all("its own instances only" in answer for answer in answers[1:])
    else:
        assert len(answers) == 3, done.stderr
        assert all("User 65534 is not on this node's list" in answer for answer in answers)
    assert "belongs to another user" in closed.stdout or "Permission" in closed.stderr
    assert not shared.exists()
