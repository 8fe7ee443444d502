"""Mutated and random byte streams against one connection of the node, in memory.

Whatever arrives, in whatever pieces: nothing is raised; what is sent is a sequence of valid answers; nothing
follows a refusal or an answer that closes; what is kept is bounded; what is understood does not
depend on where reads end. A failure names seed and round: `_round(seed, n)` runs it again alone.
"""

from __future__ import annotations

import asyncio
from random import Random, SystemRandom

import pytest
from fakes.transport import MemoryTransport
from unit.node.http_cases import CASES, NEXT
from unit.node.http_harness import FakeSite, assert_complete, read_answers

from linklocal.metadata.wire import Request, Response
from linklocal.node.limits import Limits

FIXED = 20_261_124
FRESH = SystemRandom().randrange(2**32)
SEEDS = pytest.mark.parametrize("seed", [FIXED, FRESH], ids=["fixed", "fresh"])

# Small bounds, so that short streams reach them.
LIMITS = Limits(
    head_bytes=512,
    header_count=12,
    url_bytes=128,
    body_bytes=256,
    chunk_bytes=64,
    write_buffer=1000,
    linger_bytes=2000,
    pipeline=4,
)
HEADS = [
    b"GET / HTTP/1.1\r\n", b"PUT /identity/v1/token?version=2025-08-26 HTTP/1.1\r\n", b"HEAD /a HTTP/1.1\r\n",
    b"POST /later HTTP/1.1\r\n", b"GET /later HTTP/1.0\r\n", b"OPTIONS * HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n",
]  # fmt: skip
LINES = [
    b"Host: 169.254.169.254\r\n", b"Host: api.metadata.cloud.ibm.com:80\r\n", b"Host: evil\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: 300\r\n", b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Expect: 100-continue\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: Upgrade\r\n", b"Upgrade: h2c\r\n",
    b"Metadata-Flavor: ibm\r\n", b"X: y\r\n z\r\n", b"X : y\r\n", b"X:\r\n", b"\r\n", b"\n", b"\r",
]  # fmt: skip
BODIES = [
    b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\nT: u\r\n\r\n", b"0\r\n\r\n", b"{}", b"",
    b"ffffffffffffffff\r\n", b"5\nhello\n0\n\n", b"x" * 300,
]  # fmt: skip
CORPUS = [case.sent for case in CASES if len(case.sent) < 3000]


def _assembled(random: Random) -> bytes:
    lines = random.choices(LINES, k=random.randrange(1, 6))
    if random.random() < 0.8:
        lines.insert(0, LINES[0])
    return random.choice(HEADS) + b"".join(lines) + b"\r\n" + random.choice(BODIES)


