"""The event record: one thing that happened on a node or in the server, without any secret.

Shared by nodes (which buffer and send batches), the server (which keeps them), console and audit.
It must not carry tokens, user data, CSRs, API keys or licence keys: there is no field for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from linklocal.clock import parse_rfc3339, rfc3339_ms

Outcome = Literal["success", "failure"]
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    `action` is the Activity Tracker name (metadata contract 7, control-plane contract 7.1).
    `target` is the id of what it was about; `instance_id` the instance whose socket was used, if any.
    `reason` is the error code of a refusal, `message` its text. `trace` equals the answer's `trace`.
    `count` > 1 stands for that many identical successful reads within one second.
    `detail` holds a few non-secret facts: path, version, protocol, peer_ttl, profile id, nonce given.
    """

    time: datetime
    action: str
    outcome: Outcome
    status: int
    trace: str
    instance_id: str | None = None
    target: str | None = None
    initiator: str | None = None
    reason: str | None = None
    message: str | None = None
    rule: str | None = None
    count: int = 1
    detail: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The record as one JSON object; absent optionals are left out. `detail` is the record's own."""
        # Not `asdict`, which copies deeply: each event is written twice, on the node and at the server.
        members = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        out = {name: value for name, value in members if value is not None and value != {}}
        out["time"] = rfc3339_ms(self.time)
        out["schema"] = SCHEMA
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Event:
        """Read what `to_json` wrote. Unknown members are ignored (newer node, older server).

        Raises ValueError or KeyError when a required member is absent or has another type.
        """
        known = {k: data[k] for k in cls.__dataclass_fields__ if k in data}
        known["time"] = parse_rfc3339(data["time"])
        if not isinstance(data.get("detail", {}), dict):
            raise ValueError("`detail` must be an object")
        if data["outcome"] not in ("success", "failure"):
            raise ValueError("`outcome` must be success or failure")
        return cls(**{**known, "status": int(data["status"]), "count": int(data.get("count", 1))})


def to_line(event: Event) -> bytes:
    """One NDJSON line, newline included."""
    return json.dumps(event.to_json(), separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that a call changed besides what it was about: the link of a new instance, its addresses."""

    action: str
    target: str
    detail: dict[str, str] = field(default_factory=dict, compare=False)


_effects: ContextVar[list[Effect] | None] = ContextVar("effects", default=None)


@contextmanager
def collected() -> Iterator[list[Effect]]:
    """What `also` is told by the block, and by all that it awaits, is in the list."""
    found: list[Effect] = []
    token = _effects.set(found)
    try:
        yield found
    finally:
        _effects.reset(token)


def also(action: str, target: str, **detail: str) -> None:
    """Say, where it is done, that the present call changed this too. It counts only if the call succeeds."""
    found = _effects.get()
    if found is not None and (told := Effect(action, target, detail)) not in found:
        found.append(told)
