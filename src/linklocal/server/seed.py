"""What a new `linklocal dev` begins with (control-plane contract 3).

Goes through the same services as the API, as the administrator. Every step looks first whether its
result is there, so a start that was interrupted is completed by the next one.
"""

from __future__ import annotations

from typing import Literal
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Table, select, update

from linklocal.clock import rfc3339_ms
from linklocal.iam.caller import Caller
from linklocal.iam.policies.model import PolicyPrototype
from linklocal.iam.tables import trusted_profiles
from linklocal.iam.trusted_profiles.model import ProfilePrototype
from linklocal.ids import InstanceId
from linklocal.server.app import ControlPlane
from linklocal.vpc.images.stock import STOCK_IMAGES
from linklocal.vpc.instances.model import InstancePrototype
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.keys.model import KeyPrototype
from linklocal.vpc.keys.tables import keys
from linklocal.vpc.network.subnets.model import SubnetPrototype
from linklocal.vpc.network.tables import subnets, vpcs
from linklocal.vpc.network.vpcs.model import VpcPrototype
from linklocal.vpc.placement_groups.model import PlacementGroupPrototype
from linklocal.vpc.placement_groups.tables import placement_groups
from linklocal.vpc.render import publish_instances

SeedLevel = Literal["demo", "minimal", "none"]

VPC_NAME = "my-vpc"
SUBNET_ADDRESSES = 256
DEMO = "demo"
DEMO_PROFILE = "demo-profile"
OTHER_PROFILE = "other-profile"
DEMO_USER_DATA = "#cloud-config\nruncmd:\n  - echo hello from linklocal\n"


async def seed(control: ControlPlane, caller: Caller, level: SeedLevel) -> None:
    """`minimal`: a VPC and a subnet in each zone. `demo`: also a full instance and what it uses.

    Raises nothing that the services would not raise; with `none` it does nothing.
    """
    if level == "none":
        return
    subnet_ids = await _network(control, caller)
    if level == "demo":
        await _demo(control, caller, subnet_ids[0])


async def _known(control: ControlPlane, caller: Caller, table: Table, name: str) -> str | None:
    """The id of the account's resource with this name."""
    statement = select(table.c.id).where(
        table.c.account_id == caller.account_id, table.c.name == name
    )
    async with control.database.read() as connection:
        found: str | None = await connection.scalar(statement)
    return found


async def _network(control: ControlPlane, caller: Caller) -> list[str]:
    """The ids of one subnet for each zone, in the order of the zones."""
    vpc_id = await _known(control, caller, vpcs, VPC_NAME)
    if vpc_id is None:
        made, _ = await control.vpc.vpcs.create(caller, VpcPrototype(name=VPC_NAME))
        vpc_id = made["id"]
    ids = []
    for zone in control.region.zones:
        name = f"my-subnet-{zone[-1]}"
        subnet_id = await _known(control, caller, subnets, name)
        if subnet_id is None:
            body = {
                "name": name,
                "vpc": {"id": vpc_id},
                "zone": {"name": zone},
                "total_ipv4_address_count": SUBNET_ADDRESSES,
            }
            subnet = await control.vpc.subnets.create(caller, SubnetPrototype.model_validate(body))
            subnet_id = str(subnet["id"])
        ids.append(subnet_id)
    return ids


async def _demo(control: ControlPlane, caller: Caller, subnet_id: str) -> None:
    profile_id = await _profile(control, caller, DEMO_PROFILE, role="Viewer")
    await _profile(control, caller, OTHER_PROFILE)
    if await _known(control, caller, instances, DEMO) is not None:
        return
    key_id = await _known(control, caller, keys, "demo-key")
    if key_id is None:
        # Nobody has its private half: the demo instance is no machine to log in to.
        public = Ed25519PrivateKey.generate().public_key()
        text = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        prototype = KeyPrototype(public_key=text, name="demo-key", type="ed25519")
        key_id = (await control.vpc.keys.create(caller, prototype))["id"]
    group_id = await _known(control, caller, placement_groups, "demo-group")
    if group_id is None:
        group = PlacementGroupPrototype(name="demo-group", strategy="host_spread")
        group_id = (await control.vpc.placement_groups.create(caller, group))["id"]
    body = {
        "name": DEMO,
        "image": {"id": STOCK_IMAGES[0].id(control.region)},
        "profile": {"name": "bx2-2x8"},
        "zone": {"name": control.region.zones[0]},
        "keys": [{"id": key_id}],
        "placement_target": {"id": group_id},
        "metadata_service": {"enabled": True},
        "default_trusted_profile": {"target": {"id": profile_id}},
        "user_data": DEMO_USER_DATA,
        "primary_network_attachment": {
            "name": "eth0",
            "virtual_network_interface": {"name": "demo-vni", "subnet": {"id": subnet_id}},
        },
        "volume_attachments": [
            {
                "name": "demo-data",
                "delete_volume_on_instance_delete": True,
                "volume": {
                    "name": "demo-data-volume",
                    "capacity": 10,
                    "profile": {"name": "general-purpose"},
                },
            }
        ],
    }
    made, _ = await control.vpc.instances.create(caller, InstancePrototype.model_validate(body))
    await _software(control, caller, InstanceId(made["id"]))


async def _profile(
    control: ControlPlane, caller: Caller, name: str, *, role: str | None = None
) -> str:
    """The trusted profile with this name, with a role on the VPC API if one is given."""
    known = await _known(control, caller, trusted_profiles, name)
    if known is not None:
        return known
    made = await control.iam.profiles.create(
        caller, ProfilePrototype(name=name, account_id=caller.account_id)
    )
    if role is not None:
        attributes = {"accountId": caller.account_id, "serviceName": "is"}
        body = {
            "type": "access",
            "subjects": [{"attributes": [{"name": "iam_id", "value": made["iam_id"]}]}],
            "roles": [{"role_id": f"crn:v1:bluemix:public:iam::::role:{role}"}],
            "resources": [{"attributes": [{"name": k, "value": v} for k, v in attributes.items()]}],
        }
        await control.iam.policies.create(caller, PolicyPrototype.model_validate(body))
    return str(made["id"])


async def _software(control: ControlPlane, caller: Caller, instance_id: InstanceId) -> None:
    """A software attachment: the API has no way to make one, only the catalogue would."""
    catalog = f"crn:v1:bluemix:public:globalcatalog-collection:global:a/{caller.account_id}"
    attachment = {
        "id": str(uuid4()),
        "name": "demo-software",
        "created_at": rfc3339_ms(control.clock.now()),
        "lifecycle_state": "stable",
        "lifecycle_reasons": [],
        "catalog_offering": {
            "version": {"crn": f"{catalog}:demo:version:1"},
            "plan": {"crn": f"{catalog}:demo:plan:standard"},
        },
        "offering_instance": {"crn": f"{catalog}:demo:instance:1"},
        "entitlement": {"licensed_software": [{"sku": "demo-std-1", "key": "LL-DEMO-0001"}]},
    }
    async with control.database.transaction() as connection:
        await connection.execute(
            update(instances)
            .where(instances.c.id == instance_id)
            .values(software_attachments=[attachment], version=instances.c.version + 1)
        )
        await publish_instances(connection, control.context, [instance_id])
