"""A region to make instances in: an account with a network, images, keys and profiles, and real services.

Rows that instances stand on are written straight into the tables; instances themselves are made, changed
and deleted by the services under test. `Region.nodes` acknowledge when they are told to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from fakes.clock import FakeClock
from fakes.region_rows import (
    ACCOUNT,
    ALLOWED,
    FAR_SUBNET,
    FOREIGN_KEY,
    FOREIGN_PROFILE,
    GROUP,
    IMAGE,
    KEY,
    NAME,
    OLD_IMAGE,
    OTHER_ACCOUNT,
    OTHER_SUBNET,
    OTHER_VPC,
    PLACEMENT_GROUP,
    PROFILE,
    PROFILE_CRN,
    PROVIDER,
    RSA_KEY,
    S390X_IMAGE,
    SUBNET,
    SUBNET_2,
    VPC,
    WINDOWS_IMAGE,
    ZONE,
    crn,
    furniture,
)
from sqlalchemy import insert, select, update

from linklocal.document import InstanceDocument
from linklocal.errors import DomainError
from linklocal.fleet.publish import FleetPublisher
from linklocal.fleet.tables import documents, nodes, placements
from linklocal.iam.caller import Caller
from linklocal.iam.roles import Roles
from linklocal.iam.tables import (
    policies,
    profile_links,
)
from linklocal.ids import InstanceId, NodeId
from linklocal.settings import Region as RegionSetting
from linklocal.store.engine import Database
from linklocal.store.wake import Wake
from linklocal.vpc.context import VpcContext
from linklocal.vpc.instances.model import (
    InstanceActionPrototype,
    InstancePatch,
    InstancePrototype,
)
from linklocal.vpc.instances.service import InstanceService
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.render import render_documents

__all__ = [
    "ACCOUNT",
    "ADMINISTRATOR",
    "ALLOWED",
    "FAR_SUBNET",
    "FOREIGN_KEY",
    "FOREIGN_PROFILE",
    "GROUP",
    "IMAGE",
    "KEY",
    "NAME",
    "OLD_IMAGE",
    "OTHER_ACCOUNT",
    "OTHER_SUBNET",
    "OTHER_VPC",
    "PLACEMENT_GROUP",
    "PROFILE",
    "PROFILE_CRN",
    "PROVIDER",
    "RSA_KEY",
    "S390X_IMAGE",
    "STRANGER",
    "SUBNET",
    "SUBNET_2",
    "VPC",
    "WINDOWS_IMAGE",
    "ZONE",
    "Region",
    "attachment",
    "body",
    "crn",
    "prototype",
    "targets",
]

ADMINISTRATOR = Caller(ACCOUNT, "IBMid-1", "user", "token-1")
STRANGER = Caller(OTHER_ACCOUNT, "IBMid-2", "user", "token-2")


@dataclass
class Region:
    """A region with its services. `auto_place` puts new instances on `node-1`."""

    database: Database
    clock: FakeClock = field(default_factory=FakeClock)
    auto_place: bool = True

    def __post_init__(self) -> None:
        publisher = FleetPublisher(Wake(self.database), self.clock)
        setting = RegionSetting(NAME)
        self.context = VpcContext(self.database, Roles(), publisher, self.clock, setting)
        self.instances = InstanceService(self.context, auto_place=self.auto_place)

    # What instances stand on

    async def furnish(self) -> Region:
        """Write all that the constants above name, and two nodes."""
        async with self.database.transaction() as connection:
            for statement, rows in furniture(self.clock.now()):
                await connection.execute(statement, rows)
        return self

    # Instances

    async def create(self, caller: Caller = ADMINISTRATOR, **members: Any) -> dict[str, Any]:
        """A new instance of `prototype(**members)`."""
        view, _ = await self.instances.create(caller, prototype(**members))
        return view

    async def get(self, id: str) -> dict[str, Any]:
        view, _ = await self.instances.get(ADMINISTRATOR, id)
        return view

    async def update(
        self, id: str, body: dict[str, Any], if_match: str | None = None
    ) -> dict[str, Any]:
        patch = InstancePatch.model_validate(body)
        view, _ = await self.instances.update(ADMINISTRATOR, id, patch, if_match)
        return view

    async def act(self, id: str, type: str, **members: Any) -> dict[str, Any]:
        """The answer to an action."""
        action = InstanceActionPrototype.model_validate({"type": type, **members})
        return await self.instances.act(ADMINISTRATOR, id, action)

    async def running(self, **members: Any) -> str:
        """The id of a new instance that its node has acknowledged."""
        made = await self.create(**members)
        await self.acknowledge()
        return str(made["id"])

    async def stopped(self, **members: Any) -> str:
        """The id of a new instance that has been stopped."""
        id = await self.running(**members)
        await self.act(id, "stop")
        await self.acknowledge()
        return id

    async def epoch(self, id: str) -> int:
        """The start epoch: tokens of an earlier one are void."""
        async with self.database.read() as connection:
            statement = select(instances.c.start_epoch).where(instances.c.id == id)
            return int((await connection.execute(statement)).scalar_one())

    # Nodes

    async def acknowledge(self, node: str = "node-1") -> None:
        """The node has applied every change so far, and was seen now."""
        seen = {"applied_revision": nodes.c.revision, "last_seen_at": self.clock.now()}
        async with self.database.transaction() as connection:
            await connection.execute(update(nodes).where(nodes.c.id == node).values(**seen))

    async def report_fault(self, id: str, fault: str | None) -> None:
        async with self.database.transaction() as connection:
            statement = update(placements).where(placements.c.instance_id == id)
            await connection.execute(statement.values(fault=fault))

    async def published(self) -> dict[InstanceId, InstanceDocument]:
        """What nodes have been told, by instance."""
        async with self.database.read() as connection:
            rows = await connection.execute(select(documents.c.instance_id, documents.c.document))
            return {
                InstanceId(id): InstanceDocument.from_json(json.loads(text)) for id, text in rows
            }

    async def stale(self) -> list[InstanceId]:
        """Instances whose published document is not what their rows say now. Must be empty."""
        published = await self.published()
        async with self.database.read() as connection:
            rendered = await render_documents(connection, self.context, list(published))
        return [id for id, document in published.items() if rendered.get(id) != document]

    async def node_of(self, id: str) -> NodeId | None:
        async with self.database.read() as connection:
            statement = select(placements.c.node_id).where(placements.c.instance_id == id)
            return (await connection.execute(statement)).scalar_one_or_none()

    # IAM

    async def links(self) -> list[str]:
        """CRNs of what is linked to any trusted profile."""
        async with self.database.read() as connection:
            return list((await connection.execute(select(profile_links.c.crn))).scalars())

    async def grant(self, role: str) -> Caller:
        """A caller whose only role is this one."""
        subject = f"iam-Profile-{role}"
        async with self.database.transaction() as connection:
            await connection.execute(
                insert(policies).values(
                    id=f"policy-{role}",
                    account_id=ACCOUNT,
                    subject=subject,
                    roles=[role],
                    service="is",
                    resource={},
                    description="",
                    entity_tag="1",
                    created_by="IBMid-1",
                    created_at=self.clock.now(),
                    modified_at=self.clock.now(),
                )
            )
        return Caller(ACCOUNT, subject, "profile", "token-3", profile_id=f"Profile-{role}")

    async def count(self, *tables: Any) -> dict[str, int]:
        """Rows per table."""
        async with self.database.read() as connection:
            return {
                table.name: len((await connection.execute(select(table))).all()) for table in tables
            }


def body(**members: Any) -> dict[str, Any]:
    """The smallest body by image with an attachment. A member that is None is left out."""
    smallest: dict[str, Any] = {
        "image": {"id": IMAGE},
        "zone": {"name": ZONE},
        "profile": {"name": "bx2-2x8"},
        "primary_network_attachment": attachment(),
    }
    return {name: value for name, value in {**smallest, **members}.items() if value is not None}


def attachment(subnet: str = SUBNET, **members: Any) -> dict[str, Any]:
    return {"virtual_network_interface": {"subnet": {"id": subnet}}, **members}


def prototype(**members: Any) -> InstancePrototype:
    return InstancePrototype.model_validate(body(**members))


def targets(error: DomainError) -> dict[str, str]:
    """Code by the place in the body."""
    return {problem.target.name: problem.code for problem in error.problems if problem.target}
