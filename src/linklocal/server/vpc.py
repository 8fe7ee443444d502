"""The VPC API put together: its services, and the routers over them."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from linklocal.settings import Region
from linklocal.vpc.context import VpcContext
from linklocal.vpc.images.routes import image_routes
from linklocal.vpc.images.service import ImageService
from linklocal.vpc.instances.routes import instance_routes
from linklocal.vpc.instances.service import InstanceService
from linklocal.vpc.keys.routes import key_routes
from linklocal.vpc.keys.service import KeyService
from linklocal.vpc.network.security_groups.routes import security_group_routes
from linklocal.vpc.network.security_groups.service import SecurityGroupService
from linklocal.vpc.network.subnets.routes import subnet_routes
from linklocal.vpc.network.subnets.service import SubnetService
from linklocal.vpc.network.vpcs.prefixes import AddressPrefixService
from linklocal.vpc.network.vpcs.routes import vpc_routes as virtual_private_cloud_routes
from linklocal.vpc.network.vpcs.service import VpcService
from linklocal.vpc.placement_groups.routes import placement_group_routes
from linklocal.vpc.placement_groups.service import PlacementGroupService
from linklocal.vpc.profiles.routes import profile_routes
from linklocal.vpc.regions.routes import region_routes
from linklocal.vpc.templates.routes import template_routes
from linklocal.vpc.templates.service import TemplateService


@dataclass(frozen=True, slots=True)
class Vpc:
    """The services of the VPC API, for its routes, the console and the seed."""

    instances: InstanceService
    templates: TemplateService
    keys: KeyService
    images: ImageService
    placement_groups: PlacementGroupService
    vpcs: VpcService
    address_prefixes: AddressPrefixService
    subnets: SubnetService
    security_groups: SecurityGroupService


def build_vpc(context: VpcContext, *, auto_place: bool) -> Vpc:
    """`auto_place`: new instances are placed by themselves, as `dev` wants it."""
    return Vpc(
        instances=InstanceService(context, auto_place=auto_place),
        templates=TemplateService(context),
        keys=KeyService(context),
        images=ImageService(context),
        placement_groups=PlacementGroupService(context),
        vpcs=VpcService(context),
        address_prefixes=AddressPrefixService(context),
        subnets=SubnetService(context),
        security_groups=SecurityGroupService(context),
    )


def vpc_routes(vpc: Vpc, region: Region) -> list[APIRouter]:
    """The routers of the VPC API."""
    return [
        region_routes(region),
        profile_routes(region),
        image_routes(vpc.images),
        key_routes(vpc.keys),
        placement_group_routes(vpc.placement_groups),
        virtual_private_cloud_routes(vpc.vpcs, vpc.address_prefixes),
        subnet_routes(vpc.subnets),
        security_group_routes(vpc.security_groups),
        template_routes(vpc.templates),
        instance_routes(vpc.instances),
    ]
