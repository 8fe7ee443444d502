"""Signing in threads, for a loop that waits for many signatures: one wake-up for all that are ready.

An executor makes two futures for each call and wakes the loop for each, which under load costs a sixth of
what an RSA signature does. It knows neither keys nor claims.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import NamedTuple

# What a signature that cannot be made raises. Anything else ends the thread, and its caller is told so.
_FAILURES = (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)


class _Work(NamedTuple):
    call: Callable[[], str]
    future: asyncio.Future[str]


class _Done(NamedTuple):
    future: asyncio.Future[str]
    result: str | Exception


class SigningThreads:
    """`run` a call in one of the threads. They begin with the first call and end with `close`."""

    def __init__(self, threads: int) -> None:
        self._count = threads
        self._threads: list[Thread] = []
        self._asked: SimpleQueue[_Work | None] = SimpleQueue()
        self._done: deque[_Done] = deque()
        self._waking = False  # whether the loop was told to look into `_done` and has not yet
        self._closed = False

    async def run(self, call: Callable[[], str]) -> str:
        """What `call` returns or raises. Raises RuntimeError after `close`."""
        if self._closed:
            raise RuntimeError("nothing is signed any more")
        loop = asyncio.get_running_loop()
        if not self._threads:
            self._threads = [
                Thread(target=self._work, args=(loop,), name=f"sign_{number}", daemon=True)
                for number in range(self._count)
            ]
            for thread in self._threads:
                thread.start()
        future: asyncio.Future[str] = loop.create_future()
        self._asked.put(_Work(call, future))
        return await future

    def close(self) -> None:
        """Let the threads end, after what they have been asked for."""
        self._closed = True
        for _ in self._threads:
            self._asked.put(None)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while (work := self._asked.get()) is not None:
            result: str | Exception = RuntimeError("the signing thread ended")
            try:
                result = work.call()
            except _FAILURES as error:
                result = error
            finally:
                self._done.append(_Done(work.future, result))
                self._wake(loop)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop look. It clears `_waking` before it does, so no result is left lying."""
        if not self._waking:
            self._waking = True
            with contextlib.suppress(RuntimeError):  # it is closed, and with it all who could wait
                loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._waking = False
        while self._done:
            future, result = self._done.popleft()
            if future.done():
                continue  # nobody waits any more
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
