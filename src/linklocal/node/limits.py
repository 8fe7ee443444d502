"""How much and how long one listener puts up with: named bounds, the token bucket, shared counters.

Numbers and arithmetic only: no socket, no clock of its own (callers pass monotonic seconds).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import add, attrgetter

READ_SIZE = 65_536


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one listener and of each of its connections. Times in seconds, sizes in bytes.

    A deadline runs from the first byte of what it bounds to the last: a peer that trickles gains nothing.
    """

    # Deadlines
    first_byte: float = 5.0  # accepted -> first byte; then closed without a word
    head: float = 5.0  # first byte of a request -> end of its headers; then 408
    body: float = 10.0  # end of the headers -> end of the body; then 408
    idle: float = 15.0  # an answered connection without a new request; then closed
    idle_in_crowd: float = 2.0  # the same, while the instance has more connections than `crowd`
    write: float = 15.0  # the peer does not take what was written; then aborted
    handshake: float = 5.0  # TLS
    linger: float = 1.0  # after a refusal: unread input is dropped so that the answer arrives
    drain: float = 1.0  # close or change of a setting: the request in flight may finish
    sweep: float = 0.5  # how often deadlines are looked at, hence their precision

    # Sizes
    head_bytes: int = 32_768  # request line and headers, or trailers; an identity token has < 4 KiB
    header_count: int = 64
    url_bytes: int = 4_096
    body_bytes: int = 65_536  # metadata contract 2.2
    chunk_bytes: int = 16_384  # chunk framing beyond 16 bytes a chunk: extensions
    write_buffer: int = 65_536  # unsent bytes at which a connection is not read any more
    linger_bytes: int = 1_048_576

    # Counts
    pipeline: int = 16  # requests sent ahead of their answers
    connections: int = 256  # of one instance
    crowd: int = 32  # of one instance, beyond which idle ones are given up sooner
    turn: int = 8  # answers of one instance before the loop looks after others
    over_cap: int = 32  # connections beyond that which still get a reason (429), not a reset

    # Rates; the rate of calls itself is a setting (NodeSettings.instance_rate)
    refusals: float = 0.1  # 429s, as a share of the rate, before the listener stops reading
    pause: float = 1.0  # for so long
    handshake_cost: float = 4.0  # a TLS handshake counts as this many calls: it costs about 500 us


class TokenBucket:
    """At most `burst` at once and `rate` a second on average."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float, cost: float = 1.0) -> bool:
        """Take `cost` tokens if they are there. `now`: monotonic seconds."""
        tokens = self._tokens + (now - self._at) * self._rate
        if tokens > self._burst:
            tokens = self._burst
        self._at = now
        if tokens < cost:
            self._tokens = tokens
            return False
        self._tokens = tokens - cost
        return True

    def wait(self, now: float, cost: float = 1.0) -> float:
        """Seconds until `cost` tokens are there; 0 when they are."""
        missing = cost - self._tokens - (now - self._at) * self._rate
        return max(0.0, missing / self._rate)


@dataclass(slots=True)
class Totals:
    """Counted over all listeners of a node: one object, given to each of them.

    `connections_max` keeps one node below its file descriptors however many instances it serves.
    `buffer` is where every connection of the node reads into, one at a time: what is read is used up
    before the loop reads again.
    """

    connections_max: int = 8_192
    connections: int = 0
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(READ_SIZE)))


@dataclass(slots=True)
class Counters:
    """What one listener did since it was made. Only ever grows."""

    requests: int = 0  # framed requests that were answered, refusals included
    refused: int = 0  # answers with a status of 400 or more, those of the framing included
    framing: int = 0  # refused before there was a request: malformed, foreign Host, over a cap
    deadlines: int = 0  # connections ended by a deadline
    limited: int = 0  # 429 answers
    pauses: int = 0  # times that reading stopped because the 429s ran out
    over_cap: int = 0  # connections refused because there were too many
    connections: int = 0  # accepted
    handshakes_failed: int = 0

    def plus(self, other: Counters) -> Counters:
        """The sum of both, as a new one."""
        return Counters(*map(add, _counted(self), _counted(other)))


# Not `astuple`, which copies deeply: a node's status adds up those of a thousand listeners.
_counted = attrgetter(*(each.name for each in fields(Counters)))


@dataclass(frozen=True, slots=True)
class Usage:
    """How a listener is used, for operators. `paused`: seconds for which it takes nothing yet."""

    counters: Counters = field(default_factory=Counters)
    connections: int = 0
    paused: float = 0.0

    def plus(self, other: Usage) -> Usage:
        """Of both together; `paused` is the longer one."""
        return Usage(
            self.counters.plus(other.counters),
            self.connections + other.connections,
            max(self.paused, other.paused),
        )
