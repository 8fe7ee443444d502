"""The VPC API put together: its services, and the routers over them."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from linklocal.settings import Region
from linklocal.vpc.bare_metal_servers.routes import bare_metal_server_routes
from linklocal.vpc.bare_metal_servers.service import BareMetalServerService
from linklocal.vpc.context import VpcContext
from linklocal.vpc.images.routes import image_routes
from linklocal.vpc.images.service import ImageService
from linklocal.vpc.instances.routes import instance_routes
from linklocal.vpc.instances.service import InstanceService
from linklocal.vpc.keys.routes import key_routes
from linklocal.vpc.keys.service import KeyService
from linklocal.vpc.network.floating_ips.routes import floating_ip_routes
from linklocal.vpc.network.floating_ips.service import FloatingIpService
from linklocal.vpc.network.instance_interfaces.attachments import NetworkAttachmentService
from linklocal.vpc.network.instance_interfaces.routes import instance_interface_routes
from linklocal.vpc.network.instance_interfaces.service import InstanceInterfaceService
from linklocal.vpc.network.reserved_ips.routes import reserved_ip_routes
from linklocal.vpc.network.reserved_ips.service import ReservedIpService
from linklocal.vpc.network.security_groups.routes import security_group_routes
from linklocal.vpc.network.security_groups.service import SecurityGroupService
from linklocal.vpc.network.subnets.routes import subnet_routes
from linklocal.vpc.network.subnets.service import SubnetService
from linklocal.vpc.network.virtual_network_interfaces.routes import virtual_network_interface_routes
from linklocal.vpc.network.virtual_network_interfaces.service import VirtualNetworkInterfaceService
from linklocal.vpc.network.vpcs.prefixes import AddressPrefixService
from linklocal.vpc.network.vpcs.routes import vpc_routes as virtual_private_cloud_routes
from linklocal.vpc.network.vpcs.service import VpcService
from linklocal.vpc.placement_groups.routes import placement_group_routes
from linklocal.vpc.placement_groups.service import PlacementGroupService
from linklocal.vpc.profiles.routes import profile_routes
from linklocal.vpc.regions.routes import region_routes
from linklocal.vpc.templates.routes import template_routes
from linklocal.vpc.templates.service import TemplateService
from linklocal.vpc.volumes.instance_attachments.routes import volume_attachment_routes
from linklocal.vpc.volumes.instance_attachments.service import VolumeAttachmentService
from linklocal.vpc.volumes.routes import volume_routes
from linklocal.vpc.volumes.service import VolumeService


@dataclass(frozen=True, slots=True)
class Vpc:
    """The services of the VPC API, for its routes, the console and the seed."""

    instances: InstanceService
    bare_metal_servers: BareMetalServerService
    templates: TemplateService
    keys: KeyService
    images: ImageService
    placement_groups: PlacementGroupService
    vpcs: VpcService
    address_prefixes: AddressPrefixService
    subnets: SubnetService
    security_groups: SecurityGroupService
    reserved_ips: ReservedIpService
    floating_ips: FloatingIpService
    virtual_network_interfaces: VirtualNetworkInterfaceService
    instance_interfaces: InstanceInterfaceService
    network_attachments: NetworkAttachmentService
    volumes: VolumeService
    volume_attachments: VolumeAttachmentService


def build_vpc(context: VpcContext, *, auto_place: bool) -> Vpc:
    """`auto_place`: new instances are placed by themselves, as `dev` wants it."""
    return Vpc(
        instances=InstanceService(context, auto_place=auto_place),
        bare_metal_servers=BareMetalServerService(context, auto_place=auto_place),
        templates=TemplateService(context),
        keys=KeyService(context),
        images=ImageService(context),
        placement_groups=PlacementGroupService(context),
        vpcs=VpcService(context),
        address_prefixes=AddressPrefixService(context),
        subnets=SubnetService(context),
        security_groups=SecurityGroupService(context),
        reserved_ips=ReservedIpService(context),
        floating_ips=FloatingIpService(context),
        virtual_network_interfaces=VirtualNetworkInterfaceService(context),
        instance_interfaces=InstanceInterfaceService(context),
        network_attachments=NetworkAttachmentService(context),
        volumes=VolumeService(context),
        volume_attachments=VolumeAttachmentService(context),
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
        reserved_ip_routes(vpc.reserved_ips),
        floating_ip_routes(vpc.floating_ips),
        virtual_network_interface_routes(vpc.virtual_network_interfaces),
        volume_routes(vpc.volumes),
        template_routes(vpc.templates),
        instance_routes(vpc.instances),
        instance_interface_routes(vpc.instance_interfaces, vpc.network_attachments),
        volume_attachment_routes(vpc.volume_attachments),
        bare_metal_server_routes(vpc.bare_metal_servers, region),
    ]
