"""From an instance's identity token to a trusted profile: who is it, and may it be that profile?

A node vouches for its own instances only: the token must be signed by the key of the node where the
instance is placed *now*, in the instance's present start epoch. From the token only the instance id is
taken; rules are evaluated on the server's own claims. Used by the `cr-token` grant and by nodes.
Errors carry the codes of metadata contract 3.2. Control-plane contract 4.1, last paragraph.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import (
    Invalid,
    NotAuthenticated,
    NotAuthorized,
    Problem,
    Target,
    missing_field,
)
from linklocal.fleet.tables import documents, nodes, placements
from linklocal.iam.links import cr_type_of, profile_id_of
from linklocal.iam.rules import TYPE_COMPUTE, rule_matches
from linklocal.iam.tables import claim_rules, profile_links, trusted_profiles
from linklocal.iam.text import storable
from linklocal.tokens import (
    PublicKeys,
    TokenRefused,
    VerifiedIdentityToken,
    identity_epoch,
    identity_instance,
    identity_issuer,
    unverified_instance,
    verify_identity_token,
)

By = Literal["id", "crn", "name"]

# What every exchange asks. Made once: to build a statement takes longer than to run it.
_PLACED = (
    select(placements, nodes.c.identity_jwk, nodes.c.revoked_at)
    .join_from(placements, nodes, placements.c.node_id == nodes.c.id)
    .where(placements.c.instance_id == bindparam("instance"))
)
_DOCUMENT = select(documents.c.document).where(documents.c.instance_id == bindparam("instance"))
_PROFILE = select(trusted_profiles).where(trusted_profiles.c.id == bindparam("profile"))
_LINK = select(profile_links.c.id).where(
    profile_links.c.profile_id == bindparam("profile"),
    profile_links.c.cr_type == bindparam("type"),
    profile_links.c.crn == bindparam("crn"),
)


@dataclass(frozen=True, slots=True)
class ProfileSelector:
    """How a request names a trusted profile."""

    by: By
    value: str


@dataclass(frozen=True, slots=True)
class ComputeResource:
    """An instance that has proven who it is. `claims` are the server's own (metadata contract 3.1)."""

    instance_id: str
    account_id: str
    crn: str
    claims: dict[str, Any]
    token: VerifiedIdentityToken  # what was shown
    node_id: str

    def as_actor(self) -> dict[str, Any]:
        """`authn` of the access tokens it gets; `node` and `epoch` are for `introspection.py`."""
        return {
            "sub": self.crn,
            "iam_id": f"crn-{self.crn}",
            "name": self.instance_id,
            "node": self.node_id,
            "epoch": identity_epoch(self.token),
        }


@dataclass(frozen=True, slots=True)
class GrantedProfile:
    """A trusted profile that a compute resource may take on; `resource` is who did."""

    profile_id: str
    account_id: str
    resource: ComputeResource


async def identify(
    connection: AsyncConnection,
    identity_token: str,
    *,
    region: str,
    now: datetime,
    node_id: str | None = None,
    action: str = "is.metadata.computeresource-token.request",
) -> ComputeResource:
    """Who an identity token speaks for. `region` is the server's; `node_id` the node
    that passed it on, if one did.

    Raises NotAuthenticated (`unauthenticated`) for a token that is not valid here and now, and
    NotAuthorized when the instance's metadata service is disabled.
    """
    try:
        instance_id = unverified_instance(identity_token)
    except TokenRefused as error:
        raise _refused(error) from error
    placed = await _placement(connection, instance_id) if storable(instance_id) else None
    if placed is None or placed.revoked_at is not None:
        raise _unauthenticated("It names an instance that is not placed on any node.")
    if node_id is not None and placed.node_id != node_id:
        raise _unauthenticated("It names an instance that is placed on another node.")
    try:
        token = verify_identity_token(identity_token, PublicKeys([placed.identity_jwk]), now)
    except TokenRefused as error:
        raise _refused(error) from error
    if token["iss"] != identity_issuer(region) or identity_instance(token) != instance_id:
        raise _unauthenticated("It was issued in another region.")
    if not placed.serving:
        raise _unauthenticated("The instance is not running.")
    if identity_epoch(token) < placed.tokens_valid_after:
        raise _unauthenticated(
            "The instance was stopped, reinitialized or moved since it was issued: create a new one."
        )
    if not placed.metadata_enabled:
        raise NotAuthorized(
            action=action, needs="the instance's `metadata_service.enabled` to be true"
        )
    crn = str(placed.claims["iaas"]["crn"])
    return ComputeResource(
        instance_id, placed.account_id, crn, placed.claims, token, placed.node_id
    )


