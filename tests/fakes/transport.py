"""A transport in memory: keeps what is written, and says when it was paused, half-closed or closed."""

from __future__ import annotations

import asyncio
from typing import Any


class MemoryTransport(asyncio.Transport):
    """Closing tells the protocol at once. `stuck` makes the peer take nothing: the buffer fills up."""

    def __init__(self, *, stuck: bool = False, half_close: bool = True) -> None:
        super().__init__()
        self.protocol: asyncio.BufferedProtocol | None = None
        self.sent = bytearray()
        self.writes = 0
        self.reading = True
        self.closed = self.aborted = self.ended = False
        self.stuck = stuck
        self.half_close = half_close
        self.unsent = 0
        self.high = 65_536
        self._paused = False

    def connect(self, protocol: asyncio.BufferedProtocol) -> MemoryTransport:
        self.protocol = protocol
        protocol.connection_made(self)
        return self

    def arrive(self, data: bytes) -> None:
        """What the peer sent, read as a loop would: at most a buffer at a time, nothing once closed."""
        assert self.protocol is not None
        while data and not self.closed:
            buffer = self.protocol.get_buffer(-1)
            size = min(len(data), len(buffer))
            buffer[:size] = data[:size]
            data = data[size:]
            self.protocol.buffer_updated(size)

    def arrive_eof(self) -> None:
        assert self.protocol is not None
        if not self.closed and not self.protocol.eof_received():
            self.close()

    def take(self) -> None:
        """The peer takes all that was written."""
        self.stuck = False
        self.unsent = 0
        if self._paused:
            self._paused = False
            assert self.protocol is not None
            self.protocol.resume_writing()

    def write(self, data: Any) -> None:
        assert not self.ended, "written behind the end"
        if self.closed:
            return
        self.writes += 1
        self.sent += data
        if self.stuck:
            self.unsent += len(data)
            if self.unsent > self.high and not self._paused:
                self._paused = True
                assert self.protocol is not None
                self.protocol.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = 65_536 if high is None else high

    def can_write_eof(self) -> bool:
        return self.half_close

    def write_eof(self) -> None:
        assert self.half_close
        self.ended = True

    def pause_reading(self) -> None:
        assert self.reading, "paused twice"
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading, "resumed twice"
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            assert self.protocol is not None
            self.protocol.connection_lost(None)

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default
