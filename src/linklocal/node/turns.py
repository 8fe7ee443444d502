"""Turns: at most so many answers to one instance in one turn of the loop, then guests of others are heard.

Without them a crowd whose calls arrive at once is answered at once, and everybody else waits that long.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Waiting(Protocol):
    """A connection with a request that may be answered when its turn comes."""

    def go_on(self) -> None: ...


class Turns:
    """Of one listener. In the loop's thread only."""

    __slots__ = ("_most", "_queue", "_taken")

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._queue: list[Waiting] = []

    def take(self, connection: Waiting) -> bool:
        """Whether it may answer one request now; if not, it is told to `go_on`, once, when it may."""
        if self._taken >= self._most:
            self._queue.append(connection)
            return False
        if not self._taken:
            asyncio.get_running_loop().call_soon(self._next)
        self._taken += 1
        return True

    def _next(self) -> None:
        self._taken = 0
        while self._queue and self._taken < self._most:
            self._queue.pop(0).go_on()