async def exchange(
    connection: AsyncConnection,
    identity_token: str,
    selector: ProfileSelector | None,
    *,
    region: str,
    now: datetime,
    node_id: str | None = None,
) -> GrantedProfile:
    """The profile that the instance behind the token takes on; without selector its default one.

    Raises what `identify` raises, and Invalid with `missing_field` (no selector, no default),
    `not_found` (no such profile) or `profile_not_linked`, target `trusted_profile`.
    """
    resource = await identify(connection, identity_token, region=region, now=now, node_id=node_id)
    if selector is None:
        default = await _default_profile_id(connection, resource.instance_id)
        if default is None:
            message = "A trusted profile ID was not passed in the request body."
            raise Invalid(missing_field("trusted_profile", message))
        selector = ProfileSelector("id", default)
    profile = await _find(connection, resource, selector)
    if profile is not None and await _may_take_on(connection, resource, profile):
        return GrantedProfile(profile.id, profile.account_id, resource)
    # Of another account's profile not even its existence is told.
    if profile is None or profile.account_id != resource.account_id:
        message = f"There is no trusted profile with this {selector.by}."
        raise Invalid(Problem("not_found", message, _target(selector)))
    raise Invalid(
        Problem(
            "profile_not_linked",
            f"The trusted profile {profile.name!r} is not linked to this instance: add a link with "
            f"its CRN {resource.crn}, or a claim rule that it meets.",
            _target(selector),
        )
    )


async def _placement(connection: AsyncConnection, instance_id: str) -> Row[Any] | None:
    return (await connection.execute(_PLACED, {"instance": instance_id})).one_or_none()


async def _default_profile_id(connection: AsyncConnection, instance_id: str) -> str | None:
    """From the document that the server itself rendered (metadata contract 5.2)."""
    text = await connection.scalar(_DOCUMENT, {"instance": instance_id})
    if text is None:
        return None
    initialization = json.loads(text)["metadata"]["initialization"]
    default = initialization.get("default_trusted_profile")
    return None if default is None else str(default["target"]["id"])


async def _find(
    connection: AsyncConnection, resource: ComputeResource, selector: ProfileSelector
) -> Row[Any] | None:
    profiles = trusted_profiles.c
    value: str | None = selector.value
    if selector.by == "crn":
        value = profile_id_of(selector.value)
    if value is None or not storable(value):
        return None
    if selector.by == "name":
        named = select(trusted_profiles).where(
            profiles.name == value, profiles.account_id == resource.account_id
        )
        row = (await connection.execute(named)).one_or_none()
    else:
        row = (await connection.execute(_PROFILE, {"profile": value})).one_or_none()
    if row is not None and selector.by == "crn":
        # The account in the CRN must be the profile's own.
        return row if profile_id_of(selector.value, row.account_id) else None
    return row


async def _may_take_on(
    connection: AsyncConnection, resource: ComputeResource, profile: Row[Any]
) -> bool:
    """A link with the instance's CRN, or a rule that its claims meet (own account only)."""
    cr_type = cr_type_of(resource.crn)
    wanted = {"profile": profile.id, "type": cr_type, "crn": resource.crn}
    if await connection.scalar(_LINK, wanted) is not None:
        return True
    if profile.account_id != resource.account_id:
        return False
    rules = select(claim_rules.c.conditions).where(
        claim_rules.c.profile_id == profile.id,
        claim_rules.c.type == TYPE_COMPUTE,
        or_(claim_rules.c.cr_type == cr_type, claim_rules.c.cr_type.is_(None)),
    )
    found = (await connection.execute(rules)).scalars()
    return any(rule_matches(conditions, resource.claims) for conditions in found)


def _target(selector: ProfileSelector) -> Target:
    return Target(f"trusted_profile.{selector.by}", "field", selector.value[:200])


def _unauthenticated(reason: str) -> NotAuthenticated:
    return NotAuthenticated(
        f"The instance identity token is not valid. {reason}", code="unauthenticated"
    )


def _refused(error: TokenRefused) -> NotAuthenticated:
    match error.reason:
        case "expired":
            return _unauthenticated("It has expired: create a new one.")
        case "early":
            return _unauthenticated(f"It is {error.detail}: compare the clocks of node and server.")
        case "malformed" | "claims":
            return _unauthenticated("It is malformed.")
        case _:
            return _unauthenticated("It is not signed by the node where the instance is placed.")
