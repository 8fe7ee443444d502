"""How long to wait before trying the server again. Numbers only: nothing here sleeps.

    attempt        1     2   3   4   5    6    7 ...
    seconds      0.5     1   2   4   8   15   15 ...
    waited       0.5   1.5 3.5 7.5  16   31   46 ...     before jitter, which makes each 50-100 % of it

A server that is back is therefore noticed within 15 s, and a thousand nodes that lost it together send
it about 90 requests a second, spread evenly.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST = 0.5
FACTOR = 2.0
MOST = 15.0


class Backoff:
    """Growing, jittered waits. `random` gives numbers in [0, 1)."""

    def __init__(self, random: Callable[[], float], *, first: float = FIRST, most: float = MOST):
        self._random = random
        self._first = first
        self._most = most
        self._next = first

    def reset(self) -> None:
        """The server answered as it should."""
        self._next = self._first

    def next(self) -> float:
        """Seconds to wait now."""
        wait = self._next * (0.5 + 0.5 * self._random())
        self._next = min(self._next * FACTOR, self._most)
        return wait
