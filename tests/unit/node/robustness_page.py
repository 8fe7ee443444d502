"""`docs/http-robustness.md`, made of the tables that the tests run: `python robustness_page.py > ...` there.

PYTHONPATH=tests python tests/unit/node/robustness_page.py > docs/http-robustness.md
"""

from __future__ import annotations

import sys
from dataclasses import fields

from unit.node.http_cases import COMPARED, GROUPS, HOST, NEXT, SLOW, Case

from linklocal.node.limits import Limits

SHOWN = 90  # characters of what is sent

HEAD = """# What the metadata listener does with odd input

<!-- Made by tests/unit/node/robustness_page.py of the tables in http_cases.py, which the tests run. -->

Each case is sent to a listener in memory in one read, byte by byte, and in blocks that split it anywhere,
behind an honest request, and over real sockets. Every answer is whole and has the error envelope;
nothing that follows a refusal is answered; what arrives behind one is dropped for a second, so that the
answer is not lost to a reset. A fuzzer sends mutations of all of them.

*Stays*: the connection goes on, and the next request on it is answered."""


def page() -> str:
    """The page."""
    out = [HEAD]
    for title, cases in GROUPS.items():
        out += [f"\n## {title}\n", "| Case | Sent | Answer | Connection |", "|---|---|---|---|"]
        out += [_row(case) for case in cases]
    limits = Limits()
    out += [
        "\n## Slow peers\n",
        "A deadline runs from the first byte of what it bounds to the last, so a peer that trickles gains",
        "nothing; it is looked at every half second. An instance that keeps more than "
        f"{limits.crowd} connections open loses",
        "idle ones sooner: below that they cost nothing, and closing one under a guest that is slow at boot",
        "would fail its next call.\n",
        "| Case | Sent | Then each second | Deadline (s) | Answer |",
        "|---|---|---|---|---|",
    ]
    for slow in SLOW:
        seconds = getattr(limits, slow.limit)
        answers = ", ".join(map(str, slow.answers)) or "none"
        out.append(
            f"| {slow.name} | {_shown(slow.first)} | {_shown(slow.again)} | {seconds:g} | {answers} |"
        )
    out += ["\n## Bounds\n", "| Bound | Value | Refused with |", "|---|---|---|"]
    out += [
        f"| {text} | {_number(getattr(limits, name))} | {verdict} |"
        for name, text, verdict in BOUNDS
    ]
    out += [
        "\n## Against other servers\n",
        "The strictest verdict of nine servers for each input, and the cases above that are at least as",
        "strict. An idle connection is given up after 2 s only where it is one of many.\n",
        "| Input | Strictest | Cases |",
        "|---|---|---|",
    ]
    out += [
        f"| {name} | {strictest} | {', '.join(cases)} |"
        for name, (strictest, cases) in COMPARED.items()
    ]
    return "\n".join(out) + "\n"


# Field of `Limits` -> what it bounds, and what exceeding it does. The deadlines of SLOW are there.
BOUNDS = [
    ("write", "Seconds in which the peer takes what was written", "reset"),
    ("handshake", "Seconds for a TLS handshake", "closed"),
    ("linger", "Seconds for which input behind a refusal is dropped", "closed"),
    ("linger_bytes", "Bytes of it", "reset"),
    ("drain", "Seconds a request in flight has when a setting changes or the node ends", "reset"),
    ("sweep", "Seconds between looks at the deadlines", "-"),
    ("head_bytes", "Bytes of request line and headers, or of trailers", "431 (trailers: 413)"),
    ("header_count", "Headers", "431"),
    ("url_bytes", "Bytes of the URL", "431"),
    ("body_bytes", "Bytes of a body", "413"),
    ("chunk_bytes", "Bytes of chunk framing beyond 16 a chunk", "413"),
    ("write_buffer", "Unsent bytes at which a connection is not read", "waits"),
    ("pipeline", "Requests ahead of their answers", "400"),
    ("connections", "Connections of one instance", "429, Retry-After"),
    ("over_cap", "Connections beyond that which are told so", "reset"),
    ("crowd", "Connections of one instance beyond which idle ones are closed early", "closed"),
    ("turn", "Answers to one instance before others are looked after", "waits"),
    ("refusals", "429s a second, as a share of the rate of calls", "not accepted, not read"),
    ("pause", "for so many seconds", "-"),
    ("handshake_cost", "Calls that a TLS handshake counts as", "waits"),
]


def unsaid() -> set[str]:
    """Bounds of a listener that the page does not name."""
    said = {name for name, _, _ in BOUNDS} | {slow.limit for slow in SLOW}
    return {field.name for field in fields(Limits)} - said


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _row(case: Case) -> str:
    answers = [*map(str, case.answers)]
    if len(answers) > 3:
        answers = [f"{len(answers) - 1} times {answers[0]}", answers[-1]]
    sent = case.sent.removesuffix(NEXT) or NEXT
    end = "stays" if case.stays else "closed"
    return f"| {case.name} | {_shown(sent)} | {', '.join(answers)} | {end} |"


def _shown(sent: bytes) -> str:
    """As in a Python literal, short, and without the header that nearly all of them have."""
    if not sent:
        return ""
    text = repr(sent.replace(HOST, b"", 1))[2:-1]
    if len(text) > SHOWN:
        text = f"{text[: SHOWN // 2]} ... {text[-SHOWN // 4 :]}"
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`"


if __name__ == "__main__":
    sys.stdout.write(page())
