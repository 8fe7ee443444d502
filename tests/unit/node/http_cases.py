"""What is done with every odd thing that can be sent: one table, run in memory and over real sockets.

Verdicts are at least as strict as the strictest of nine servers that were compared. `answers`: the
statuses in order. `stays`: whether the connection is still open afterwards. Nothing that follows a
refusal is answered; cases end in a request that would be, if it were reached.
"""

from __future__ import annotations

from dataclasses import dataclass

HOST = b"Host: 169.254.169.254\r\n"
NEXT = b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n"


@dataclass(frozen=True)
class Case:
    name: str
    sent: bytes
    answers: tuple[int, ...]
    stays: bool = False

    def __str__(self) -> str:
        return self.name


def _get(extra: bytes = b"", *, host: bytes = HOST, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return line + b"\r\n" + host + extra + b"\r\n"


def _post(extra: bytes, body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\n" + HOST + extra + b"\r\n" + body


def _chunked(body: bytes) -> bytes:
    return _post(b"Transfer-Encoding: chunked\r\n", body)


def _refused(name: str, sent: bytes, status: int = 400) -> Case:
    return Case(name, sent + NEXT, (status,))


def _served(name: str, sent: bytes) -> Case:
    return Case(name, sent + NEXT, (200, 200), stays=True)


# What a group is about -> its cases. `docs/http-robustness.md` is made of this (`robustness_page.py`).
GROUPS: dict[str, list[Case]] = {
    "Whole requests": [
        _served("plain get", _get()),
        _served("get with a body", _get(b"Content-Length: 3\r\n") + b"abc"),
        _served("post with length", _post(b"Content-Length: 2\r\n", b"{}")),
        _served("post without body", _post(b"")),
        _served("length zero", _post(b"Content-Length: 0\r\n")),
        _served("length with leading zeros", _post(b"Content-Length: 002\r\n", b"{}")),
        _served("chunked", _chunked(b"2\r\n{}\r\n0\r\n\r\n")),
        _served(
            "chunked, case of the coding", _post(b"transfer-encoding: ChunKed\r\n", b"0\r\n\r\n")
        ),
        _served("chunk extension", _chunked(b'2;a=b;c="d"\r\n{}\r\n0\r\n\r\n')),
        _served("trailers are dropped", _chunked(b"2\r\n{}\r\n0\r\nHost: evil\r\nX: y\r\n\r\n")),
        _served("empty lines before a request", b"\r\n\r\n" + _get()),
        _served("empty header value", _get(b"X:\r\n")),
        _served("tabs around a value", _get(b"X: \t a \t \r\n")),
        _served("high bytes in a value", _get(b"X: \xc3\xa9\xff\r\n")),
        _served("header in any case", _get(host=b"hOST: 169.254.169.254\r\n")),
    ],
    "Host": [
        _served("host with port", _get(host=b"Host: 169.254.169.254:80\r\n")),
        _served("host by name", _get(host=b"Host: api.metadata.cloud.ibm.com\r\n")),
        _served("host by name, port, case", _get(host=b"Host: API.metadata.cloud.ibm.com:443\r\n")),
        _refused("no host", _get(host=b"")),
        _refused("no host in 1.0", _get(host=b"", line=b"GET / HTTP/1.0")),
        _refused("two hosts", _get(host=HOST + HOST)),
        _refused("two hosts, one empty", _get(host=HOST + b"Host:\r\n")),
        _refused("empty host", _get(host=b"Host:\r\n")),
        _refused("foreign host", _get(host=b"Host: evil.example\r\n")),
        _refused("foreign host with our prefix", _get(host=b"Host: 169.254.169.254.nip.io\r\n")),
        _refused(
            "foreign host with our suffix", _get(host=b"Host: x.api.metadata.cloud.ibm.com\r\n")
        ),
        _refused("host with user", _get(host=b"Host: a@169.254.169.254\r\n")),
        _refused("host list", _get(host=b"Host: 169.254.169.254, evil\r\n")),
        _refused("host with empty port", _get(host=b"Host: 169.254.169.254:\r\n")),
        _refused("host with port 0", _get(host=b"Host: 169.254.169.254:0\r\n")),
        _refused("host with huge port", _get(host=b"Host: 169.254.169.254:65536\r\n")),
        _refused("host with word as port", _get(host=b"Host: 169.254.169.254:http\r\n")),
        _refused("host in other notation", _get(host=b"Host: 2852039166\r\n")),
        _refused("loopback name where there is none", _get(host=b"Host: localhost\r\n")),
    ],
    "Target and version": [
        _refused("absolute form", _get(line=b"GET http://169.254.169.254/ HTTP/1.1")),
        _refused("absolute form, foreign", _get(line=b"GET http://evil/ HTTP/1.1")),
        _refused("asterisk form", _get(line=b"OPTIONS * HTTP/1.1")),
        _refused("authority form", _get(line=b"CONNECT 169.254.169.254:80 HTTP/1.1")),
        _refused("connect to a path", _get(line=b"CONNECT / HTTP/1.1")),
        _refused("no slash", _get(line=b"GET metadata HTTP/1.1")),
        _refused("fragment", _get(line=b"GET /#a HTTP/1.1")),
        _refused("space in the path", _get(line=b"GET /a b HTTP/1.1")),
        _refused("high byte in the path", _get(line=b"GET /\xff HTTP/1.1")),
        _refused("control in the path", _get(line=b"GET /\x01 HTTP/1.1")),
        _refused("tab in the path", _get(line=b"GET /\t HTTP/1.1")),
        _refused("lower-case method", _get(line=b"get / HTTP/1.1")),
        _refused("unknown method", _get(line=b"BREW / HTTP/1.1")),
        _refused("0.9", b"GET /\r\n\r\n"),
        _refused("version 0.9", _get(line=b"GET / HTTP/0.9")),
        _refused("version 1.2", _get(line=b"GET / HTTP/1.2")),
        _refused("version 2.0", _get(line=b"GET / HTTP/2.0")),
        _refused("version in lower case", _get(line=b"GET / http/1.1")),
        _refused("space behind the version", _get(line=b"GET / HTTP/1.1 ")),
        _refused("h2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        _refused("TLS on a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ],
    "Line ends and header lines": [
        _refused("bare LF behind the request line", b"GET / HTTP/1.1\n" + HOST + b"\r\n"),
        _refused("bare LF behind a header", b"GET / HTTP/1.1\r\nHost: 169.254.169.254\n\r\n"),
        _refused("bare LF at the end", b"GET / HTTP/1.1\r\n" + HOST + b"\n"),
        _refused("bare CR in a value", _get(b"X: a\rb\r\n")),
        _refused("NUL in a value", _get(b"X: a\0b\r\n")),
        _refused("control in a value", _get(b"X: a\x01b\r\n")),
        _refused("DEL in a value", _get(b"X: a\x7fb\r\n")),
        _refused("NUL in a name", _get(b"X\0: a\r\n")),
        _refused("obs-fold", _get(b"X: a\r\n b\r\n")),
        _refused("obs-fold of an empty value", _get(b"X:\r\n b\r\n")),
        _refused("folded first header", b"GET / HTTP/1.1\r\n X: a\r\n" + HOST + b"\r\n"),
        _refused("space before the colon", _get(b"X : a\r\n")),
        _refused("no colon", _get(b"X\r\n")),
        _refused("empty name", _get(b": a\r\n")),
        _refused("high byte in a name", _get(b"X\xe9: a\r\n")),
    ],
    "Length and coding": [
        _refused(
            "length and coding", _post(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n")
        ),
        _refused(
            "coding and length", _post(b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n")
        ),
        _refused("two lengths", _post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc")),
        _refused(
            "two different lengths", _post(b"Content-Length: 3\r\nContent-Length: 0\r\n", b"abc")
        ),
        _refused("list of lengths", _post(b"Content-Length: 3, 3\r\n", b"abc")),
        _refused("signed length", _post(b"Content-Length: +3\r\n", b"abc")),
        _refused("negative length", _post(b"Content-Length: -3\r\n", b"abc")),
        _refused("hexadecimal length", _post(b"Content-Length: 0x3\r\n", b"abc")),
        _refused("fraction as length", _post(b"Content-Length: 3.0\r\n", b"abc")),
        _refused("length with a space inside", _post(b"Content-Length: 1 1\r\n")),
        _refused("empty length", _post(b"Content-Length:\r\n")),
        _refused("length beyond 64 bits", _post(b"Content-Length: 18446744073709551616\r\n")),
        _refused("length with space before colon", _post(b"Content-Length : 3\r\n", b"abc")),
        _refused("empty coding", _post(b"Transfer-Encoding:\r\n")),
        _refused("other coding", _post(b"Transfer-Encoding: gzip\r\n")),
        _refused(
            "coding and chunked", _post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n")
        ),
        _refused(
            "chunked and coding", _post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n")
        ),
        _refused("chunked twice", _post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n")),
        _refused("two codings", _post(b"Transfer-Encoding: chunked\r\n" * 2, b"0\r\n\r\n")),
        _refused("misspelt coding", _post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n")),
        _refused(
            "coding with parameter", _post(b"Transfer-Encoding: chunked;q=1\r\n", b"0\r\n\r\n")
        ),
        _refused("coding with control", _post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n")),
        _refused(
            "coding in 1.0",
            b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
    ],
    "Chunks": [
        _refused("chunk size 0x", _chunked(b"0x2\r\n{}\r\n0\r\n\r\n")),
        _refused("chunk size signed", _chunked(b"+2\r\n{}\r\n0\r\n\r\n")),
        _refused("chunk size negative", _chunked(b"-2\r\n{}\r\n0\r\n\r\n")),
        _refused("chunk size empty", _chunked(b"\r\n{}\r\n0\r\n\r\n")),
        _refused("chunk size with space", _chunked(b"2 \r\n{}\r\n0\r\n\r\n")),
        _refused("chunk size beyond 64 bits", _chunked(b"10000000000000000\r\n{}\r\n0\r\n\r\n")),
        _refused("chunk with bare LF", _chunked(b"2\n{}\n0\n\n")),
        _refused("chunk longer than its size", _chunked(b"2\r\n{}}\r\n0\r\n\r\n")),
        _refused("chunk shorter than its size", _chunked(b"3\r\n{}\r\n0\r\n\r\n")),
        _refused("bare LF in an extension", _chunked(b"2;a\n{}\r\n0\r\n\r\n")),
        _refused("NUL in an extension", _chunked(b"2;\0\r\n{}\r\n0\r\n\r\n")),
        _refused("folded trailer", _chunked(b"0\r\nX: a\r\n b\r\n\r\n")),
    ],
    "Sizes": [
        _refused("length over the cap", _post(b"Content-Length: 65537\r\n"), 413),
        _refused("a body of 32 MB", _post(b"Content-Length: 33554432\r\n"), 413),
        _refused(
            "chunks over the cap", _chunked(b"10001\r\n" + b"x" * 0x10001 + b"\r\n0\r\n\r\n"), 413
        ),
        _served("length at the cap", _post(b"Content-Length: 65536\r\n", b"x" * 65536)),
        _refused("one long header", _get(b"X: " + b"x" * 32_768 + b"\r\n"), 431),
        _refused("a header of 1 MB", _get(b"X: " + b"x" * 1_000_000 + b"\r\n"), 431),
        _refused("many headers", _get(b"X: a\r\n" * 64), 431),
        _refused("20,000 headers", _get(b"X: a\r\n" * 20_000), 431),
        _served("as many headers as allowed", _get(b"X: a\r\n" * 63)),
        _refused("long URL", _get(line=b"GET /" + b"x" * 4096 + b" HTTP/1.1"), 431),
        _served("longest URL", _get(line=b"GET /" + b"x" * 4095 + b" HTTP/1.1")),
    ],
    "Connection": [
        Case("close", _get(b"Connection: close\r\n") + NEXT, (200,)),
        Case("close among others", _get(b"Connection: a, Close\r\n") + NEXT, (200,)),
        Case("1.0 closes", _get(line=b"GET / HTTP/1.0") + NEXT, (200,)),
        _served("1.0 stays", _get(b"Connection: keep-alive\r\n", line=b"GET / HTTP/1.0")),
        _served("h2c is declined", _get(b"Connection: Upgrade\r\nUpgrade: h2c\r\n")),
        _served(
            "h2c with a body is declined",
            _post(b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n", b"{}"),
        ),
        _served(
            "h2c with chunks is declined",
            _post(
                b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n",
                b"2\r\n{}\r\n0\r\n\r\n",
            ),
        ),
        _served("websocket is declined", _get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")),
        Case(
            "h2c and close",
            _post(b"Connection: Upgrade, close\r\nUpgrade: h2c\r\nContent-Length: 2\r\n", b"{}")
            + NEXT,
            (200,),
        ),
    ],
    "Expect": [
        Case(
            "100-continue, body at once",
            _post(b"Expect: 100-continue\r\nContent-Length: 2\r\n", b"{}") + NEXT,
            (200, 200),
            stays=True,
        ),
        _refused("other expectation", _post(b"Expect: 200-ok\r\nContent-Length: 2\r\n", b"{}")),
        _refused(
            "100-continue over the cap",
            _post(b"Expect: 100-continue\r\nContent-Length: 65537\r\n"),
            413,
        ),
    ],
    "Pipelining": [
        Case("as many ahead as allowed", NEXT * 16, (200,) * 16, stays=True),
        Case("too many ahead", NEXT * 17, (200,) * 16 + (400,)),
    ],
}
CASES: list[Case] = [case for cases in GROUPS.values() for case in cases]


@dataclass(frozen=True)
class Slow:
    """A peer that takes its time: `first` at once, then `again` each second, until the deadline.

    `limit` names the deadline (`limits.Limits`). `answers` are all that it ever gets.
    """

    name: str
    first: bytes
    limit: str
    answers: tuple[int, ...] = ()
    again: bytes = b""
    crowded: bool = False  # the instance has more connections than `Limits.crowd`

    def __str__(self) -> str:
        return self.name


SLOW: list[Slow] = [
    Slow("connect, send nothing", b"", "first_byte"),
    Slow("empty lines that trickle", b"\r\n", "head", again=b"\r\n", answers=(408,)),
    Slow("request line that stalls", b"GET / HT", "head", (408,)),
    Slow("headers that trickle", b"GET / HTTP/1.1\r\n", "head", (408,), b"X: y\r\n"),
    Slow("headers that stall", b"GET / HTTP/1.1\r\n" + HOST, "head", (408,)),
    Slow("headers behind an answer that stall", NEXT + b"GET / HTTP/1.1\r\n", "head", (200, 408)),
    Slow("body that stalls", _post(b"Content-Length: 30000\r\n", b"x"), "body", (408,)),
    Slow("body that trickles", _post(b"Content-Length: 30000\r\n"), "body", (408,), b"x"),
    Slow("chunks that trickle", _chunked(b""), "body", (408,), b"1\r\nx\r\n"),
    Slow("chunks that never end", _chunked(b"2\r\n{}\r\n"), "body", (408,)),
    Slow("idle keep-alive", NEXT, "idle", (200,)),
    Slow("idle keep-alive in a crowd", NEXT, "idle_in_crowd", (200,), crowded=True),
]

# Nine servers were compared once. What was sent to them -> the strictest of their verdicts, and our cases.
COMPARED: dict[str, tuple[str, tuple[str, ...]]] = {
    "Content-Length and Transfer-Encoding": ("400", ("length and coding", "coding and length")),
    "bare LF": (
        "400",
        (
            "bare LF behind the request line",
            "bare LF behind a header",
            "bare LF at the end",
            "chunk with bare LF",
        ),
    ),
    "obs-fold": ("400", ("obs-fold", "obs-fold of an empty value", "folded first header")),
    "no Host; two Hosts": ("400", ("no host", "no host in 1.0", "two hosts")),
    "a header of 1 MB; 20,000 headers": ("400 or 431", ("a header of 1 MB", "20,000 headers")),
    "two Content-Length": ("400", ("two lengths", "two different lengths", "list of lengths")),
    "Content-Length: +5": ("400", ("signed length",)),
    "bad Transfer-Encoding": ("400", ("other coding", "misspelt coding", "chunked twice")),
    "space before the colon": (
        "400",
        ("space before the colon", "length with space before colon"),
    ),
    "NUL and bare CR": ("400", ("NUL in a value", "NUL in a name", "bare CR in a value")),
    "a body of 32 MB to a path that reads none": ("413 or closed", ("a body of 32 MB",)),
    "connect, send nothing": ("closed after 5 s", ("connect, send nothing",)),
    "headers that trickle": ("closed after 5 s", ("headers that trickle",)),
    "body that stalls": ("closed after 11 s", ("body that stalls", "body that trickles")),
    "idle keep-alive": (
        "closed after 2 s",
        ("idle keep-alive in a crowd", "idle keep-alive"),
    ),
}
