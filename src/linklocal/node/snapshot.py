"""What a node remembers of its instances: one file per document, and how far they are complete.

Documents hold user data, so files have mode 0600 in a folder of mode 0700. Each write is durable and
atomic; a file that cannot be read is reported and skipped, because serving the others matters more. It
must not decide when something is saved: the order of saving and enforcing is `agent.py`'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from linklocal.clock import parse_rfc3339, rfc3339_ms
from linklocal.document import InstanceDocument
from linklocal.errors import OperatorError
from linklocal.files import private_folder, write_private
from linklocal.ids import InstanceId
from linklocal.node.disk import remove_files, whole_files, write_files

# What reading JSON of unknown content, and of an unknown shape, can raise.
UNREADABLE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
# Ids become file names; an id that is none of ours must not reach the file system.
_SUFFIX = ".json"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Marker:
    """How far the saved documents are complete, and when the server was last heard.

    Every change up to `revision` is in the files; later ones may be. Revisions are counted by node, so
    `node_id` says whose they are. `contact` None: never heard.
    """

    revision: int = 0
    contact: datetime | None = None
    node_id: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a state folder holds. `skipped`: file name -> why it is not in `documents`."""

    documents: dict[InstanceId, InstanceDocument]
    marker: Marker
    skipped: dict[str, str]


class Snapshot:
    """The documents of one state folder. Methods block on the disk: call them in a thread."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = private_folder(state_dir / "documents")
        self._marker = state_dir / "revision.json"

    def load(self, node_id: str) -> Loaded:
        """Read everything. Never raises for a torn or foreign file.

        Where a document was skipped, or the marker is another node's, the revision is 0: the server must
        send the full set again.
        """
        documents: dict[InstanceId, InstanceDocument] = {}
        skipped: dict[str, str] = {}
        for path in whole_files(self._folder):
            try:
                document = InstanceDocument.from_json(json.loads(path.read_bytes()))
                if path.name != _name(document.instance_id):
                    raise ValueError(f"holds the document of {document.instance_id}")
                documents[document.instance_id] = document
            except (OSError, *UNREADABLE) as error:
                skipped[path.name] = f"{type(error).__name__}: {error}"
        marker = Marker()
        try:
            marker = self._read_marker()
        except FileNotFoundError:
            pass
        except (OSError, *UNREADABLE) as error:
            skipped[self._marker.name] = f"{type(error).__name__}: {error}"
        if skipped or marker.node_id != node_id:
            marker = Marker(0, marker.contact, node_id)
        return Loaded(documents, marker, skipped)

    def _read_marker(self) -> Marker:
        data = json.loads(self._marker.read_bytes())
        contact = data.get("contact")
        return Marker(
            int(data["revision"]),
            parse_rfc3339(contact) if contact else None,
            str(data["node_id"]),
        )

    def save(
        self, documents: Iterable[InstanceDocument], gone: Iterable[InstanceId] = ()
    ) -> dict[InstanceId, str]:
        """Write documents, remove those of instances that are gone; durable on return.

        Returns the instances for which that failed, with the reason. The others are done.
        """
        failed: dict[InstanceId, OSError] = {}
        files: dict[str, bytes] = {}
        for document in documents:
            if is_file_name(document.instance_id):
                files[_name(document.instance_id)] = document.dumps().encode()
            else:
                failed[document.instance_id] = OSError("this is not an instance id")
        names = [_name(instance_id) for instance_id in gone if is_file_name(instance_id)]
        not_done = {**write_files(self._folder, files), **remove_files(self._folder, names)}
        failed |= {InstanceId(name.removesuffix(_SUFFIX)): e for name, e in not_done.items()}
        return {instance_id: e.strerror or str(e) for instance_id, e in failed.items()}

    def save_marker(self, marker: Marker) -> None:
        """Note how far the documents are complete. Raises OSError."""
        data = {
            "revision": marker.revision,
            "node_id": marker.node_id,
            "contact": rfc3339_ms(marker.contact) if marker.contact else None,
        }
        write_private(self._marker, json.dumps(data).encode())

    def prune(self, keep: Collection[InstanceId]) -> None:
        """Remove what is no document of these instances: torn files, once the full set is here.

        Raises OSError.
        """
        names = {_name(instance_id) for instance_id in keep}
        others = [path.name for path in self._folder.iterdir() if path.name not in names]
        for error in remove_files(self._folder, others).values():
            raise error


def _name(instance_id: InstanceId) -> str:
    return instance_id + _SUFFIX


def is_file_name(instance_id: str) -> bool:
    """Whether an id from the server can be a file name here."""
    return _ID.fullmatch(instance_id) is not None


def read_documents(path: Path) -> dict[InstanceId, InstanceDocument]:
    """The documents of a hand-written file: a JSON list, or an object with a list `documents`.

    Raises OperatorError (exit code 2) that names the file and what is wrong with it.
    """
    step = "Give --snapshot a JSON file with a list of instance documents."
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise OperatorError(
            f"{path} cannot be read: {error.strerror}.", step, exit_code=2
        ) from error
    except ValueError as error:
        raise OperatorError(f"{path} is not JSON: {error}.", step, exit_code=2) from error
    listed = data.get("documents") if isinstance(data, dict) else data
    if not isinstance(listed, list):
        raise OperatorError(f"{path} holds no list of documents.", step, exit_code=2)
    documents: dict[InstanceId, InstanceDocument] = {}
    for index, item in enumerate(listed):
        try:
            document = InstanceDocument.from_json(item)
        except UNREADABLE as error:
            raise OperatorError(
                f"{path}: document {index} cannot be read: {type(error).__name__}: {error}.",
                step,
                exit_code=2,
            ) from error
        if document.instance_id in documents or not is_file_name(document.instance_id):
            raise OperatorError(
                f"{path}: the instance id of document {index} is "
                + ("there twice." if document.instance_id in documents else "no instance id."),
                step,
                exit_code=2,
            )
        documents[document.instance_id] = document
    return documents
