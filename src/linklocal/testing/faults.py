"""Faults of a test double: which there are, which are in force, and which of them a call meets.

State in memory and nothing else: it answers no call (`injection.py`) and knows no HTTP route (`routes.py`).
Nothing of a server or node in production imports this package; `linklocal dev` composes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, get_args
from uuid import uuid4

from linklocal.clock import Clock, rfc3339_ms
from linklocal.errors import Conflict, NotFound
from linklocal.ids import InstanceId
from linklocal.metadata.routes import ROUTES
from linklocal.tokens import SigningKey

Kind = Literal[
    "latency",
    "429",
    "500",
    "truncated-body",
    "expired-token",
    "clock-offset",
    "profile-unlinked",
    "key-rotated",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
PREFIX: Final = "is.metadata."
# As the OpenAPI document of the metadata API and, behind `is.metadata.`, the audit's actions call them.
OPERATIONS: Final = tuple(dict.fromkeys(route.operation.removeprefix(PREFIX) for route in ROUTES))
EXCHANGE: Final = "computeresource-token.request"
CREATE_TOKEN: Final = "jwt-token.create"  # noqa: S105 - an operation's name
# Kinds that only these operations can meet.
_ONLY: Final[dict[Kind, frozenset[str]]] = {"profile-unlinked": frozenset({EXCHANGE})}
MOST = 100  # in force at once; a test that forgets to remove them should learn of it


@dataclass(slots=True)
class Fault:
    """One fault in force. `instance_id` and `operation` None: all of them.

    `count`: calls that it still meets before it is gone, None until it is removed; `applied`: calls that it
    has met. `seconds` belongs to `latency` and `clock-offset`, `retry_after` (seconds) to `429`, `key` to
    `key-rotated`.
    """

    kind: Kind
    created_at: datetime
    instance_id: InstanceId | None = None
    operation: str | None = None
    count: int | None = None
    seconds: float = 0.0
    retry_after: int = 1
    key: SigningKey | None = field(default=None, repr=False)
    applied: int = 0
    id: str = field(default_factory=lambda: str(uuid4()))

    def meets(self, instance_id: InstanceId, operation: str) -> bool:
        """Whether a call of this operation by this instance meets it."""
        return (
            self.instance_id in (None, instance_id)
            and self.operation in (None, operation)
            and operation in _ONLY.get(self.kind, (operation,))
        )

    def to_json(self) -> dict[str, Any]:
        """As `GET /linklocal/v1/faults` shows it."""
        shown: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "instance": self.instance_id,
            "operation": self.operation,
            "count": self.count,
            "applied": self.applied,
            "created_at": rfc3339_ms(self.created_at),
        }
        if self.kind in ("latency", "clock-offset"):
            shown["seconds"] = self.seconds
        if self.kind == "429":
            shown["retry_after"] = self.retry_after
        return shown


class Faults:
    """The faults in force, in the order in which they were added. Belongs to one event loop.

    `workers`: processes from which the node answers. With several there are no faults: they are in memory.
    """

    def __init__(self, clock: Clock, *, workers: int = 1) -> None:
        self._clock = clock
        self._workers = workers
        self._faults: dict[str, Fault] = {}

    def add(self, kind: Kind, **members: Any) -> Fault:
        """Put a fault into force; `members` are those of `Fault`.

        Raises Conflict when there are `MOST`, or several workers.
        """
        if self._workers > 1:
            raise Conflict(
                f"The node answers from {self._workers} processes, which know no faults: start "
                "`linklocal dev` without LINKLOCAL_WORKERS.",
                "kind",
            )
        if len(self._faults) >= MOST:
            raise Conflict(
                f"There are {MOST} faults in force: remove some with `linklocal fault remove`.",
                "kind",
            )
        fault = Fault(kind, self._clock.now(), **members)
        self._faults[fault.id] = fault
        return fault

    def all(self) -> list[Fault]:
        """Those in force; the oldest first."""
        return list(self._faults.values())

    def remove(self, id: str) -> None:
        """Raises NotFound for one that is not there, or no longer."""
        if self._faults.pop(id, None) is None:
            raise NotFound("id", id)

    def clear(self) -> None:
        """Remove all."""
        self._faults.clear()

    def take(self, instance_id: InstanceId, operation: str) -> list[Fault]:
        """What this call meets, counted; a fault whose count is used up is gone afterwards."""
        met = [fault for fault in self._faults.values() if fault.meets(instance_id, operation)]
        for fault in met:
            fault.applied += 1
            if fault.count is not None:
                fault.count -= 1
                if fault.count == 0:
                    del self._faults[fault.id]
        return met

    def keys(self) -> list[dict[str, Any]]:
        """Public halves of the keys that `key-rotated` signs with."""
        return [fault.key.public_jwk() for fault in self._faults.values() if fault.key is not None]
