"""Security groups as the API shows them: rows in, views out, with a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import rfc3339_ms
from linklocal.vpc.network.loaded import Named
from linklocal.vpc.network.security_groups.rules import rule_view
from linklocal.vpc.network.tables import interface_security_groups, security_groups, vpcs
from linklocal.vpc.network.targets import Target, load_targets
from linklocal.vpc.network.views import named, security_group_reference, vpc_reference
from linklocal.vpc.resource_groups import resource_group_references


async def remote_groups(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> dict[str, Named]:
    """The groups that the rules of these groups refer to, by id."""
    ids = {
        rule["remote"]["id"]
        for row in rows
        for rule in row._mapping["rules"]
        if "id" in rule["remote"]
    }
    statement = select(security_groups).where(security_groups.c.id.in_(sorted(ids)))
    return {group._mapping["id"]: named(group) for group in await connection.execute(statement)}


async def group_targets(
    connection: AsyncConnection, group_ids: Sequence[str]
) -> dict[str, list[Target]]:
    """What each group guards, in order of name."""
    link = interface_security_groups
    statement = select(link).where(link.c.security_group_id.in_(sorted(group_ids)))
    pairs = [
        (row.security_group_id, row.interface_id) for row in await connection.execute(statement)
    ]
    targets = await load_targets(connection, {interface_id for _, interface_id in pairs})
    found: defaultdict[str, list[Target]] = defaultdict(list)
    for group_id, interface_id in pairs:
        found[group_id].append(targets[interface_id])
    return {id: sorted(found[id], key=lambda target: (target.name, target.id)) for id in group_ids}


async def security_group_views(
    connection: AsyncConnection, rows: Sequence[Row[Any]]
) -> list[dict[str, Any]]:
    """SecurityGroup of each row, in order."""
    remotes = await remote_groups(connection, rows)
    targets = await group_targets(connection, [row._mapping["id"] for row in rows])
    groups = await resource_group_references(
        connection, [row._mapping["resource_group_id"] for row in rows]
    )
    of = select(vpcs).where(vpcs.c.id.in_(sorted({row._mapping["vpc_id"] for row in rows})))
    networks = {vpc._mapping["id"]: named(vpc) for vpc in await connection.execute(of)}
    return [
        {
            **security_group_reference(named(row)),
            "created_at": rfc3339_ms(row._mapping["created_at"]),
            "resource_group": groups[row._mapping["resource_group_id"]],
            "rules": [rule_view(row._mapping["id"], r, remotes) for r in row._mapping["rules"]],
            "targets": [target.reference() for target in targets[row._mapping["id"]]],
            "vpc": vpc_reference(networks[row._mapping["vpc_id"]]),
        }
        for row in rows
    ]
