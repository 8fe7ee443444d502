"""The network of a newcomer: one VPC with a subnet in each zone (contract 3)."""

from __future__ import annotations

from ipaddress import IPv4Network

from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.iam.caller import Caller
from linklocal.vpc.context import VpcContext
from linklocal.vpc.network.subnets.service import insert_subnet
from linklocal.vpc.network.tables import vpcs
from linklocal.vpc.network.vpcs.service import insert_vpc
from linklocal.vpc.resource_groups import resolve_resource_group
from linklocal.vpc.rows import of_account

SEED_VPC = "my-vpc"


async def seed_network(connection: AsyncConnection, context: VpcContext, caller: Caller) -> str:
    """The VPC `my-vpc` and its subnets `my-subnet-1` ... exist afterwards. Returns the VPC's id.

    A no-op when the account has a VPC of that name, whatever it looks like by now.
    """
    known = of_account(context, caller, vpcs).with_only_columns(vpcs.c.id)
    found = await connection.scalar(known.where(vpcs.c.name == SEED_VPC))
    if found is not None:
        return str(found)
    group_id, _ = await resolve_resource_group(connection, caller, None)
    vpc = await insert_vpc(connection, context, caller, name=SEED_VPC, resource_group_id=group_id)
    for number, prefix in enumerate(vpc._mapping["address_prefixes"], start=1):
        await insert_subnet(
            connection,
            context,
            caller,
            vpc_id=vpc._mapping["id"],
            zone=prefix["zone"],
            network=next(IPv4Network(prefix["cidr"]).subnets(new_prefix=24)),
            name=f"my-subnet-{number}",
            resource_group_id=group_id,
        )
    return str(vpc._mapping["id"])
