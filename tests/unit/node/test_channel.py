"""Frames with descriptors between two processes, both ends in this one."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linklocal.node.channel import (
    FRAME_MOST,
    Body,
    CallFailed,
    Channel,
    ChannelClosed,
    Unframer,
    frame,
)

VALUES = st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.none()), max_size=4)


@given(st.lists(VALUES, max_size=5), st.data())
def test_where_reads_end_decides_nothing(messages: list[Body], data: st.DataObject) -> None:
    stream = b"".join(frame(message) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    unframer = Unframer()
    read = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        read += unframer.feed(stream[begin:end], [])

    assert read == [(message, []) for message in messages]


def test_descriptors_go_to_their_frames() -> None:
    unframer = Unframer()
    stream = frame({"a": 1}) + frame({"b": 2}, 2) + frame({"c": 3}, 1)

    # The kernel may hand over what belongs to a frame whose rest is still to come.
    first = unframer.feed(stream[:-2], [11, 12, 13])
    rest = unframer.feed(stream[-2:], [])

    assert first == [({"a": 1}, []), ({"b": 2}, [11, 12])]
    assert rest == [({"c": 3}, [13])]


@pytest.mark.parametrize(
    "stream",
    [
        (FRAME_MOST + 1).to_bytes(4, "big") + b"\0",
        b"\0\0\0\2\x09{}",  # more descriptors than any frame has
        b"\0\0\0\2\x01{}",  # one descriptor, and none came
        b"\0\0\0\2\0[]",
        b"\0\0\0\2\0{{",
        b"\0\0\0\2\0\xff\xff",
    ],
)
def test_what_is_no_frame_is_refused(stream: bytes) -> None:
    with pytest.raises(ValueError):
        Unframer().feed(stream, [])


class Ends:
    """Two channels; `second` answers."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.told: list[Any] = []
        self.handed: list[socket.socket] = []
        self.first = Channel(ours, {})
        self.second = Channel(
            theirs,
            {"echo": self._echo, "fail": self._fail, "note": self._note, "hang": self._hang},
        )

    async def _echo(self, body: Body, sockets: list[socket.socket]) -> Body:
        self.handed += sockets
        return body

    async def _fail(self, body: Body, sockets: list[socket.socket]) -> Body:
        raise OSError(24, "Too many open files")

    def _note(self, body: Body, sockets: list[socket.socket]) -> None:
        self.told.append(body)

    async def _hang(self, body: Body, sockets: list[socket.socket]) -> Body:
        await asyncio.Event().wait()
        return {}


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    made = Ends()
    yield made
    made.first.close()
    made.second.close()


async def test_calls_are_answered_in_any_size(ends: Ends) -> None:
    """Also where both ways are full: the kernel's buffer of a Unix socket is 208 KiB."""
    large = {"text": "x" * 700_000}
    answers = await asyncio.wait_for(
        asyncio.gather(*(ends.first.call("echo", {**large, "n": n}) for n in range(8))), 20
    )

    assert [answer["n"] for answer in answers] == list(range(8))
    assert ends.first.unsent == ends.second.unsent == 0


async def test_what_is_told_comes_in_order(ends: Ends) -> None:
    for number in range(2000):
        ends.first.tell("note", {"n": number, "text": "x" * 1000})
    await asyncio.wait_for(ends.first.call("echo", {}), 20)

    assert [body["n"] for body in ends.told] == list(range(2000))


async def test_a_socket_arrives_whole(ends: Ends) -> None:
    """The receiver's is the same listener of the kernel, and closing the sender's does not end it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        answer = ends.first.call("echo", {"text": "x" * 500_000}, listener)
    await asyncio.wait_for(answer, 20)

    [handed] = ends.handed
    assert handed.getsockname() == address
    assert not os.get_inheritable(handed.fileno())
    with socket.create_connection(address, timeout=10):
        pass
    handed.close()


async def test_a_failure_is_told(ends: Ends) -> None:
    with pytest.raises(CallFailed, match="Too many open files"):
        await ends.first.call("fail", {})


async def test_calls_wait_until_the_end_is_declared(ends: Ends) -> None:
    """The other side being gone is not yet proof that it does nothing any more."""
    call = ends.first.call("hang", {})
    ends.second.close()
    await asyncio.wait_for(ends.first.ended.wait(), 20)
    assert not call.done()

    ends.first.close()

    with pytest.raises(ChannelClosed):
        await call
    with pytest.raises(ChannelClosed):
        await ends.first.call("echo", {})
