"""What an instance is initialized with - image, keys, default trusted profile - and its placement group:
found, locked against change, and checked. Writes nothing.

`Resolver` collects problems; creating (`plan.py`) and reinitializing an instance ask it the same
questions. Contract 2.3, 2.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import Row, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Problem, bad_field, missing_field, not_found_field
from linklocal.iam.caller import Caller
from linklocal.iam.links import find_profile
from linklocal.ids import profile_crn
from linklocal.vpc.context import VpcContext
from linklocal.vpc.images import operating_systems
from linklocal.vpc.images.tables import images
from linklocal.vpc.instances.model import DefaultTrustedProfilePrototype
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.keys.tables import keys
from linklocal.vpc.network.locks import lock_rows
from linklocal.vpc.placement_groups.tables import placement_groups
from linklocal.vpc.references import Identity, KeyIdentity, resolve
from linklocal.vpc.rows import own
from linklocal.vpc.scopes import Scope

# Instances of one placement group, by strategy (contract 2.6).
MAX_MEMBERS = {"host_spread": 12, "power_spread": 4}
# Those of an account, and those that are for everybody.
_VISIBLE_IMAGES = select(images).where(
    images.c.region == bindparam("region"),
    or_(images.c.account_id == bindparam("account"), images.c.visibility == "public"),
)
USABLE_IMAGES = ("available", "partially_available", "deprecated")


class Machine(Protocol):
    """The part of a profile, of instances or of bare metal servers, that an image must fit."""

    @property
    def name(self) -> str: ...
    @property
    def architecture(self) -> str: ...


class Resolver:
    """Finds what one body names. `problems` grows with every question asked."""

    def __init__(self, connection: AsyncConnection, context: VpcContext, caller: Caller) -> None:
        self._connection = connection
        self._context = context
        self._caller = caller
        self.problems: list[Problem] = []

    async def trusted_profile(
        self, body: DefaultTrustedProfilePrototype | None
    ) -> dict[str, Any] | None:
        """`{auto_link, target}` as initialization shows it. The profile must be the account's."""
        if body is None:
            return None
        target = {"id": body.target.id, "crn": body.target.crn}
        given = {member: value for member, value in target.items() if value is not None}
        if not given:
            field = "default_trusted_profile.target.id"
            message = "Name the trusted profile by `id` or `crn`."
            self.problems.append(missing_field(field, message))
            return None
        account = self._caller.account_id
        row = await find_profile(self._connection, account, **given, lock=True)
        if row is None:
            member = next(iter(given))
            message = f"This account has no trusted profile with this {member}."
            if len(given) > 1:
                message = f"{message[:-1]} that has this crn, too: send only one of them."
            field = f"default_trusted_profile.target.{member}"
            self.problems.append(not_found_field(field, message, given[member]))
            return None
        id = row._mapping["id"]
        reference = {"crn": profile_crn(account, id), "id": id, "resource_type": "trusted_profile"}
        return {"auto_link": body.auto_link is not False, "target": reference}

    async def placement_group(
        self, identity: Identity | None, *, member: str | None = None
    ) -> Row[Any] | None:
        """The placement group of `placement_target`, if it has room for one more than `member`."""
        if identity is None:
            return None
        scope = own(self._context, self._caller, placement_groups)
        row, problems = await resolve(
            self._connection, placement_groups, identity, "placement_target", scope=scope
        )
        self.problems += problems
        if row is None:
            return None
        # Not a share lock: who counts the members must be the only one who does.
        id, field = row._mapping["id"], f"placement_target.{next(iter(identity.members()))}"
        locked = await lock_rows(self._connection, placement_groups, [id], key_share=True)
        if id not in locked:
            message = "The placement group has just been deleted."
            self.problems.append(not_found_field(field, message, id))
            return None
        members = select(func.count()).where(
            instances.c.placement_group_id == id, instances.c.id != (member or "")
        )
        most = MAX_MEMBERS[locked[id]._mapping["strategy"]]
        if (await self._connection.execute(members)).scalar_one() >= most:
            message = f"The placement group has {most} instances already: use another one."
            self.problems.append(bad_field(field, message, id))
        return locked[id]

    async def image(self, identity: Identity | None, profile: Machine | None) -> Row[Any] | None:
        """A usable image of the account's or a public one, made for the profile's architecture."""
        if identity is None:
            return None
        whose = {"account": self._caller.account_id, "region": self._context.region.name}
        visible = Scope(_VISIBLE_IMAGES, whose)
        row, problems = await resolve(
            self._connection, images, identity, "image", scope=visible, lock=True
        )
        self.problems += problems
        if row is None:
            return None
        i, field = row._mapping, f"image.{next(iter(identity.members()))}"
        before = len(self.problems)
        if i["status"] not in USABLE_IMAGES:
            message = f"The image is {i['status']}: choose one that is available."
            self.problems.append(bad_field(field, message, i["id"]))
        architecture = operating_systems.stored(i["operating_system"]).architecture
        if profile is not None and architecture != profile.architecture:
            message = (
                f"The image is for {architecture} and profile {profile.name} is "
                f"{profile.architecture}: choose an image and a profile of one architecture."
            )
            self.problems.append(bad_field(field, message, i["id"]))
        return row if len(self.problems) == before else None

    async def keys(
        self, identities: Sequence[KeyIdentity] | None, image: Row[Any] | None
    ) -> tuple[Row[Any], ...]:
        """The keys in the order given, each once. Windows wants at least one, and of type RSA."""
        scope = own(self._context, self._caller, keys)
        found: dict[str, Row[Any]] = {}
        windows = image is not None and _is_windows(image)
        for index, identity in enumerate(identities or ()):
            field = f"keys[{index}]"
            row, problems = await resolve(
                self._connection, keys, identity, field, scope=scope, lock=True
            )
            self.problems += problems
            if row is None:
                continue
            found[row._mapping["id"]] = row
            if windows and row._mapping["type"] == "ed25519":
                message = "A Windows image needs keys of type rsa."
                member = next(iter(identity.members()))
                self.problems.append(bad_field(f"{field}.{member}", message, row._mapping["id"]))
        if windows and not identities:
            message = "A Windows image needs a key of type rsa: its password is encrypted with it."
            self.problems.append(missing_field("keys", message))
        return tuple(found.values())


def _is_windows(image: Row[Any]) -> bool:
    system = operating_systems.stored(image._mapping["operating_system"])
    return bool(system.family == "Windows Server")
