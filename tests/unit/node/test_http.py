"""One connection in memory: order, deadlines, back-pressure, draining, and the form of answers."""

from __future__ import annotations

import asyncio
import gc

import pytest
from fakes.transport import MemoryTransport
from httptools import HttpParserCallbackError
from unit.node.http_cases import HOST, NEXT
from unit.node.http_harness import Answer, FakeSite, assert_complete, read_answers, say_path

from linklocal.metadata.wire import Request, Response
from linklocal.node.framing import Framer
from linklocal.node.hosts import HostPolicy
from linklocal.node.http import Connection
from linklocal.node.refusals import too_many_connections

POST = b"POST /p HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n"


def get(path: str, extra: bytes = b"", *, version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/%b\r\n%b%b\r\n" % (method, path.encode(), version, HOST, extra)


class Later:
    """A site's answers that come when the test says so."""

    def __init__(self) -> None:
        self.waiting: dict[str, asyncio.Future[Response]] = {}

    def __call__(self, request: Request) -> Response | asyncio.Future[Response]:
        if not request.path.startswith("/later"):
            return say_path(request)
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.waiting[request.path] = future
        return future

    async def finish(self, path: str) -> None:
        self.waiting[path].set_result(Response(200, path.encode(), "t"))
        await asyncio.sleep(0)


def statuses(transport: MemoryTransport) -> list[int]:
    return [a.status for a in read_answers(bytes(transport.sent))]


def only(transport: MemoryTransport, **options: tuple[int, ...]) -> Answer:
    (answer,) = read_answers(bytes(transport.sent), **options)
    return answer


# --- the form of answers ---------------------------------------------------------------------------


def test_an_answer_is_one_write_in_the_call_in_which_its_request_arrived() -> None:
    """No task and no await: there is not even a loop here."""
    site = FakeSite()
    _, transport = site.connect()

    for n in range(1, 4):
        transport.arrive(get("/a"))
        assert transport.writes == n

    assert statuses(transport) == [200, 200, 200]
    assert not transport.closed


def test_what_every_answer_carries() -> None:
    site = FakeSite()
    _, transport = site.connect()

    transport.arrive(get("/a"))

    answer = only(transport)
    assert_complete(answer)
    assert answer.headers["date"] == "Tue, 24 Nov 2026 12:00:00 GMT"
    assert answer.headers["x-request-id"] == "trace-/a"
    assert "connection" not in answer.headers


def test_the_date_moves_on() -> None:
    site = FakeSite()
    _, transport = site.connect()

    transport.arrive(get("/a"))
    site.clock.advance(1)
    transport.arrive(get("/a"))

    dates = [a.headers["date"][17:25] for a in read_answers(bytes(transport.sent))]
    assert dates == ["12:00:00", "12:00:01"]


def test_headers_of_the_answer_are_added() -> None:
    site = FakeSite(lambda _: Response(405, b"{}", "t", headers=(("Allow", "GET, PUT"),)))
    _, transport = site.connect()

    transport.arrive(get("/a"))

    (answer,) = read_answers(bytes(transport.sent))
    assert answer.headers["allow"] == "GET, PUT"


def test_head_has_the_length_and_no_body() -> None:
    site = FakeSite()
    _, transport = site.connect()

    transport.arrive(get("/a", method=b"HEAD") + get("/b"))

    first, second = read_answers(bytes(transport.sent), heads=(0,))
    assert int(first.headers["content-length"]) > 0
    assert second.json()["path"] == "/b"


def test_http_1_0_is_told_that_the_connection_stays() -> None:
    site = FakeSite()
    _, transport = site.connect()

    transport.arrive(get("/a", b"Connection: keep-alive\r\n", version=b"1.0"))

    assert only(transport).headers["connection"] == "keep-alive"
    assert not transport.closed


def test_https_is_in_the_base() -> None:
    site = FakeSite()
    _, transport = site.connect(tls=True)

    transport.arrive(get("/a"))

    assert site.asked[0].base == "https://169.254.169.254"


# --- order -----------------------------------------------------------------------------------------


async def test_answers_keep_the_order_of_requests() -> None:
    later = Later()
    site = FakeSite(later)
    _, transport = site.connect()

    transport.arrive(get("/later/1") + get("/2") + get("/later/3") + get("/4"))
    assert statuses(transport) == []
    assert not transport.reading
    assert list(later.waiting) == ["/later/1"]

    await later.finish("/later/1")
    assert len(statuses(transport)) == 2
    await later.finish("/later/3")

    answers = read_answers(bytes(transport.sent))
    assert answers[0].body == b"/later/1"
    assert answers[1].json()["path"] == "/2"
    assert answers[2].body == b"/later/3"
    assert answers[3].json()["path"] == "/4"
    assert transport.reading


async def test_a_refusal_waits_for_its_turn() -> None:
    later = Later()
    site = FakeSite(later)
    _, transport = site.connect()

    transport.arrive(get("/later/1") + b"nonsense\r\n\r\n")
    assert not transport.sent
    await later.finish("/later/1")

    assert statuses(transport) == [200, 400]


async def test_a_failed_answer_is_a_500_and_the_next_request_is_served() -> None:
    later = Later()
    site = FakeSite(later)
    _, transport = site.connect()

    transport.arrive(get("/later/1") + get("/2"))
    error = RuntimeError("a defect")
    later.waiting["/later/1"].set_exception(error)
    await asyncio.sleep(0)

    assert statuses(transport) == [500, 200]
    assert site.errors == [error]


async def test_an_awaited_answer_is_cancelled_when_the_peer_goes() -> None:
    later = Later()
    site = FakeSite(later)
    _, transport = site.connect()

    transport.arrive(get("/later/1"))
    transport.close()
    await asyncio.sleep(0)

    assert later.waiting["/later/1"].cancelled()
    assert not site.open


async def test_a_half_closed_peer_gets_what_it_asked_for() -> None:
    later = Later()
    site = FakeSite(later)
    _, transport = site.connect()

    transport.arrive(get("/later/1") + get("/2"))
    transport.arrive_eof()
    assert not transport.closed
    await later.finish("/later/1")

    first, second = read_answers(bytes(transport.sent))
    assert (first.closes, second.closes) == (False, True)
    assert transport.closed


def test_a_peer_that_goes_in_the_middle_of_a_request_gets_nothing() -> None:
    site = FakeSite()
    _, transport = site.connect()

    transport.arrive(POST + b"{")
    transport.arrive_eof()

    assert transport.closed
    assert not transport.sent
    assert not site.asked


# --- Expect ----------------------------------------------------------------------------------------


def test_continue_is_sent_once_and_only_when_the_body_is_awaited() -> None:
    site = FakeSite()
    _, transport = site.connect()
    expecting = POST[:-2] + b"Expect: 100-continue\r\n\r\n"

    transport.arrive(expecting)
    assert statuses(transport) == [100]
    transport.arrive(b"{")
    transport.arrive(b"}")
    transport.arrive(expecting + b"{}")

    assert statuses(transport) == [100, 200, 200]


async def test_continue_waits_for_the_answers_before_it() -> None:
    later = Later()
    site = FakeSite(later)
    _, transport = site.connect()

    transport.arrive(get("/later/1") + POST[:-2] + b"Expect: 100-continue\r\n\r\n")
    assert not transport.sent
    await later.finish("/later/1")

    assert statuses(transport) == [200, 100]


def test_http_1_0_is_never_told_to_continue() -> None:
    site = FakeSite()
    _, transport = site.connect()

    transport.arrive(
        b"POST / HTTP/1.0\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )

    assert not transport.sent


# --- deadlines -------------------------------------------------------------------------------------


def _after(site: FakeSite, connection: Connection, seconds: float) -> tuple[bool, bool]:
    """Whether the connection outlives `seconds` but for a moment, and `seconds` itself."""
    site.clock.advance(seconds - 0.01)
    before = connection.check(site.clock.monotonic())
    site.clock.advance(0.02)
    return before, connection.check(site.clock.monotonic())


def test_a_peer_that_says_nothing_is_closed_without_a_word() -> None:
    site = FakeSite()
    connection, transport = site.connect()

    assert _after(site, connection, site.limits.first_byte) == (False, True)
    assert transport.closed
    assert not transport.sent


def test_headers_that_trickle_are_refused_408() -> None:
    site = FakeSite()
    connection, transport = site.connect()
    transport.arrive(b"GET / HTTP/1.1\r\n")

    for _ in range(4):
        site.clock.advance(1)
        transport.arrive(b"X: y\r\n")
        assert not connection.check(site.clock.monotonic())
    site.clock.advance(1.01)
    assert connection.check(site.clock.monotonic())

    answer = only(transport)
    assert answer.status == 408
    assert answer.closes
    assert "headers" in site.refused[0].message


def test_a_body_that_stalls_is_refused_408() -> None:
    site = FakeSite()
    connection, transport = site.connect()
    site.clock.advance(4)
    transport.arrive(POST + b"{")

    assert _after(site, connection, site.limits.body) == (False, True)
    assert only(transport).status == 408
    assert "body" in site.refused[0].message


def test_an_idle_connection_is_closed_without_a_word() -> None:
    site = FakeSite()
    connection, transport = site.connect()
    transport.arrive(get("/a"))

    assert _after(site, connection, site.limits.idle) == (False, False)
    assert transport.closed
    assert statuses(transport) == [200]


async def test_our_own_delay_is_no_deadline_of_the_peer() -> None:
    later = Later()
    for request in (get("/later/1"), get("/later/1", b"Connection: close\r\n")):
        site = FakeSite(later)
        connection, transport = site.connect()
        transport.arrive(request)

        site.clock.advance(1000)
        assert not connection.check(site.clock.monotonic())
        await later.finish("/later/1")

        assert statuses(transport) == [200]


def test_a_peer_that_takes_nothing_is_aborted() -> None:
    site = FakeSite(lambda _: Response(200, b"x" * 40_000, "t"))
    connection, transport = site.connect(stuck=True)
    transport.arrive(get("/a") + get("/b"))

    assert _after(site, connection, site.limits.write) == (False, True)
    assert transport.aborted


# --- back-pressure ---------------------------------------------------------------------------------


def test_a_peer_that_takes_nothing_is_not_read() -> None:
    """What one connection can make the node keep is the buffer, one answer and one read."""
    site = FakeSite(lambda _: Response(200, b"x" * 40_000, "t"))
    _, transport = site.connect(stuck=True)

    transport.arrive(get("/a") * 16)
    assert len(site.asked) == 2
    assert not transport.reading

    transport.take()
    assert statuses(transport) == [200] * 16
    assert transport.reading


def test_a_held_connection_goes_on_where_it_was() -> None:
    site = FakeSite()
    connection, transport = site.connect()

    connection.hold(True)
    assert not transport.reading
    transport.arrive(get("/a"))  # what the loop had read already
    assert not transport.sent
    connection.hold(False)

    assert statuses(transport) == [200]
    assert transport.reading


# --- the end ---------------------------------------------------------------------------------------


def test_input_behind_a_refusal_is_dropped_until_the_peer_is_done() -> None:
    """A close with unread input would be a reset, and the reset could overtake the refusal."""
    site = FakeSite()
    _, transport = site.connect()

    transport.arrive(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 500000\r\n\r\n")
    assert transport.ended
    assert not transport.closed
    transport.arrive(b"x" * 500_000)
    assert not transport.closed
    transport.arrive_eof()

    assert transport.closed
    assert only(transport).status == 413


def test_lingering_is_bounded_in_bytes_and_in_time() -> None:
    for tls in (False, True):
        site = FakeSite()
        connection, transport = site.connect(tls=tls)
        transport.arrive(b"nonsense\r\n")
        transport.arrive(b"x" * (site.limits.linger_bytes + 1))
        assert transport.closed

        connection, transport = site.connect(tls=tls)
        transport.arrive(b"nonsense\r\n")
        _after(site, connection, site.limits.linger)
        assert transport.closed


def test_a_connection_over_the_cap_is_told_so() -> None:
    site = FakeSite()
    site.full = too_many_connections(256)
    _, transport = site.connect()

    transport.arrive(get("/a"))

    answer = only(transport)
    assert (answer.status, answer.headers["retry-after"], answer.closes) == (429, "1", True)
    assert not site.asked


def test_draining_closes_an_idle_connection() -> None:
    site = FakeSite()
    connection, transport = site.connect()
    transport.arrive(get("/a"))

    connection.drain()

    assert transport.closed


@pytest.mark.parametrize("cut", [0, 1, 20, len(POST), len(POST) + 1])
def test_draining_lets_a_request_finish(cut: int) -> None:
    """Also the first one of a connection that has not yet spoken."""
    site = FakeSite()
    connection, transport = site.connect()
    transport.arrive((POST + b"{}")[:cut])

    connection.drain()
    assert not transport.closed
    transport.arrive((POST + b"{}")[cut:] + NEXT)

    answer = only(transport)
    assert (answer.status, answer.closes) == (200, True)
    assert transport.closed
    assert len(site.asked) == 1


async def test_draining_waits_for_an_awaited_answer_and_drops_what_is_behind() -> None:
    later = Later()
    site = FakeSite(later)
    connection, transport = site.connect()
    transport.arrive(get("/later/1") + get("/2"))

    connection.drain()
    assert not transport.closed
    await later.finish("/later/1")

    assert only(transport).closes
    assert transport.closed
    assert [r.path for r in site.asked] == ["/later/1"]


def test_draining_does_not_cut_a_refusal_short() -> None:
    site = FakeSite()
    connection, transport = site.connect()
    transport.arrive(b"nonsense\r\n")

    connection.drain()

    assert not transport.closed


def test_a_defect_of_ours_is_not_taken_for_the_peers_fault() -> None:
    class Broken(HostPolicy):
        def authority(self, host: str) -> str | None:
            raise ZeroDivisionError

    site = FakeSite()
    site.hosts = Broken()
    _, transport = site.connect()

    with pytest.raises(HttpParserCallbackError):
        transport.arrive(get("/a"))

    assert not site.refused


def test_a_closed_connection_leaves_no_cycle() -> None:
    """One connection a call is the rule here: they must not wait for the garbage collector."""
    site = FakeSite()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            _, transport = site.connect()
            transport.arrive(get("/a", b"Connection: close\r\n"))
            transport.protocol = None
        del transport, _
        left = [o for o in gc.get_objects() if isinstance(o, Framer | Connection)]
    finally:
        gc.enable()

    assert left == []
