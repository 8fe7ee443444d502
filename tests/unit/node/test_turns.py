"""Turns: however many calls of one instance wait, the loop looks after others in between."""

from __future__ import annotations

import asyncio

from fakes.transport import MemoryTransport
from unit.node.http_harness import read_answers
from unit.node.listener_harness import HOST, Stage

from linklocal.node.http import Connection

CALL = f"GET / HTTP/1.1\r\n{HOST}\r\n".encode()
TURN = 3


class Crowd:
    """Connections of one listener, in memory, each of which asks at once."""

    def __init__(self, stage: Stage, connections: int, calls: int = 1) -> None:
        self.pairs: list[tuple[Connection, MemoryTransport]] = []
        for _ in range(connections):
            connection = Connection(stage.listener, tls=False)
            self.pairs.append((connection, MemoryTransport().connect(connection)))
        for _, transport in self.pairs:
            transport.arrive(CALL * calls)

    def answers(self) -> list[int]:
        return [len(read_answers(bytes(transport.sent))) for _, transport in self.pairs]


async def test_a_crowd_is_answered_by_turns() -> None:
    crowd = Crowd(Stage(turn=TURN), connections=8)

    assert sum(crowd.answers()) == TURN
    await asyncio.sleep(0)
    assert sum(crowd.answers()) == 2 * TURN
    await asyncio.sleep(0)
    assert crowd.answers() == [1] * 8


async def test_requests_sent_ahead_wait_for_their_turns_and_stay_in_order() -> None:
    crowd = Crowd(Stage(turn=TURN), connections=2, calls=5)

    for expected in ([3, 0], [5, 1], [5, 4], [5, 5]):
        assert crowd.answers() == expected
        await asyncio.sleep(0)


async def test_others_have_turns_of_their_own() -> None:
    crowd, other = Crowd(Stage(turn=TURN), connections=8), Crowd(Stage(turn=TURN), connections=1)

    assert (sum(crowd.answers()), other.answers()) == (TURN, [1])


async def test_who_waits_is_read_further_but_once_and_may_leave() -> None:
    crowd = Crowd(Stage(turn=TURN), connections=5)
    waiting, leaving = crowd.pairs[3][1], crowd.pairs[4]

    assert waiting.reading
    waiting.arrive(CALL)
    assert not waiting.reading
    leaving[1].abort()
    for _ in range(3):
        await asyncio.sleep(0)

    assert crowd.answers() == [1, 1, 1, 2, 0]
    assert waiting.reading
