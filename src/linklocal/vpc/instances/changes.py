"""What a merge patch makes of an instance: new column values, or what is wrong with it. Writes nothing.

All or nothing: one bad member and nothing changes. Members that are not named stay. Contract 2.2, 2.4.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Conflict, Problem, bad_field, missing_field
from linklocal.iam.caller import Caller
from linklocal.vpc import metadata_service
from linklocal.vpc.context import VpcContext
from linklocal.vpc.images.allowed_use import allowed_use_problems
from linklocal.vpc.instances.lifecycle import Status
from linklocal.vpc.instances.load import InstanceRecord
from linklocal.vpc.instances.model import InstancePatch
from linklocal.vpc.instances.options import decide, moved
from linklocal.vpc.instances.plan import metadata_service_problems
from linklocal.vpc.instances.resolving import Resolver
from linklocal.vpc.profiles.catalog import Profile, resolve_profile

# These take a stopped instance; `metadata_service`, the name and the rest do not.
STOPPED_ONLY = (
    "profile",
    "placement_target",
    "confidential_compute_mode",
    "enable_secure_boot",
    "threads_per_core",
    "volume_bandwidth_qos_mode",
)


def require_stopped(patch: InstancePatch, status: Status) -> None:
    """Raises Conflict when the patch has a member that needs a stopped instance, and it is not."""
    for member in STOPPED_ONLY:
        if member in patch.model_fields_set and status not in ("stopping", "stopped"):
            message = (
                f"`{member}` can be changed while the instance is stopped, and it is {status}: "
                "stop it first."
            )
            raise Conflict(message, member)


def require_if_match(patch: InstancePatch, if_match: str | None) -> list[Problem]:
    """A body with an array must say which version it changes (contract 1.2)."""
    affinity = patch.model_fields_set & {"reservation_affinity"} and patch.reservation_affinity
    if not affinity or "pool" not in affinity.model_fields_set or if_match is not None:
        return []
    message = "`reservation_affinity.pool` is a list: send the instance's ETag in `If-Match`."
    return [missing_field("If-Match", message, type="header")]


async def resolve_group(
    connection: AsyncConnection, context: VpcContext, caller: Caller, id: str, patch: InstancePatch
) -> tuple[str | None, list[Problem]]:
    """The id of the placement group that the patch names. Locks it: call it before locking the instance."""
    if "placement_target" not in patch.model_fields_set:
        return None, []
    resolver = Resolver(connection, context, caller)
    row = await resolver.placement_group(patch.placement_target, member=id)
    return None if row is None else row._mapping["id"], resolver.problems


def changed_columns(
    record: InstanceRecord, patch: InstancePatch, placement_group_id: str | None
) -> tuple[dict[str, Any], list[Problem]]:
    """Values of those columns of `instances` that differ afterwards, and what is wrong.

    `placement_group_id`: what `placement_target` resolved to, if the patch has it.
    """
    given = patch.model_fields_set
    profile, problems = _profile(record, patch)
    options, found = decide(moved(record.options, record.profile, profile), patch, profile)
    problems += found
    settings = record.metadata_service
    if "metadata_service" in given:
        settings = metadata_service.patched(settings, patch.metadata_service)
    problems += metadata_service_problems(settings, profile)
    allowed_use = record.volumes[0].volume.allowed_use
    problems += allowed_use_problems(allowed_use, settings, options, profile)
    after: dict[str, Any] = {
        "profile": profile.name,
        "options": options.to_json(),
        **metadata_service.to_columns(settings),
    }
    if "name" in given:
        after["name"] = patch.name
    if "placement_target" in given:
        after["placement_group_id"] = placement_group_id
    return {name: value for name, value in after.items() if value != record.row[name]}, problems


def _profile(record: InstanceRecord, patch: InstancePatch) -> tuple[Profile, list[Problem]]:
    if "profile" not in patch.model_fields_set:
        return record.profile, []
    profile, problems = resolve_profile(patch.profile)
    if profile is None:
        return record.profile, problems
    if profile.architecture != record.profile.architecture:
        message = (
            f"The instance is of architecture {record.profile.architecture}: choose such a profile."
        )
        problems.append(bad_field("profile.name", message, profile.name))
    if len(record.interfaces) > profile.max_interfaces:
        message = (
            f"Profile {profile.name} has at most {profile.max_interfaces} interfaces and the "
            f"instance has {len(record.interfaces)}."
        )
        problems.append(bad_field("profile.name", message, profile.name))
    return profile, problems