def _mutated(random: Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(random.choice((0, 0, 1, 1, 2, 5))):
        at = random.randrange(len(out) + 1)
        kind = random.randrange(6)
        if kind == 0:
            out[at : at + 1] = bytes([random.randrange(256)])
        elif kind == 1:
            del out[at : at + random.randrange(1, 9)]
        elif kind == 2:
            out[at:at] = random.choice(LINES)
        elif kind == 3:
            out[at:at] = out[at : at + random.randrange(1, 60)]
        elif kind == 4:
            out[at:at] = bytes(
                random.choices(b"\0\t\n\r :;,\x7f\x80\xff#%/0Aa", k=random.randrange(1, 4))
            )
        else:
            out[at:at] = random.choice((b"a", b"X: y\r\n", b"0", b" ")) * random.randrange(1, 200)
    return bytes(out)


def _stream(random: Random) -> bytes:
    parts = []
    for _ in range(random.randrange(1, 5)):
        kind = random.random()
        if kind < 0.05:
            parts.append(random.randbytes(random.randrange(1, 400)))
        elif kind < 0.5:
            parts.append(_mutated(random, random.choice(CORPUS)))
        elif kind < 0.7:
            parts.append(NEXT)
        else:
            parts.append(_mutated(random, _assembled(random)))
    return b"".join(parts)


def _pieces(random: Random, data: bytes) -> list[bytes]:
    """The stream as reads: whole, in a few, or byte by byte."""
    kind = random.randrange(4)
    if kind == 0 or len(data) < 2:
        return [data]
    if kind == 1 and len(data) < 600:
        return [data[i : i + 1] for i in range(len(data))]
    cuts = sorted(random.choices(range(1, len(data)), k=random.randrange(1, 12)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


class Answerer:
    """Answers at once, or, for some paths, when the loop comes round."""

    def __init__(self, random: Random, *, awaited: bool) -> None:
        self.random = random
        self.awaited = awaited

    def __call__(self, request: Request) -> Response | asyncio.Future[Response]:
        response = Response(200, b"x" * self.random.choice((2, 2, 700)), "t")
        if not self.awaited or "later" not in request.path:
            return response
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Response] = loop.create_future()
        loop.call_soon(lambda: future.done() or future.set_result(response))
        return future


def _assert_bounded(site: FakeSite, transport: MemoryTransport) -> None:
    for connection in site.open:
        framer = connection._framer
        assert len(framer.items) <= LIMITS.pipeline + 1
        assert len(framer._body or b"") <= LIMITS.body_bytes + len(site.buffer)
        assert len(framer._headers) <= LIMITS.header_count + 1
        assert len(framer._url) <= len(site.buffer)
    assert transport.unsent <= LIMITS.write_buffer + 2000


def _assert_answers(site: FakeSite, transport: MemoryTransport) -> None:
    asked = [asked for asked, _ in site.told]
    heads = [i for i, a in enumerate(asked) if isinstance(a, Request) and a.method == "HEAD"]
    answers = read_answers(bytes(transport.sent), heads=tuple(heads))
    final = [a for a in answers if not a.interim]
    for answer in final:
        assert_complete(answer)
    assert len(final) == len(site.told)
    assert not any(a.closes for a in final[:-1])
    assert len(site.refused) <= 1
    assert all(isinstance(a, Request) for a in asked[:-1])
    if final and final[-1].closes:
        assert transport.closed or transport.ended
        assert answers[-1] is final[-1]
    for request in site.asked:
        assert request.path.startswith("/")
        assert len(request.body) <= LIMITS.body_bytes
        assert "evil" not in request.base
        assert not any(c in value for value in request.headers.values() for c in "\0\r\n")


async def _run(random: Random, pieces: list[bytes], *, awaited: bool, stuck: bool) -> FakeSite:
    site = FakeSite(Answerer(random, awaited=awaited), limits=LIMITS)
    connection, transport = site.connect(stuck=stuck)
    for piece in pieces:
        transport.arrive(piece)
        _assert_bounded(site, transport)
        if awaited and random.random() < 0.5:
            await asyncio.sleep(0)
        if stuck and random.random() < 0.3:
            transport.take()
    if stuck:
        transport.take()
    for _ in range(2 * LIMITS.pipeline if awaited else 0):
        await asyncio.sleep(0)
    end = random.randrange(4)
    if end == 0:
        transport.arrive_eof()
    elif end == 1:
        connection.drain()
    elif end == 2:
        site.clock.advance(60)
        connection.check(site.clock.monotonic())
    _assert_answers(site, transport)
    assert not site.errors
    transport.close()
    assert not site.open
    return site


def _understood(site: FakeSite) -> tuple[list[tuple[str, str, bytes]], list[int]]:
    """What was asked, and the status of the refusal: which of two flaws is named may depend on reads."""
    asked = [(r.method, r.path, r.body) for r in site.asked]
    return asked, [r.status for r in site.refused]


async def _round(seed: int, n: int) -> None:
    random = Random(f"{seed}/{n}")
    data = _stream(random)
    pieces = _pieces(random, data)
    await _run(random, pieces, awaited=random.random() < 0.3, stuck=random.random() < 0.2)

    # Sizes are bounded a read late, and only within a read can requests be ahead of their answers.
    whole = await _run(Random(n), [data], awaited=False, stuck=False)
    split = await _run(Random(n), pieces, awaited=False, stuck=False)
    late = {"pipeline", "head-size", "chunk-size", "body-size", "deadline"}
    if not late & {refusal.rule for refusal in whole.refused + split.refused}:
        assert _understood(whole) == _understood(split)


async def _rounds(seed: int, count: int) -> None:
    for n in range(count):
        try:
            await _round(seed, n)
        except BaseException as error:
            error.add_note(f"again: _round({seed}, {n})")
            raise


@SEEDS
async def test_any_input(seed: int) -> None:
    await _rounds(seed, 2_000)


@pytest.mark.long
@SEEDS
async def test_any_input_for_long(seed: int) -> None:
    await _rounds(seed, 500_000)
