"""Nodes and documents to test the fleet with: a host with real keys, and what it would be told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from linklocal import tokens
from linklocal.document import Change, InstanceDocument, MetadataService
from linklocal.fleet.enrolment import Enrolled, create_join_token, enrol
from linklocal.ids import AccountId, InstanceId, NodeId
from linklocal.store.engine import Database

ACCOUNT = AccountId("a" * 32)
REGION = "us-south"


@cache
def rsa_key() -> tokens.SigningKey:
    """One for the whole run: making one takes a tenth of a second."""
    return tokens.SigningKey.generate_rsa()


def document(instance_id: str, **changes: Any) -> InstanceDocument:
    """A small document."""
    values: dict[str, Any] = {
        "instance_id": InstanceId(instance_id),
        "crn": f"crn:v1:bluemix:public:is:us-south-1:a/{ACCOUNT}::instance:{instance_id}",
        "name": instance_id,
        "account_id": ACCOUNT,
        "region": REGION,
        "zone": "us-south-1",
        "serving": True,
        "tokens_valid_after": 1,
        "metadata_service": MetadataService(enabled=True),
        "claims": {"iaas": {"instanceID": instance_id}},
        "metadata": {"instance": {"name": instance_id}},
    }
    return InstanceDocument(**{**values, **changes})


@dataclass
class Host:
    """A host before and after it joined."""

    name: str
    control: tokens.SigningKey = field(default_factory=tokens.SigningKey.generate_ec)
    node_id: NodeId = field(default=NodeId(""))
    identity_kid: str = ""

    def enrolment(self, join_token: str) -> dict[str, Any]:
        """Body of `POST enrol`."""
        return {
            "join_token": join_token,
            "name": self.name,
            "control_jwk": self.control.public_jwk(),
            "identity_jwk": rsa_key().public_jwk(),
            "version": "1.0",
        }

    async def join(self, database: Database, now: datetime) -> Host:
        """Enrol with a join token of its own."""
        async with database.transaction() as connection:
            made = await create_join_token(connection, now=now)
            enrolled = await enrol(connection, **self.enrolment(made.token), region=REGION, now=now)
        self.joined(enrolled)
        return self

    def joined(self, enrolled: Enrolled) -> None:
        self.node_id, self.identity_kid = enrolled.node_id, enrolled.identity_kid

    def sign(
        self, method: str, path: str, now: datetime, body: Any = None
    ) -> tuple[bytes, dict[str, str]]:
        """The body's bytes and the headers of one signed request."""
        content = b"" if body is None else json.dumps(body).encode()
        token = tokens.sign_node_request(
            self.control, node_id=self.node_id, method=method, path=path, body=content, now=now
        )
        headers = {"Authorization": f"Node {token}", "Content-Type": "application/json"}
        return content, headers


@dataclass
class Replica:
    """What a node holds after the changes that it was told."""

    documents: dict[InstanceId, InstanceDocument] = field(default_factory=dict)
    revision: int = 0
    synced: bool = False

    def apply(self, change: Change) -> None:
        """As a node does. Raises AssertionError when the order is broken."""
        match change.type:
            case "document":
                assert change.document is not None
                assert change.revision > self.revision
                self.documents[change.document.instance_id] = change.document
            case "gone":
                assert change.instance_id is not None
                assert change.revision > self.revision
                self.documents.pop(change.instance_id, None)
            case "reset":
                self.documents.clear()
            case "synced" | "heartbeat":
                assert change.revision >= self.revision
        self.synced = change.type in ("synced", "heartbeat")
        self.revision = change.revision
