"""Bodies that name a resource "by id | by crn | by href | by name", and how they are resolved.

Control-plane contract 1.6, last rows: an identity is an object with one of its members; more than one
is allowed only if they agree. A reference to nothing is 400 `not_found` with the member as target.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import Row, Select, Table, bindparam
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Invalid, Problem, bad_field, missing_field, not_found_field
from linklocal.ids import NAME_MAX, NAME_PATTERN
from linklocal.vpc.scopes import DERIVED, Scope

# What a reference to something deleted says about it (contract 1.6).
DELETED_MORE_INFO = "https://cloud.ibm.com/apidocs/vpc#deleted-resources"


def storable(text: Any) -> Any:
    """Validator: refuses what PostgreSQL cannot store, the NUL character and halves of surrogates."""
    if isinstance(text, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text):
        raise PydanticCustomError(
            "text", "must contain neither the NUL character nor half of a surrogate pair"
        )
    return text


# Text that PostgreSQL can store.
Text = Annotated[str, BeforeValidator(storable), Field(max_length=512)]
# A resource's name: control-plane contract 1.6.
Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX, pattern=NAME_PATTERN)]


class Prototype(BaseModel):
    """Base of request bodies on POST: strict types, unknown members ignored (contract 1.1)."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Patch(BaseModel):
    """Base of merge patches: strict types, unknown members refused; only given members count.

    Members have plain types with any default: null is refused, and `model_fields_set` tells which came.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    def given(self) -> dict[str, Any]:
        """The members that the body has, by name."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Identity(Prototype):
    """`{id}`, `{crn}` or `{href}`."""

    id: Text | None = None
    crn: Text | None = None
    href: Text | None = None

    def members(self) -> dict[str, str]:
        """The members given, by name, in order of preference."""
        return {k: v for k, v in self.model_dump().items() if v is not None}


class KeyIdentity(Identity):
    fingerprint: Text | None = None


class NamedIdentity(Prototype):
    """`{name}` or `{href}`: zones, profiles, operating systems."""

    name: Text | None = None
    href: Text | None = None


class ResourceGroupIdentity(Prototype):
    id: Text


def href_id(href: str) -> str:
    """The last segment of a URL or path."""
    return href.rstrip("/").rpartition("/")[2]


def resolve_named(
    identity: NamedIdentity, known: Collection[str], kind: str, field: str
) -> tuple[str | None, list[Problem]]:
    """The name that `identity` says, if it is one of `known`; else None and what is wrong.

    `kind` is for messages (`zone`); targets are `<field>.name` and `<field>.href`.
    """
    asked = {
        member: href_id(value) if member == "href" else value
        for member, value in (("name", identity.name), ("href", identity.href))
        if value is not None
    }
    if not asked:
        return None, [missing_field(f"{field}.name", f"Name `{field}` by `name` or `href`.")]
    for member, name in asked.items():
        if name not in known:
            message = f"There is no such {kind}: choose one of {', '.join(known)}."
            return None, [not_found_field(f"{field}.{member}", message, name)]
    if len(set(asked.values())) > 1:
        message = f"The members of `{field}` name different {kind}s: send only one of them."
        return None, [bad_field(f"{field}.href", message, identity.href)]
    return asked.popitem()[1], []


async def resolve(
    connection: AsyncConnection,
    table: Table,
    identity: Identity,
    field: str,
    *,
    scope: Scope,
    lock: bool = False,
) -> tuple[Row[Any] | None, list[Problem]]:
    """Find the row that `identity` names in `table` (columns `id`, `crn`, and `fingerprint` if asked).

    A CRN or fingerprint must be whole; of a URL only the last segment counts.

    `scope`: the rows of `table` to look among (`rows.own`). `lock` takes a share lock on
    PostgreSQL, so that the row cannot be renamed or deleted before the transaction ends.
    Returns the row and no problem, or None and what is wrong, with `field` as the target's prefix.
    """
    members = identity.members()
    if not members:
        return None, [missing_field(f"{field}.id", f"Name `{field}` by `id`, `crn` or `href`.")]
    found: Row[Any] | None = None
    for member, value in members.items():
        column, wanted = ("id", href_id(value)) if member == "href" else (member, value)
        statement = _by(scope.statement, table, column, lock)
        row = (await connection.execute(statement, scope.seeking(wanted))).one_or_none()
        kind = table.name.removesuffix("s").replace("_", " ")
        if row is None:
            return None, [
                not_found_field(
                    f"{field}.{member}", f"There is no {kind} with this {member}.", value
                )
            ]
        if found is not None and row._mapping["id"] != found._mapping["id"]:
            return None, [
                bad_field(
                    f"{field}.{member}",
                    f"The members of `{field}` name different resources: send only one of them.",
                    value,
                )
            ]
        found = row
    return found, []


@lru_cache(maxsize=DERIVED)
def _by(rows: Select[Any], table: Table, column: str, lock: bool) -> Select[Any]:
    """The row that has `wanted` in a column; `lock` takes it FOR SHARE."""
    statement = rows.where(table.c[column] == bindparam("wanted"))
    return statement.with_for_update(read=True) if lock else statement


def raise_if(problems: list[Problem]) -> None:
    """Raise Invalid with all problems collected so far, if any."""
    if problems:
        raise Invalid(problems)
