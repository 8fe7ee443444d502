"""Time as a parameter. Code that compares or stamps times takes a `Clock`; tests pass a `FakeClock`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for stamps and expiry, monotonic time for intervals (seconds)."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def rfc3339_ms(moment: datetime) -> str:
    """`2026-11-24T21:14:51.056Z`: how both APIs write times (contracts: control plane 1.6, metadata 4)."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def rfc3339_s(moment: datetime) -> str:
    """`2026-11-24T21:14:51Z`: where a contract wants whole seconds (metadata 3.2, 3.3)."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def parse_rfc3339(text: str) -> datetime:
    """Read what `rfc3339_ms` or `rfc3339_s` wrote. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time without a zone: {text!r}")
    return moment.astimezone(UTC)
