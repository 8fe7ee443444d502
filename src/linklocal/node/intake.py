"""Whether a listener takes connections now: its acceptor, put to rest for a while and started again.

The kernel queues what arrives meanwhile. When to rest is decided by `listener.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from linklocal.node.accept import Acceptor, TlsAcceptor


class Intake:
    """The acceptor of one listener. `changing` is held while anybody exchanges, starts or ends it.

    `awake` is called when a rest is over, before connections are taken again. `again`: seconds after
    which starting is tried anew where it failed for want of descriptors.
    """

    __slots__ = (
        "_acceptor", "_again", "_awake", "_changing", "_log", "_rest", "_resting", "_waking",
    )  # fmt: skip

    def __init__(
        self,
        changing: asyncio.Lock,
        awake: Callable[[], None],
        again: float,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._changing = changing
        self._awake = awake
        self._again = again
        self._log = log
        self._acceptor: Acceptor | None = None
        self._rest: asyncio.TimerHandle | None = None
        self._waking: asyncio.Task[None] | None = None
        self._resting = False

    @property
    def acceptor(self) -> Acceptor | None:
        """What takes connections, or would; None: not open yet, or closed."""
        return self._acceptor

    @property
    def handshakes(self) -> int:
        """TLS connections in their handshake."""
        return self._acceptor.handshakes if isinstance(self._acceptor, TlsAcceptor) else 0

    @property
    def remaining(self) -> float:
        """Seconds of the rest that is taken now; 0: none."""
        if self._rest is None:
            return 0.0
        return max(0.0, self._rest.when() - asyncio.get_running_loop().time())

    def use(self, acceptor: Acceptor) -> None:
        """Take connections with this one, which runs."""
        self._acceptor = acceptor

    async def exchange(self, acceptor: Acceptor) -> None:
        """Take connections with this one, now or when the rest is over. The caller has ended the old one."""
        self._acceptor = acceptor
        if not self._resting:
            await self._start()

    def end(self) -> None:
        """Take nothing more."""
        if self._rest is not None:
            self._rest.cancel()
        if self._acceptor is not None:
            self._acceptor.stop()
            self._acceptor = None

    def rest(self, seconds: float) -> None:
        """Take nothing for some time; a rest that is being taken is as long as the new one."""
        if self._acceptor is None:
            return
        if self._rest is not None:
            self._rest.cancel()
        self._resting = True
        self._acceptor.pause()
        self._rest = asyncio.get_running_loop().call_later(seconds, self._wake_soon)

    def _wake_soon(self) -> None:
        self._rest = None
        self._waking = asyncio.get_running_loop().create_task(self.wake())

    async def wake(self) -> None:
        """End the rest."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        async with self._changing:
            self._resting = False
            self._awake()
            await self._start()

    async def _start(self) -> None:
        if self._acceptor is None:
            return
        try:
            await self._acceptor.start()
        except OSError as error:
            self._log.warning("cannot accept connections", error=str(error))
            self.rest(self._again)
