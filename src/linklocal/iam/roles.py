"""Who may do what: action -> roles (control-plane contract 7.2), and the roles that a caller has.

A user is Administrator of the account. An API key with policies of its own has those roles instead, a
trusted profile has exactly what its policies give. Roles are not ranked: an action lists all that allow it.
Checked inside the services, so console and API cannot differ; nothing here knows a resource.
"""

from __future__ import annotations

from typing import NoReturn

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import NotAuthorized
from linklocal.iam.caller import Caller
from linklocal.iam.tables import api_keys, policies

# What every call asks. Made once: to build a statement takes longer than to run it.
_POLICIES = select(policies.c.service, policies.c.roles).where(
    policies.c.account_id == bindparam("account"), policies.c.subject == bindparam("subject")
)
# The same of an API key that exists: a row without a policy if it has none, no row if there is no key.
_KEY_POLICIES = (
    select(policies.c.service, policies.c.roles)
    .select_from(api_keys)
    .outerjoin(
        policies,
        (policies.c.subject == api_keys.c.id) & (policies.c.account_id == bindparam("account")),
    )
    .where(api_keys.c.id == bindparam("subject"))
)

ROLES = ("Viewer", "Operator", "Editor", "Administrator")
# Services that a policy can be about; a policy without a service is about all of them.
SERVICES = ("is", "iam-identity")

_READERS = frozenset(ROLES)
_OPERATORS = frozenset({"Operator", "Editor", "Administrator"})
_EDITORS = frozenset({"Editor", "Administrator"})
_ADMINISTRATORS = frozenset({"Administrator"})

# `is.<service>.<resource>.<verb>`: the verb decides, for every kind of resource alike.
_IS_VERBS = {
    "list": _READERS,
    "read": _READERS,
    "operate": _OPERATORS,
    "create": _EDITORS,
    "update": _EDITORS,
    "delete": _EDITORS,
    "attach": _EDITORS,
    "detach": _EDITORS,
    "manage-allowed-use": _EDITORS,
}
_IDENTITY_ACTIONS = {
    "iam-identity.profile.list": _READERS,
    "iam-identity.profile.read": _READERS,
    "iam-identity.profile.create": _EDITORS,
    "iam-identity.profile.update": _EDITORS,
    "iam-identity.profile.delete": _EDITORS,
    "iam-identity.profile.linkToResource": _EDITORS,
    "iam-identity.user-apikey.list": _READERS,
    "iam-identity.user-apikey.read": _READERS,
}
# These can widen the caller's own rights (a key without policies has all of them), so only an
# Administrator of *all* services may do them.
_ACCOUNT_ACTIONS = frozenset(
    {
        "iam-identity.user-apikey.create",
        "iam-identity.user-apikey.update",
        "iam-identity.user-apikey.delete",
        "iam-identity.profile.assume",
        "iam-identity.profile.setIdentities",
        "iam.policy.create",
        "iam.policy.update",
        "iam.policy.delete",
        # Operator routes of this server: nodes, join tokens, placement.
        "linklocal.node.operate",
        "linklocal.audit.read",
        # Faults and checkpoints of a test double.
        "linklocal.fault.operate",
        "linklocal.report.read",
    }
)
_ACCOUNT_READS = frozenset({"iam.policy.list", "iam.policy.read", "linklocal.node.read"})


# Roles on a service, None: on all of them.
Held = tuple[str | None, list[str]]
_EVERYTHING: Held = (None, ["Administrator"])


def allowed_roles(action: str) -> tuple[str | None, frozenset[str]]:
    """The service that an action belongs to (None: the account as a whole) and the roles that allow it.

    Raises ValueError for an action that is not in the table: a mistake of the program.
    """
    if action in _ACCOUNT_ACTIONS:
        return None, _ADMINISTRATORS
    if action in _ACCOUNT_READS:
        return None, _READERS
    if action in _IDENTITY_ACTIONS:
        return "iam-identity", _IDENTITY_ACTIONS[action]
    service, _, rest = action.partition(".")
    verb = rest.rpartition(".")[2]
    if service == "is" and rest.count(".") >= 1 and verb in _IS_VERBS:
        return "is", _IS_VERBS[verb]
    raise ValueError(f"no roles are known for the action {action!r}")


class Roles:
    """`vpc.context.Authorizer`: stateless, asks the database in the caller's transaction."""

    async def require(self, connection: AsyncConnection, caller: Caller, *actions: str) -> None:
        """Raises NotAuthorized about the first action that the caller may not do.

        It says the roles that would do and how to get one. However many actions: one query.
        """
        held = await self._held(connection, caller)
        for action in actions:
            service, allowed = allowed_roles(action)
            if not allowed & self._on(held, service):
                self._refuse(caller, action, service, allowed)

    @staticmethod
    def _refuse(
        caller: Caller, action: str, service: str | None, allowed: frozenset[str]
    ) -> NoReturn:
        subject = caller.iam_id if caller.kind == "profile" else caller.api_key_id
        on = f"service `{service}`" if service else "all services of the account"
        names = " or ".join(role for role in ROLES if role in allowed)
        raise NotAuthorized(
            action=action,
            needs=(
                f"the role {names} on {on}; an administrator grants it to {subject} with a policy "
                "(POST /v1/policies)"
            ),
            rule="role",
        )

    async def roles(
        self, connection: AsyncConnection, caller: Caller, service: str | None
    ) -> frozenset[str]:
        """The caller's roles on a service, or (None) on all services of the account."""
        return self._on(await self._held(connection, caller), service)

    @staticmethod
    async def _held(connection: AsyncConnection, caller: Caller) -> list[Held]:
        """What the caller holds, as policies: those of a profile or key, or all that a user may do."""
        if caller.kind == "profile":
            asked = {"account": caller.account_id, "subject": caller.iam_id}
            return [(row.service, row.roles) for row in await connection.execute(_POLICIES, asked)]
        if caller.api_key_id is None:
            return [_EVERYTHING]
        asked = {"account": caller.account_id, "subject": caller.api_key_id}
        rows = (await connection.execute(_KEY_POLICIES, asked)).all()
        own = [(row.service, row.roles) for row in rows if row.roles is not None]
        # A deleted key has no rights: its last tokens must not gain those of a key without policies.
        return own or ([_EVERYTHING] if rows else [])

    @staticmethod
    def _on(found: list[Held], service: str | None) -> frozenset[str]:
        """Roles of the policies about all services, and of those about this one."""
        return frozenset(
            role for about, given in found if about is None or about == service for role in given
        )
