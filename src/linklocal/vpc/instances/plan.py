"""Planning an instance: what a create body asks for, resolved, locked and checked. Writes nothing.

Used when an instance is created and, for the same answers, when a template is. Every independent problem
of the body is collected. A plan holds until the transaction ends: what it refers to is locked, its
addresses are free because their subnet's lock is held. Contract 2.2-2.5.

Order of locks: trusted profile, placement group, image, keys, then the network's and the volumes'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.document import MetadataService
from linklocal.errors import Problem, bad_field, missing_field
from linklocal.iam.caller import Caller
from linklocal.vpc import metadata_service
from linklocal.vpc.context import VpcContext
from linklocal.vpc.images.allowed_use import allowed_use_problems
from linklocal.vpc.instances.model import InstancePrototype
from linklocal.vpc.instances.options import Options, decide
from linklocal.vpc.instances.resolving import Resolver
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.naming import name_problems
from linklocal.vpc.network.interfaces import InterfacesPlan, plan_interfaces
from linklocal.vpc.network.tables import vpcs
from linklocal.vpc.profiles.catalog import Profile, resolve_profile
from linklocal.vpc.references import resolve
from linklocal.vpc.regions.views import resolve_zone
from linklocal.vpc.resource_groups import resolve_resource_group
from linklocal.vpc.rows import own
from linklocal.vpc.volumes.attach import VolumesPlan, plan_volumes

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class InstancePlan:
    """An instance that can be written. `name` None: a generated one.

    `default_trusted_profile` is as initialization shows it.
    """

    name: str | None
    zone: str
    profile: Profile
    options: Options
    resource_group_id: str
    vpc_id: str
    image_id: str | None
    placement_group_id: str | None
    keys: Sequence[Row[Any]]
    user_data: str | None
    metadata_service: MetadataService
    default_trusted_profile: dict[str, Any] | None
    interfaces: InterfacesPlan
    volumes: VolumesPlan


async def plan_instance(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    prototype: InstancePrototype,
) -> tuple[InstancePlan | None, list[Problem]]:
    """The plan, or None and what is wrong, with targets of contract 1.4.

    `source_template` must have been merged into the prototype before. Run this in a `transaction()`,
    never in a `read()`. Rights are not looked at: see `rights_to_create`.
    """
    planner = _Planner(connection, context, caller, prototype)
    plan = await planner.plan()
    return plan, planner.problems


def rights_to_create(prototype: InstancePrototype) -> list[str]:
    """The actions that a caller must be allowed for this body (contract 7.2)."""
    actions = [
        "is.instance.instance.create",
        "is.vpc.vpc.operate",
        "is.subnet.subnet.operate",
        "is.security-group.security-group.operate",
        "is.volume.volume.create",
    ]
    conditional = {
        "is.image.image.operate": prototype.image,
        "is.key.key.operate": prototype.keys,
        "is.placement-group.placement-group.operate": prototype.placement_target,
        "iam-identity.profile.linkToResource": prototype.default_trusted_profile,
    }
    return actions + [action for action, named in conditional.items() if named]


def metadata_service_problems(settings: MetadataService, profile: Profile) -> list[Problem]:
    """The service is for amd64 only (contract 2.2, last row)."""
    if not settings.enabled or profile.supports_metadata_service:
        return []
    message = (
        f"The metadata service is not offered on {profile.architecture} (profile {profile.name}): "
        "leave `metadata_service.enabled` false, or choose an amd64 profile."
    )
    return [bad_field("metadata_service.enabled", message, "true")]


class _Planner:
    """Plans one body; `problems` grows with every question asked."""

    def __init__(
        self,
        connection: AsyncConnection,
        context: VpcContext,
        caller: Caller,
        prototype: InstancePrototype,
    ) -> None:
        self._connection = connection
        self._context = context
        self._caller = caller
        self._body = prototype
        self.problems: list[Problem] = []

    async def plan(self) -> InstancePlan | None:
        body = self._body
        self._check_variant()
        await self._check_name()
        zone = self._zone()
        profile = self._noted(resolve_profile(body.profile))
        group_id = self._noted(
            await resolve_resource_group(self._connection, self._caller, body.resource_group)
        )
        resolver = Resolver(self._connection, self._context, self._caller)
        trusted_profile = await resolver.trusted_profile(body.default_trusted_profile)
        placement_group = await resolver.placement_group(body.placement_target)
        image = await resolver.image(body.image, profile)
        keys = await resolver.keys(body.keys, image)
        self.problems += resolver.problems
        interfaces = await self._interfaces(zone, profile)
        volumes = self._noted(
            await plan_volumes(
                self._connection,
                self._context,
                self._caller,
                zone=zone,
                image_row=image,
                boot_attachment=body.boot_volume_attachment,
                volume_attachments=body.volume_attachments,
            )
        )
        if profile is None:
            return None
        options = self._noted(decide(Options.of_profile(profile), body, profile))
        settings = metadata_service.created(body.metadata_service)
        self.problems += metadata_service_problems(settings, profile)
        if volumes is not None:
            self.problems += allowed_use_problems(volumes.allowed_use, settings, options, profile)
        if self.problems or zone is None or interfaces is None or volumes is None:
            return None
        return InstancePlan(
            name=body.name,
            zone=zone,
            profile=profile,
            options=options,
            resource_group_id=group_id,
            vpc_id=interfaces.vpc_id,
            image_id=volumes.source_image_id,
            placement_group_id=None if placement_group is None else placement_group._mapping["id"],
            keys=keys,
            user_data=body.user_data,
            metadata_service=settings,
            default_trusted_profile=trusted_profile,
            interfaces=interfaces,
            volumes=volumes,
        )

    def _noted(self, answer: tuple[_T, list[Problem]]) -> _T:
        """The first part of an answer; the problems are kept."""
        found, problems = answer
        self.problems += problems
        return found

    async def _check_name(self) -> None:
        scope = own(self._context, self._caller, instances)
        self.problems += await name_problems(
            self._connection, scope, instances, "instance", self._body.name
        )

    def _check_variant(self) -> None:
        """What the body starts from, and that it says so once (contract 2.4, variants)."""
        body = self._body
        boot = body.boot_volume_attachment
        volume = None if boot is None else boot.volume
        from_volume = volume is not None and volume.identity() is not None
        from_snapshot = volume is not None and volume.source_snapshot is not None
        if body.catalog_offering is not None:
            message = "There is no catalog here: leave `catalog_offering` out and name an `image`."
            self.problems.append(bad_field("catalog_offering", message))
        elif body.image is None and not from_volume and not from_snapshot:
            message = (
                "Say what the instance starts from: `image`, `source_template`, or an existing "
                "volume in `boot_volume_attachment.volume`."
            )
            self.problems.append(missing_field("image", message))
        elif body.image is not None and (from_volume or from_snapshot):
            what = "an existing volume" if from_volume else "a snapshot"
            message = f"The body starts from an image and from {what}: leave one of them out."
            self.problems.append(bad_field("image", message))
        if body.cluster_network_attachments:
            message = "There are no cluster networks here: leave `cluster_network_attachments` out."
            self.problems.append(bad_field("cluster_network_attachments", message))

    def _zone(self) -> str | None:
        if self._body.zone is None:
            message = "Name the zone: `zone.name`, that of the subnet."
            self.problems.append(missing_field("zone", message))
            return None
        return self._noted(resolve_zone(self._context.region, self._body.zone))

    async def _interfaces(self, zone: str | None, profile: Profile | None) -> InterfacesPlan | None:
        """The interfaces' plan; as many as the profile can have, in the VPC that the body names."""
        body = self._body
        vpc_id = None
        if body.vpc is not None:
            scope = own(self._context, self._caller, vpcs)
            row = self._noted(
                await resolve(self._connection, vpcs, body.vpc, "vpc", scope=scope, lock=True)
            )
            vpc_id = None if row is None else row._mapping["id"]
        plan = self._noted(
            await plan_interfaces(
                self._connection,
                self._context,
                self._caller,
                zone=zone,
                primary_interface=body.primary_network_interface,
                interfaces=body.network_interfaces,
                primary_attachment=body.primary_network_attachment,
                attachments=body.network_attachments,
            )
        )
        if plan is None:
            return None
        if vpc_id is not None and vpc_id != plan.vpc_id:
            message = "The subnets belong to another VPC: leave `vpc` out, or choose subnets of it."
            self.problems.append(bad_field("vpc", message, vpc_id))
        if profile is not None and len(plan.interfaces) > profile.max_interfaces:
            message = f"Profile {profile.name} has at most {profile.max_interfaces} interfaces."
            self.problems.append(bad_field(f"network_{plan.kind}s", message, len(plan.interfaces)))
        return plan
