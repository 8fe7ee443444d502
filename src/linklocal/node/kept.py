"""What a node knows before it speaks to anybody: from its state folder, or from the file that it serves.

Reads only, and blocks on the disk. What becomes of it is `agent.py`'s.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

import structlog

from linklocal import __version__
from linklocal.document import InstanceDocument
from linklocal.errors import OperatorError
from linklocal.ids import InstanceId
from linklocal.node.desired import Desired
from linklocal.node.identity import Enrolment, IdentityStore, NodeKeys
from linklocal.node.link import not_joined
from linklocal.node.snapshot import Marker, Snapshot, read_documents
from linklocal.node.status import Status
from linklocal.settings import DEFAULT_REGION, NodeSettings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """What was found. `snapshot` None: the node serves a file, and `enrolment` is None, too."""

    status: Status
    desired: Desired
    identity: IdentityStore
    keys: NodeKeys
    enrolment: Enrolment | None
    snapshot: Snapshot | None
    marker: Marker


def read_kept(settings: NodeSettings) -> Kept:
    """What the state folder (or the file to serve) holds; the folder is there.

    Raises OperatorError when a node cannot begin with that: it never joined and has no token, or the file
    cannot be read.
    """
    folder, file = settings.state_dir, settings.snapshot
    identity = IdentityStore(folder)
    if file is not None:
        documents = read_documents(file)
        status = Status(__version__, None, name=node_name(settings), region=_region(documents))
        return Kept(status, Desired(documents), identity, identity.keys(), None, None, Marker())
    enrolment = identity.enrolment()
    if enrolment is None and settings.join_token is None:
        raise not_joined()
    status = Status(__version__, settings.server_url, region=DEFAULT_REGION)
    snapshot = Snapshot(folder)
    loaded = snapshot.load(enrolment.node_id if enrolment else "")
    status.skipped = loaded.skipped
    for name, why in loaded.skipped.items():
        log.error("File of the state folder skipped", file=name, error=why)
    status.contact, status.applied_revision = loaded.marker.contact, loaded.marker.revision
    desired = Desired(loaded.documents, loaded.marker.revision)
    if enrolment is not None:
        status.name, status.node_id = enrolment.name, enrolment.node_id
        status.region, status.revoked = enrolment.region, enrolment.revoked
        if enrolment.revoked:
            desired.forget()
    return Kept(status, desired, identity, identity.keys(), enrolment, snapshot, loaded.marker)


def node_name(settings: NodeSettings) -> str:
    """The name under which a node joins: as it was told, or this host's."""
    return settings.node_name or host_name(socket.gethostname())


def host_name(name: str) -> str:
    """A host's name as a node's: its first label, in the characters that names may have."""
    label = re.sub(r"[^a-z0-9]+", "-", name.split(".", 1)[0].lower()).strip("-")
    return label[:63].rstrip("-") if label[:1].isalpha() else f"node-{label}"[:63].rstrip("-")


def _region(documents: dict[InstanceId, InstanceDocument]) -> str:
    """The region of a file's documents. Raises OperatorError: one node speaks for one region."""
    regions = sorted({document.region for document in documents.values()})
    if len(regions) > 1:
        raise OperatorError(
            f"The documents are of several regions: {', '.join(regions)}.",
            "Run one node for each region.",
            exit_code=2,
        )
    return regions[0] if regions else DEFAULT_REGION
