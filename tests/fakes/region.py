"""A region to make instances in: an account with a network, images, keys and profiles, and real services.

Rows that instances stand on are written straight into the tables; instances themselves are made, changed
and deleted by the services under test. `Region.nodes` acknowledge when they are told to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

from fakes.clock import FakeClock
from sqlalchemy import insert, select, update

from linklocal.document import InstanceDocument
from linklocal.errors import DomainError
from linklocal.fleet.publish import FleetPublisher
from linklocal.fleet.tables import documents, nodes, placements
from linklocal.iam.caller import Caller
from linklocal.iam.roles import Roles
from linklocal.iam.tables import (
    accounts,
    policies,
    profile_links,
    resource_groups,
    trusted_profiles,
)
from linklocal.ids import AccountId, InstanceId, NodeId, profile_crn, vpc_crn
from linklocal.settings import Region as RegionSetting
from linklocal.store.engine import Database
from linklocal.store.wake import Wake
from linklocal.vpc.context import VpcContext
from linklocal.vpc.images.tables import images
from linklocal.vpc.instances.model import InstancePatch, InstancePrototype
from linklocal.vpc.instances.service import InstanceService
from linklocal.vpc.keys.tables import keys
from linklocal.vpc.network.addresses import provider_addresses
from linklocal.vpc.network.tables import reserved_ips, security_groups, subnets, vpcs
from linklocal.vpc.placement_groups.tables import placement_groups
from linklocal.vpc.render import render_documents

ACCOUNT = AccountId("a" * 32)
OTHER_ACCOUNT = AccountId("b" * 32)
GROUP = "c" * 32
PROVIDER = "e" * 32
NAME = "us-south"
ZONE = "us-south-1"

ADMINISTRATOR = Caller(ACCOUNT, "IBMid-1", "user", "token-1")
STRANGER = Caller(OTHER_ACCOUNT, "IBMid-2", "user", "token-2")

IMAGE = "r006-image"
WINDOWS_IMAGE = "r006-windows"
S390X_IMAGE = "r006-s390x"
OLD_IMAGE = "r006-obsolete"
KEY, RSA_KEY, FOREIGN_KEY = "r006-key", "r006-rsa", "r006-foreign"
VPC, OTHER_VPC = "r006-vpc", "r006-vpc-2"
SUBNET, SUBNET_2, FAR_SUBNET, OTHER_SUBNET = "0717-sub", "0717-sub-2", "0727-far", "0717-other"
PLACEMENT_GROUP = "r006-spread"
PROFILE, FOREIGN_PROFILE = "Profile-1", "Profile-2"

ALLOWED = {"api_version": "2026-10-06", "instance": "true", "bare_metal_server": "true"}


def crn(location: str, kind: str, id: str, account: str = ACCOUNT) -> str:
    return vpc_crn(location, account, kind, id)


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
            for statement, rows in self._rows():
                await connection.execute(statement, rows)
        return self

    def _rows(self) -> list[tuple[Any, list[dict[str, Any]]]]:
        now = self.clock.now()
        made = {"created_at": now}
        mine = {"account_id": ACCOUNT, "region": NAME, "resource_group_id": GROUP, **made}

        def account(id: str) -> dict[str, Any]:
            return {"id": id, "name": id[:4], **made}

        def group(id: str, account_id: str) -> dict[str, Any]:
            return {"id": id, "account_id": account_id, "name": "Default", "is_default": True}

        def image(id: str, system: str, **changes: Any) -> dict[str, Any]:
            row = {
                **mine,
                "id": id,
                "account_id": PROVIDER,
                "resource_group_id": PROVIDER,
                "name": f"ibm-{id[5:]}",
                "crn": crn(NAME, "image", id, PROVIDER),
                "status": "available",
                "visibility": "public",
                "operating_system": system,
                "user_data_format": "cloud_init",
                "minimum_provisioned_size": 10,
                "file": {"size": 1},
                "allowed_use": ALLOWED,
            }
            return {**row, **changes}

        def key(id: str, type: str, account_id: str = ACCOUNT) -> dict[str, Any]:
            return {
                **mine,
                "id": id,
                "account_id": account_id,
                "name": id[5:],
                "crn": crn(NAME, "key", id, account_id),
                "type": type,
                "length": 256 if type == "ed25519" else 4096,
                "fingerprint": f"SHA256:{id}",
                "public_key": f"ssh-{type} AAAA",
            }

        def vpc(id: str) -> dict[str, Any]:
            return {
                **mine,
                "id": id,
                "name": id[5:],
                "crn": crn(NAME, "vpc", id),
                "version": 1,
                "classic_access": False,
                "default_network_acl": {"id": f"{id}-acl", "name": "acl"},
                "default_routing_table": {"id": f"{id}-rt", "name": "rt"},
                "address_prefixes": [],
            }

        def security_group(vpc_id: str) -> dict[str, Any]:
            id = f"{vpc_id}-sg"
            shown = {"name": id[5:], "crn": crn(NAME, "security-group", id)}
            return {**mine, "id": id, "vpc_id": vpc_id, "is_default": True, "rules": [], **shown}

        def subnet(id: str, zone: str, vpc_id: str, cidr: str) -> dict[str, Any]:
            shown = {"name": f"subnet-{id}", "crn": crn(zone, "subnet", id)}
            return {
                **mine,
                "id": id,
                "zone": zone,
                "vpc_id": vpc_id,
                "ipv4_cidr_block": cidr,
                **shown,
            }

        def profile(id: str, account_id: str) -> dict[str, Any]:
            return {
                "id": id,
                "account_id": account_id,
                "name": id,
                "description": "",
                "entity_tag": "1",
                "created_by": "IBMid-1",
                "modified_at": now,
                **made,
            }

        def node(id: str) -> dict[str, Any]:
            keys = {"control_jwk": {}, "control_kid": f"control-{id}", "identity_jwk": {}}
            return {"id": id, "name": id, "region": NAME, "last_seen_at": now, **keys, **made}

        networks = [
            subnet(SUBNET, ZONE, VPC, "10.240.0.0/24"),
            subnet(SUBNET_2, ZONE, VPC, "10.240.1.0/24"),
            subnet(FAR_SUBNET, "us-south-2", VPC, "10.240.64.0/24"),
            subnet(OTHER_SUBNET, ZONE, OTHER_VPC, "10.240.0.0/24"),
        ]
        return [
            (insert(accounts), [account(id) for id in (ACCOUNT, OTHER_ACCOUNT, PROVIDER)]),
            (
                insert(resource_groups),
                [
                    group(GROUP, ACCOUNT),
                    group("d" * 32, OTHER_ACCOUNT),
                    group(PROVIDER, PROVIDER),
                ],
            ),
            (
                insert(images),
                [
                    image(IMAGE, "debian-12-amd64"),
                    image(WINDOWS_IMAGE, "windows-2022-amd64"),
                    image(S390X_IMAGE, "ubuntu-22-04-s390x"),
                    image(OLD_IMAGE, "debian-12-amd64", status="obsolete"),
                ],
            ),
            (
                insert(keys),
                [key(KEY, "ed25519"), key(RSA_KEY, "rsa"), key(FOREIGN_KEY, "rsa", OTHER_ACCOUNT)],
            ),
            (insert(vpcs), [vpc(VPC), vpc(OTHER_VPC)]),
            (insert(security_groups), [security_group(VPC), security_group(OTHER_VPC)]),
            (insert(subnets), networks),
            (insert(reserved_ips), [row for made in networks for row in self._provider_ips(made)]),
            (
                insert(placement_groups),
                [
                    {
                        **mine,
                        "id": PLACEMENT_GROUP,
                        "name": "spread",
                        "crn": crn(NAME, "placement-group", PLACEMENT_GROUP),
                        "strategy": "host_spread",
                    }
                ],
            ),
            (
                insert(trusted_profiles),
                [profile(PROFILE, ACCOUNT), profile(FOREIGN_PROFILE, OTHER_ACCOUNT)],
            ),
            (insert(nodes), [node("node-1"), node("node-2")]),
        ]

    def _provider_ips(self, subnet: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "id": f"{subnet['id']}-{name}",
                "subnet_id": subnet["id"],
                "address": str(address),
                "address_number": int(address),
                "name": name,
                "owner": "provider",
                "auto_delete": False,
                "target_id": None,
                "created_at": self.clock.now(),
            }
            for address, name in provider_addresses(IPv4Network(subnet["ipv4_cidr_block"]))
        ]

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


PROFILE_CRN = profile_crn(ACCOUNT, PROFILE)
