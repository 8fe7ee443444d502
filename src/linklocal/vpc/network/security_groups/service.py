"""Security groups: create, list, get, rename, delete, rules, and what they guard. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Conflict, NotFound, Problem, bad_field
from linklocal.iam.caller import Caller
from linklocal.ids import new_regional_id, vpc_crn
from linklocal.vpc.context import VpcContext
from linklocal.vpc.naming import fresh_name, name_problems, name_taken, unique
from linklocal.vpc.network.locks import lock_rows
from linklocal.vpc.network.model import MAX_SECURITY_GROUPS
from linklocal.vpc.network.security_groups.model import SecurityGroupPatch, SecurityGroupPrototype
from linklocal.vpc.network.security_groups.rules import (
    MAX_RULES,
    RulePatch,
    RulePrototype,
    patched_rule,
    rule_problems,
    rule_view,
    stored_rule,
)
from linklocal.vpc.network.security_groups.views import (
    group_targets,
    remote_groups,
    security_group_views,
)
from linklocal.vpc.network.shown import instances_with_security_group, instances_with_targets
from linklocal.vpc.network.tables import (
    interface_security_groups,
    network_interfaces,
    security_groups,
    subnets,
    virtual_network_interfaces,
    vpcs,
)
from linklocal.vpc.network.targets import Target, load_targets
from linklocal.vpc.paging import Page, select_page, slice_page
from linklocal.vpc.references import raise_if, resolve
from linklocal.vpc.render import publish_instances
from linklocal.vpc.resource_groups import resolve_resource_group
from linklocal.vpc.rows import Problems, View, ViewPage, find_row, of_account, own

_ACTION = "is.security-group.security-group."


class SecurityGroupService:
    """One instance per server; every method is one unit of work."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    async def _may(self, connection: AsyncConnection, caller: Caller, verb: str) -> None:
        await self._context.authorizer.require(connection, caller, _ACTION + verb)

    async def _get(
        self,
        connection: AsyncConnection,
        caller: Caller,
        id: str,
        parameter: str = "id",
        *,
        lock: bool = False,
    ) -> Row[Any]:
        return await find_row(
            connection,
            self._context,
            caller,
            security_groups,
            id,
            parameter=parameter,
            lock=lock,
        )

    async def create(self, caller: Caller, body: SecurityGroupPrototype) -> dict[str, Any]:
        """SecurityGroup. Raises Invalid (`vpc`, `name`, `rules[i]`, `resource_group.id`)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "create")
            vpc, problems = await resolve(
                connection,
                vpcs,
                body.vpc,
                "vpc",
                scope=own(self._context, caller, vpcs),
                lock=True,
            )
            group_id, found = await resolve_resource_group(connection, caller, body.resource_group)
            scope = own(self._context, caller, security_groups)
            problems += found
            problems += await name_problems(
                connection, scope, security_groups, "security group", body.name
            )
            rules: Sequence[View] = ()
            for index, rule in enumerate(body.rules or []):
                vpc_id = None if vpc is None else str(vpc._mapping["id"])
                field = f"rules[{index}]."
                stored, found = await self._rule(connection, caller, rule, vpc_id, field, rules)
                problems += found
                rules = (*rules, stored)
            raise_if(problems)
            assert vpc is not None
            id, region = new_regional_id(self._context.region.name), self._context.region.name
            name = body.name or await fresh_name(connection, scope, security_groups)
            statement = insert(security_groups).values(
                id=id,
                account_id=caller.account_id,
                region=region,
                vpc_id=vpc._mapping["id"],
                name=name,
                crn=vpc_crn(region, caller.account_id, "security-group", id),
                is_default=False,
                rules=[*rules],
                resource_group_id=group_id,
                created_at=self._context.clock.now(),
            )
            with unique(security_groups, name=name_taken("security group", name)):
                row = (await connection.execute(statement.returning(security_groups))).one()
            return (await security_group_views(connection, [row]))[0]

    async def list(
        self,
        caller: Caller,
        page: Page,
        *,
        resource_group_id: str | None = None,
        vpc_id: str | None = None,
        vpc_crn: str | None = None,
        vpc_name: str | None = None,
    ) -> ViewPage:
        """Views of one page, total count, start of the next page. Raises Invalid (`start`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "list")
            statement = of_account(self._context, caller, security_groups)
            table = security_groups
            if resource_group_id is not None:
                statement = statement.where(table.c.resource_group_id == resource_group_id)
            for column, value in (("id", vpc_id), ("crn", vpc_crn), ("name", vpc_name)):
                if value is not None:
                    of = select(vpcs.c.id).where(vpcs.c[column] == value)
                    statement = statement.where(table.c.vpc_id.in_(of))
            rows, total, following = await select_page(connection, statement, table, page)
            return await security_group_views(connection, rows), total, following

    async def get(self, caller: Caller, id: str) -> dict[str, Any]:
        """SecurityGroup. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            row = await self._get(connection, caller, id)
            return (await security_group_views(connection, [row]))[0]

    async def update(self, caller: Caller, id: str, patch: SecurityGroupPatch) -> dict[str, Any]:
        """Rename; instances that it guards show the new name. Raises NotFound, Invalid (`name`)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            row = await self._get(connection, caller, id, lock=True)
            name = patch.given().get("name", row._mapping["name"])
            if name != row._mapping["name"]:
                scope, table = own(self._context, caller, security_groups), security_groups
                raise_if(await name_problems(connection, scope, table, "security group", name))
                statement = update(table).where(table.c.id == id).values(name=name)
                with unique(table, name=name_taken("security group", name)):
                    row = (await connection.execute(statement.returning(table))).one()
                users = await instances_with_security_group(connection, id)
                await publish_instances(connection, self._context, users)
            return (await security_group_views(connection, [row]))[0]

    async def delete(self, caller: Caller, id: str) -> None:
        """Raises NotFound, Conflict (default group, guards something, named by a rule)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "delete")
            await self._lock_vpc(connection, caller, id)
            row = await self._get(connection, caller, id, lock=True)
            if row._mapping["is_default"]:
                message = "The default security group of a VPC goes with the VPC only."
                raise Conflict(message, "id")
            if (targets := (await group_targets(connection, [id]))[id]) != []:
                names = ", ".join(target.name for target in targets[:3])
                raise Conflict(f"The security group guards interfaces ({names}).", "id")
            others = select(security_groups).where(
                security_groups.c.vpc_id == row._mapping["vpc_id"], security_groups.c.id != id
            )
            for other in await connection.execute(others):
                if any(rule["remote"].get("id") == id for rule in other._mapping["rules"]):
                    name = other._mapping["name"]
                    raise Conflict(f"A rule of security group {name!r} names this group.", "id")
            await connection.execute(delete(security_groups).where(security_groups.c.id == id))

    # Rules

    async def _lock_vpc(
        self, connection: AsyncConnection, caller: Caller, group_id: str, *, read: bool = False
    ) -> None:
        """Keep the deletion of groups and the making of rules that name them apart, per VPC."""
        scope = of_account(self._context, caller, security_groups)
        of = scope.with_only_columns(security_groups.c.vpc_id).where(
            security_groups.c.id == group_id
        )
        vpc_ids = list((await connection.execute(of)).scalars())
        await lock_rows(connection, vpcs, vpc_ids, read=read, key_share=not read)

    async def _rule(
        self,
        connection: AsyncConnection,
        caller: Caller,
        body: RulePrototype,
        vpc_id: str | None,
        field: str,
        others: Sequence[dict[str, Any]],
    ) -> tuple[View, Problems]:
        """What to keep of a rule, and what is wrong with it beside `others` of its group.

        The VPC is locked, so the group that `remote` names is not deleted before the rule is there.
        """
        problems = rule_problems(body, field)
        if body.name is not None and any(rule["name"] == body.name for rule in others):
            message = f"The group has another rule named {body.name!r}: choose another name."
            target = bad_field(f"{field}name", message, body.name).target
            problems.append(Problem("validation_unique_failed", message, target))
        remote_id: str | None = None
        identity = None if body.remote is None else body.remote.identity()
        if identity is not None:
            scope = own(self._context, caller, security_groups)
            remote, found = await resolve(
                connection, security_groups, identity, f"{field}remote", scope=scope
            )
            problems += found
            if remote is not None:
                remote_id = str(remote._mapping["id"])
                if vpc_id is not None and remote._mapping["vpc_id"] != vpc_id:
                    message = "The security group belongs to another VPC: choose one of this VPC."
                    problems.append(bad_field(f"{field}remote", message, remote_id))
        return stored_rule(self._context.region.name, body, remote_id), problems

    async def list_rules(self, caller: Caller, group_id: str) -> Sequence[View]:
        """SecurityGroupRule of each. Raises NotFound (`security_group_id`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            row = await self._get(connection, caller, group_id, "security_group_id")
            remotes = await remote_groups(connection, [row])
            return [rule_view(group_id, rule, remotes) for rule in row._mapping["rules"]]

    async def get_rule(self, caller: Caller, group_id: str, id: str) -> dict[str, Any]:
        """SecurityGroupRule. Raises NotFound (`security_group_id`, `id`)."""
        for view in await self.list_rules(caller, group_id):
            if view["id"] == id:
                return view
        raise NotFound("id", id)

    async def create_rule(
        self, caller: Caller, group_id: str, body: RulePrototype
    ) -> dict[str, Any]:
        """SecurityGroupRule. Raises NotFound (`security_group_id`), Invalid, Conflict (too many)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            await self._lock_vpc(connection, caller, group_id, read=True)
            row = await self._get(connection, caller, group_id, "security_group_id", lock=True)
            rules = list(row._mapping["rules"])
            if len(rules) >= MAX_RULES:
                raise Conflict(f"The security group has {MAX_RULES} rules: delete one first.")
            vpc_id = row._mapping["vpc_id"]
            rule, problems = await self._rule(connection, caller, body, vpc_id, "", rules)
            raise_if(problems)
            row = await self._write_rules(connection, group_id, [*rules, rule])
            return rule_view(group_id, rule, await remote_groups(connection, [row]))

    async def update_rule(
        self, caller: Caller, group_id: str, id: str, patch: RulePatch
    ) -> dict[str, Any]:
        """SecurityGroupRule after a merge patch. Raises NotFound (`security_group_id`, `id`), Invalid."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            await self._lock_vpc(connection, caller, group_id, read=True)
            row = await self._get(connection, caller, group_id, "security_group_id", lock=True)
            rules = {rule["id"]: rule for rule in row._mapping["rules"]}
            if id not in rules:
                raise NotFound("id", id)
            body, problems = patched_rule(rules.pop(id), patch)
            vpc_id = row._mapping["vpc_id"]
            others = list(rules.values())
            rule, found = await self._rule(connection, caller, body, vpc_id, "", others)
            raise_if(problems + found)
            rule = {**rule, "id": id}
            kept = [rule if one["id"] == id else one for one in row._mapping["rules"]]
            row = await self._write_rules(connection, group_id, kept)
            return rule_view(group_id, rule, await remote_groups(connection, [row]))

    async def delete_rule(self, caller: Caller, group_id: str, id: str) -> None:
        """Raises NotFound (`security_group_id`, `id`)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            row = await self._get(connection, caller, group_id, "security_group_id", lock=True)
            kept = [rule for rule in row._mapping["rules"] if rule["id"] != id]
            if len(kept) == len(row._mapping["rules"]):
                raise NotFound("id", id)
            await self._write_rules(connection, group_id, kept)

    @staticmethod
    async def _write_rules(
        connection: AsyncConnection, group_id: str, rules: Sequence[View]
    ) -> Row[Any]:
        table = security_groups
        statement = update(table).where(table.c.id == group_id).values(rules=[*rules])
        row: Row[Any] = (await connection.execute(statement.returning(table))).one()
        return row

    # Targets

    async def list_targets(self, caller: Caller, group_id: str, page: Page) -> ViewPage:
        """References to what the group guards. Raises NotFound (`security_group_id`), Invalid."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            await self._get(connection, caller, group_id, "security_group_id")
            targets = (await group_targets(connection, [group_id]))[group_id]
        shown, total, following = slice_page(targets, lambda target: target.id, page)
        return [target.reference() for target in shown], total, following

    async def get_target(self, caller: Caller, group_id: str, id: str) -> dict[str, Any]:
        """A reference to one. Raises NotFound (`security_group_id`, `id`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            await self._get(connection, caller, group_id, "security_group_id")
            for target in (await group_targets(connection, [group_id]))[group_id]:
                if target.id == id:
                    return target.reference()
        raise NotFound("id", id)

    async def bind(self, caller: Caller, group_id: str, id: str) -> dict[str, Any]:
        """Let the group guard an interface too. Raises NotFound, Conflict (other VPC, too many)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            group = await self._get(connection, caller, group_id, "security_group_id", lock=True)
            target, held = await self._target(connection, caller, id)
            if group_id not in held:
                vpc = select(subnets.c.vpc_id).where(subnets.c.id == target.subnet.id)
                if (await connection.execute(vpc)).scalar_one() != group._mapping["vpc_id"]:
                    raise Conflict("The interface is in another VPC than the security group.", "id")
                if len(held) >= MAX_SECURITY_GROUPS:
                    message = f"The interface has {MAX_SECURITY_GROUPS} security groups already."
                    raise Conflict(message, "id")
                values = {"interface_id": id, "security_group_id": group_id}
                await connection.execute(insert(interface_security_groups).values(values))
                await self._publish(connection, id)
            return target.reference()

    async def unbind(self, caller: Caller, group_id: str, id: str) -> None:
        """Raises NotFound (`security_group_id`, `id`), Conflict (its only group)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            await self._get(connection, caller, group_id, "security_group_id", lock=True)
            _, held = await self._target(connection, caller, id)
            if group_id not in held:
                raise NotFound("id", id)
            if len(held) == 1:
                message = "An interface keeps at least one security group: bind another one first."
                raise Conflict(message, "id")
            link = interface_security_groups
            await connection.execute(
                delete(link).where(link.c.interface_id == id, link.c.security_group_id == group_id)
            )
            await self._publish(connection, id)

    async def _target(
        self, connection: AsyncConnection, caller: Caller, id: str
    ) -> tuple[Target, set[str]]:
        """An interface of the caller's, locked against other bindings, and the ids of its groups."""
        vni, older = virtual_network_interfaces, network_interfaces
        mine = of_account(self._context, caller, vni).where(vni.c.id == id).with_for_update()
        if (await connection.execute(mine)).first() is None:
            in_mine = (
                select(older.c.id)
                .join(subnets, subnets.c.id == older.c.subnet_id)
                .where(older.c.id == id, subnets.c.account_id == caller.account_id)
            )
            if (await connection.execute(in_mine)).first() is None:
                raise NotFound("id", id)
        target = (await load_targets(connection, [id]))[id]
        link = interface_security_groups
        held = select(link.c.security_group_id).where(link.c.interface_id == id)
        return target, set((await connection.execute(held)).scalars())

    async def _publish(self, connection: AsyncConnection, target_id: str) -> None:
        users = await instances_with_targets(connection, [target_id])
        await publish_instances(connection, self._context, users)
