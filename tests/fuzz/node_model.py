"""What a node may answer, by what its server has said and what its operators have attached. Pure.

Between the revision that a node has acknowledged and the newest that was published, it may be anywhere;
so an answer is judged by the states in that window. Where they are one state, only one outcome is right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from linklocal.document import Change, InstanceDocument, MetadataService, Protocol
from linklocal.ids import AccountId, InstanceId

ACCOUNT = AccountId("a" * 32)
Kind = Literal["read", "refused", "unauthorized", "closed", "silence"]


@dataclass(frozen=True)
class State:
    """One instance after one change. `epoch`: tokens of earlier ones are void."""

    revision: int
    exists: bool = False
    serving: bool = False
    settings: MetadataService = field(default_factory=MetadataService)
    epoch: int = 0

    @property
    def open(self) -> bool:
        return self.exists and self.serving

    def listens(self, protocol: Protocol) -> bool:
        return self.open and self.settings.protocol == protocol


@dataclass(frozen=True)
class Answer:
    """What came of one call; `instance` and `revision` are what the answer said of itself."""

    kind: Kind
    instance: str = ""
    revision: int = 0


@dataclass(frozen=True)
class Token:
    """An identity token, and the state in which it was made."""

    instance: InstanceId
    epoch: int
    text: str


@dataclass(frozen=True)
class Owner:
    """Whom an address is attached to."""

    instance: InstanceId
    silent: bool


def document(instance_id: InstanceId, state: State) -> InstanceDocument:
    """A document that says in everything that can be read whose it is, and of which revision."""
    mark = f"{instance_id}.{state.revision}"
    return InstanceDocument(
        instance_id=instance_id,
        crn=f"crn:v1:bluemix:public:is:us-south-1:a/{ACCOUNT}::instance:{instance_id}",
        name=str(instance_id),
        account_id=ACCOUNT,
        region="us-south",
        zone="us-south-1",
        serving=state.serving,
        tokens_valid_after=state.epoch,
        metadata_service=state.settings,
        claims={"iaas": {"instanceID": str(instance_id)}},
        metadata={"instance": {"id": str(instance_id), "name": mark}},
    )


class Model:
    """The server's word, in full: every state that every instance had."""

    def __init__(self) -> None:
        self.revision = 0
        self.history: dict[InstanceId, list[State]] = {}
        self.changes: dict[InstanceId, Change] = {}  # the newest of each, as a server keeps them

    def now(self, instance_id: InstanceId) -> State:
        """Its newest state; of an instance that never was, one without anything."""
        return self.history.get(instance_id, [State(0)])[-1]

    def instances(self) -> list[InstanceId]:
        return sorted(id for id in self.history if self.now(id).exists)

    def put(self, instance_id: InstanceId, **changes: object) -> None:
        """Publish a change of an instance, or a new one."""
        self.revision += 1
        old = self.now(instance_id)
        state = replace(old, revision=self.revision, exists=True, **changes)  # type: ignore[arg-type]  # members by name
        self.history.setdefault(instance_id, []).append(state)
        self.changes[instance_id] = Change("document", self.revision, document(instance_id, state))

    def drop(self, instance_id: InstanceId) -> None:
        """The instance leaves the node."""
        self.revision += 1
        gone = replace(self.now(instance_id), revision=self.revision, exists=False, serving=False)
        self.history[instance_id].append(gone)
        self.changes[instance_id] = Change("gone", self.revision, instance_id=instance_id)

    def since(self, after: int) -> list[Change]:
        """What a stream tells that begins at a revision."""
        due = [change for change in self.changes.values() if change.revision > after]
        return sorted(due, key=lambda change: change.revision)

    def window(self, instance_id: InstanceId, acknowledged: int) -> list[State]:
        """The state that is enforced at least, and all that came after it."""
        states = [State(0), *self.history.get(instance_id, [])]
        later = [state for state in states if state.revision > acknowledged]
        return [states[-len(later) - 1], *later]

    def judge(
        self,
        answer: Answer,
        protocol: Protocol,
        owners: Iterable[Owner | None],
        acknowledged: int,
        token: Token | None = None,
    ) -> str | None:
        """Why this answer must not have been; None: it may. `token` None: the call was for a token."""
        owners = list(owners)
        ways = [
            (owner, state)
            for owner in owners
            for state in (
                [State(0)] if owner is None else self.window(owner.instance, acknowledged)
            )
        ]
        moving = len(ways) > 1
        if answer.kind == "closed":
            closed = any(not state.listens(protocol) for _, state in ways)
            return None if closed or moving else "nobody answered where somebody must"
        if answer.kind == "silence":
            silent = any(o is not None and o.silent and not s.settings.enabled for o, s in ways)
            return None if silent else "silence where somebody must answer, or refuse"
        # While settings change, the stricter of both are those of the new document.
        protocols = {state.settings.protocol for _, state in ways if state.open}
        if protocol not in protocols:
            return f"an answer over {protocol}, which nothing allows since revision {acknowledged}"
        if answer.kind == "refused":
            refusing = any(state.open and not state.settings.enabled for _, state in ways)
            return None if refusing else "refused although the service is enabled"
        enabled = [(o, s) for o, s in ways if o is not None and s.open and s.settings.enabled]
        if not enabled:
            return f"an answer although nothing is enabled since revision {acknowledged}"
        if answer.kind == "unauthorized":
            if token is None or any(
                o.instance != token.instance or s.epoch > token.epoch for o, s in enabled
            ):
                return None
            return "a good token was refused"
        if token is not None:
            return self._judge_read(answer, [(o, s) for o, s in enabled], token)
        if answer.instance not in {o.instance for o, _ in enabled}:
            return "a token of another instance"
        return None

    @staticmethod
    def _judge_read(answer: Answer, enabled: list[tuple[Owner, State]], token: Token) -> str | None:
        matching = [
            state
            for owner, state in enabled
            if (owner.instance, state.revision) == (answer.instance, answer.revision)
        ]
        if not matching:
            return "data of another instance, or of before the acknowledged revision"
        if token.instance != answer.instance or token.epoch < matching[0].epoch:
            return "data for a token that is void or another's"
        return None
