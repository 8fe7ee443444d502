"""From what is wanted and what is open to the steps between them. Pure; `listeners.py` takes the steps.

Each step says what may be done before the new documents are on disk. Tightening (closing, disabling,
a lower hop limit, https for http, an epoch that invalidates tokens) comes before, so that no full disk
keeps a door open. Loosening comes after, so that no crash forgets why a door is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from linklocal.document import InstanceDocument, MetadataService
from linklocal.ids import InstanceId


@dataclass(frozen=True, slots=True)
class Open:
    """Begin to listen for an instance, once its document is saved."""

    document: InstanceDocument


@dataclass(frozen=True, slots=True)
class Close:
    """Stop listening: the instance is stopped or gone."""

    instance_id: InstanceId


@dataclass(frozen=True, slots=True)
class Change:
    """Serve a new document. `first` is applied before it is saved, `then` after; None: nothing to do.

    `first` is as strict as both the old and the new settings are.
    """

    first: InstanceDocument | None
    then: InstanceDocument | None

    @property
    def instance_id(self) -> InstanceId:
        document = self.then or self.first
        assert document is not None
        return document.instance_id


Step = Open | Close | Change


def effective(
    desired: Mapping[InstanceId, InstanceDocument], *, refuse_all: bool
) -> dict[InstanceId, InstanceDocument]:
    """The documents to serve: of instances that are meant to run. `refuse_all` disables every one."""
    served = {id: document for id, document in desired.items() if document.serving}
    if not refuse_all:
        return served
    return {
        id: replace(document, metadata_service=replace(document.metadata_service, enabled=False))
        for id, document in served.items()
    }


def diff(
    wanted: Mapping[InstanceId, InstanceDocument], opened: Mapping[InstanceId, InstanceDocument]
) -> list[Step]:
    """The steps from the documents that are served to those that should be. Closing comes first."""
    steps: list[Step] = [Close(id) for id in sorted(opened.keys() - wanted.keys())]
    for id in sorted(wanted):
        new, old = wanted[id], opened.get(id)
        if old is None:
            steps.append(Open(new))
        elif old != new:
            steps.append(change(old, new))
    return steps


def change(old: InstanceDocument, new: InstanceDocument) -> Change:
    """How to get from one document to another that differs."""
    strict = strictest(old.metadata_service, new.metadata_service)
    tighter = strict != old.metadata_service or new.tokens_valid_after > old.tokens_valid_after
    if not tighter:
        return Change(None, new)
    first = replace(new, metadata_service=strict)
    return Change(first, None if first == new else new)


def strictest(old: MetadataService, new: MetadataService) -> MetadataService:
    """Settings that allow nothing that either of the two forbids.

    A disabled service allows nothing, so its other settings forbid nothing: enabling is pure loosening.
    """
    if not new.enabled:
        return new
    if not old.enabled:
        return old
    return MetadataService(
        enabled=True,
        protocol="https" if "https" in (old.protocol, new.protocol) else "http",
        response_hop_limit=min(old.response_hop_limit, new.response_hop_limit),
    )
