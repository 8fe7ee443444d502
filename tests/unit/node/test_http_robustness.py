"""The table of odd input, in memory: whole, split anywhere, and behind an honest request."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.node.http_cases import CASES, COMPARED, HOST, NEXT, SLOW, Case, Slow
from unit.node.http_harness import FakeSite, assert_complete, read_answers
from unit.node.robustness_page import page, unsaid


def _statuses(site: FakeSite, sent: bytes) -> list[int]:
    answers = [a for a in read_answers(sent) if not a.interim]
    for answer in answers:
        assert_complete(answer)
    assert not any(a.closes for a in answers[:-1])
    assert len(site.asked) + len(site.refused) == len(answers) == len(site.told)
    return [a.status for a in answers]


def _assert_verdict(case: Case, site: FakeSite, sent: bytes, *, closed: bool) -> None:
    assert _statuses(site, sent) == list(case.answers)
    assert not site.errors
    assert closed is not case.stays


@pytest.mark.parametrize("case", CASES, ids=str)
def test_in_one_read(case: Case) -> None:
    site = FakeSite()
    _, transport = site.connect()

    transport.arrive(case.sent)

    _assert_verdict(case, site, transport.sent, closed=transport.closed or transport.ended)


@pytest.mark.parametrize("case", [c for c in CASES if len(c.sent) < 3000], ids=str)
def test_byte_by_byte(case: Case) -> None:
    """Where reads end decides nothing. Only a peer that sends ahead is told apart."""
    site = FakeSite()
    _, transport = site.connect()

    for i in range(len(case.sent)):
        transport.arrive(case.sent[i : i + 1])

    answers = case.answers
    if case.name == "too many ahead":
        answers, case = (200,) * 17, Case(case.name, case.sent, (200,) * 17, stays=True)
    assert _statuses(site, transport.sent) == list(answers)
    assert (transport.closed or transport.ended) is not case.stays


@pytest.mark.parametrize("case", CASES, ids=str)
def test_in_blocks_that_split_everywhere(case: Case) -> None:
    for size in (7, 61, 997):
        site = FakeSite()
        _, transport = site.connect()
        if case.name == "too many ahead":
            continue
        for i in range(0, len(case.sent), size):
            transport.arrive(case.sent[i : i + size])
        _assert_verdict(case, site, transport.sent, closed=transport.closed or transport.ended)


@pytest.mark.parametrize("case", [c for c in CASES if "ahead" not in c.name], ids=str)
def test_behind_an_honest_request(case: Case) -> None:
    """What came before a refusal is answered, and in order."""
    site = FakeSite()
    _, transport = site.connect()

    transport.arrive(NEXT + case.sent)

    assert _statuses(site, transport.sent) == [200, *case.answers]


@pytest.mark.parametrize("slow", SLOW, ids=str)
def test_a_slow_peer_is_given_up(slow: Slow) -> None:
    """At its deadline and not before, however it spreads what it sends."""
    site = FakeSite()
    connection, transport = site.connect()
    limit = getattr(site.limits, slow.limit)
    if slow.first:
        transport.arrive(slow.first)
    elapsed = 0.0
    while elapsed + 1 < limit:
        site.clock.advance(1)
        elapsed += 1
        if slow.again:
            transport.arrive(slow.again)
        connection.check(site.clock.monotonic(), crowded=slow.crowded)
        assert not transport.closed
        assert not transport.ended

    site.clock.advance(limit - elapsed + 0.01)
    connection.check(site.clock.monotonic(), crowded=slow.crowded)

    assert transport.closed or transport.ended
    assert _statuses(site, transport.sent) == list(slow.answers)


def test_every_compared_input_has_cases_that_are_as_strict() -> None:
    verdicts = {case.name: case for case in CASES}
    slow = {case.name: case for case in SLOW}
    limits = FakeSite().limits
    for strictest, names in COMPARED.values():
        for name in names:
            if name in verdicts:
                case = verdicts[name]
                assert not case.stays, name
                assert case.answers[0] in (400, 413, 431), name
        seconds = [getattr(limits, slow[name].limit) for name in names if name in slow]
        assert bool(seconds) is strictest.startswith("closed")
        if seconds:
            assert min(seconds) <= float(strictest.split()[-2]), names
        assert all(name in verdicts or name in slow for name in names)


def test_the_documentation_is_made_of_the_tables() -> None:
    written = Path(__file__).parents[3] / "docs" / "http-robustness.md"
    assert written.read_text() == page(), (
        "PYTHONPATH=tests python tests/unit/node/robustness_page.py"
    )
    assert not unsaid()


def test_what_a_request_is_understood_as() -> None:
    site = FakeSite()
    _, transport = site.connect()

    transport.arrive(
        b"PUT /identity/v1/token?version=2025-08-26&a=%20 HTTP/1.1\r\n"
        + HOST
        + b"Metadata-Flavor: ibm\r\nX-A: 1 \r\nx-a: 2\r\nContent-Length: 2\r\n\r\n{}"
    )

    (request,) = site.asked
    assert request.method == "PUT"
    assert request.path == "/identity/v1/token"
    assert request.query == "version=2025-08-26&a=%20"
    assert request.headers["metadata-flavor"] == "ibm"
    assert request.headers["x-a"] == "1, 2"
    assert request.body == b"{}"
    assert request.base == "http://169.254.169.254"


@pytest.mark.parametrize("upgrade", [b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"])
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 5\r\n", b"hello"),
        (b"Transfer-Encoding: chunked\r\n", b"2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n"),
    ],
)
def test_a_body_arrives_whole(upgrade: bytes, framing: bytes, body: bytes) -> None:
    """Also when the client offers another protocol, behind which the parser would skip it."""
    site = FakeSite()
    _, transport = site.connect()

    transport.arrive(b"PATCH /a HTTP/1.1\r\n" + HOST + b"X: y\r\n" + upgrade + framing + b"\r\n")
    transport.arrive(body + NEXT)

    first, second = site.asked
    assert (first.method, first.body, first.headers["x"]) == ("PATCH", b"hello", "y")
    assert (second.method, second.path, second.body) == ("GET", "/next", b"")
    assert list(second.headers) == ["host"]


@pytest.mark.parametrize(
    ("host", "base"),
    [
        (b"localhost:8775", "http://localhost:8775"),
        (b"127.0.0.1:8775", "http://127.0.0.1:8775"),
        (b"[::1]:8775", "http://[::1]:8775"),
        (b"LOCALHOST", "http://localhost"),
        (b"169.254.169.254", "http://169.254.169.254"),
    ],
)
def test_a_loopback_listener_has_its_own_names_too(host: bytes, base: str) -> None:
    site = FakeSite(loopback=True)
    _, transport = site.connect()

    transport.arrive(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")

    assert [r.base for r in site.asked] == [base]


@pytest.mark.differs(
    "Metadata: a `Host` that is not the service's",
    "not published",
    "400, against DNS rebinding",
)
@pytest.mark.parametrize("host", [b"[::2]", b"127.0.0.2", b"localhost.evil", b"[::1", b"::1"])
def test_a_loopback_listener_refuses_foreign_names(host: bytes) -> None:
    site = FakeSite(loopback=True)
    _, transport = site.connect()

    transport.arrive(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")

    (refusal,) = site.refused
    assert refusal.rule == "host"
    assert "api.metadata.cloud.ibm.com" in refusal.message


def test_chunk_extensions_are_bounded() -> None:
    site = FakeSite()
    _, transport = site.connect()
    transport.arrive(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n2;")

    for _ in range(200):
        transport.arrive(b"a" * 1000)

    (answer,) = read_answers(transport.sent)
    assert answer.status == 413
    assert site.refused[0].rule == "chunk-size"


def test_trailers_are_bounded() -> None:
    site = FakeSite()
    _, transport = site.connect()
    transport.arrive(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")

    for _ in range(1000):
        transport.arrive(b"X: " + b"a" * 60 + b"\r\n")

    assert [a.status for a in read_answers(transport.sent)] == [413]


def test_one_byte_chunks_are_no_extension() -> None:
    """A client that sends a large body in small chunks is within its rights."""
    site = FakeSite()
    _, transport = site.connect()
    transport.arrive(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")

    for _ in range(640):
        transport.arrive(b"1\r\nx\r\n" * 100)
    transport.arrive(b"0\r\n\r\n")

    assert [a.status for a in read_answers(transport.sent)] == [200]
    assert site.asked[0].body == b"x" * 64_000


def test_empty_lines_without_end_are_bounded() -> None:
    site = FakeSite()
    _, transport = site.connect()

    for _ in range(100):
        transport.arrive(b"\r\n" * 500)

    assert [a.status for a in read_answers(transport.sent)] == [431]
