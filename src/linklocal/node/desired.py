"""What the server wants of this node, as the watch stream tells it. Pure: no I/O, no tasks.

The reader of the stream puts changes in as fast as they come; whoever applies them takes everything that
is due at once. So a burst of changes of one instance is one step, and nothing here grows beyond the
number of instances.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from linklocal.document import Change, InstanceDocument
from linklocal.ids import InstanceId


@dataclass(frozen=True, slots=True)
class Batch:
    """What is due. `changed` and `gone` are to be saved.

    `synced` is the revision that is complete when all of it is applied; None: the server is still telling.
    `full`: a full set was completed, so instances that are not in it are not this node's.
    """

    changed: tuple[InstanceDocument, ...]
    gone: tuple[InstanceId, ...]
    synced: int | None
    full: bool = False


class Desired:
    """The documents that should be served, and how far the stream has told them."""

    def __init__(
        self, documents: Mapping[InstanceId, InstanceDocument] | None = None, revision: int = 0
    ) -> None:
        self.documents: dict[InstanceId, InstanceDocument] = dict(documents or {})
        self._received = revision
        self._synced: int | None = None
        self._changed: set[InstanceId] = set()
        self._gone: set[InstanceId] = set()
        # During a full set: the instances it has named so far. Others are kept until `synced`.
        self._named: set[InstanceId] | None = None
        self._full = False

    @property
    def after(self) -> int:
        """Where a new stream begins. 0 while a full set is incomplete: it must be told again."""
        return 0 if self._named is not None else self._received

    def begin_stream(self) -> None:
        """A new stream was opened at `after`. From 0 the full set follows."""
        if self.after == 0:
            self._begin_full_set()

    def _begin_full_set(self) -> None:
        self._named = set()
        self._received = 0
        self._synced = None
        self._full = False

    def apply(self, change: Change) -> bool:
        """Take one line of the stream. Whether there is something to do.

        Raises ValueError when a line has not what its type needs.
        """
        if change.type == "document" and change.document is not None:
            self._take(change.document)
        elif change.type == "gone" and change.instance_id is not None:
            self._drop(change.instance_id)
            if self._named is not None:
                self._named.discard(change.instance_id)
        elif change.type == "reset":
            self._begin_full_set()
            return False
        elif change.type == "synced":
            self._finish_full_set()
            self._synced = change.revision
        elif change.type == "heartbeat":
            return False
        else:
            raise ValueError(f"a change of type {change.type!r} that has not what it needs")
        self._received = change.revision
        return True

    def name(self, instance_id: InstanceId) -> None:
        """The stream spoke of an instance in a way that cannot be read: keep what is known of it."""
        if self._named is not None:
            self._named.add(instance_id)

    def _take(self, document: InstanceDocument) -> None:
        instance_id = document.instance_id
        if self._named is not None:
            self._named.add(instance_id)
        self._gone.discard(instance_id)
        if self.documents.get(instance_id) != document:
            self.documents[instance_id] = document
            self._changed.add(instance_id)

    def _drop(self, instance_id: InstanceId) -> None:
        if self.documents.pop(instance_id, None) is not None:
            self._gone.add(instance_id)
        self._changed.discard(instance_id)

    def _finish_full_set(self) -> None:
        if self._named is None:
            return
        for instance_id in self.documents.keys() - self._named:
            self._drop(instance_id)
        self._named = None
        self._full = True

    def take(self) -> Batch:
        """What is due since the last call."""
        batch = Batch(
            tuple(self.documents[i] for i in sorted(self._changed)),
            tuple(sorted(self._gone)),
            self._synced,
            self._full,
        )
        self._changed.clear()
        self._gone.clear()
        self._synced = None
        self._full = False
        return batch

    def give_back(self, unsaved: Iterable[InstanceId]) -> None:
        """These could not be saved: they are due again, unless the stream has told better since."""
        for instance_id in unsaved:
            if instance_id in self.documents:
                self._changed.add(instance_id)
            else:
                self._gone.add(instance_id)

    def restart(self) -> None:
        """The next stream begins at 0. Until its full set is here, everything stays as it is."""
        self._begin_full_set()

    def forget(self) -> None:
        """Nothing is wanted any more; every instance is due as gone, and a new stream begins at 0."""
        for instance_id in list(self.documents):
            self._drop(instance_id)
        self._begin_full_set()
