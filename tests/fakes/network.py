"""A client of all routes of networks and volumes, over a furnished region."""

from __future__ import annotations

from typing import Any

import httpx
from fakes.region import ADMINISTRATOR, Region
from fakes.vpc_api import client_of

from linklocal.iam.caller import Caller
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
from linklocal.vpc.network.virtual_network_interfaces.routes import (
    virtual_network_interface_routes,
)
from linklocal.vpc.network.virtual_network_interfaces.service import (
    VirtualNetworkInterfaceService,
)
from linklocal.vpc.network.vpcs.prefixes import AddressPrefixService
from linklocal.vpc.network.vpcs.routes import vpc_routes
from linklocal.vpc.network.vpcs.service import VpcService
from linklocal.vpc.volumes.instance_attachments.routes import volume_attachment_routes
from linklocal.vpc.volumes.instance_attachments.service import VolumeAttachmentService
from linklocal.vpc.volumes.routes import volume_routes
from linklocal.vpc.volumes.service import VolumeService


def network_client(region: Region, caller: Caller = ADMINISTRATOR) -> httpx.AsyncClient:
    """A client in the same process, logged in as `caller`."""
    context = region.context
    return client_of(
        vpc_routes(VpcService(context), AddressPrefixService(context)),
        subnet_routes(SubnetService(context)),
        reserved_ip_routes(ReservedIpService(context)),
        security_group_routes(SecurityGroupService(context)),
        virtual_network_interface_routes(VirtualNetworkInterfaceService(context)),
        floating_ip_routes(FloatingIpService(context)),
        instance_interface_routes(
            InstanceInterfaceService(context), NetworkAttachmentService(context)
        ),
        volume_routes(VolumeService(context)),
        volume_attachment_routes(VolumeAttachmentService(context)),
        caller=caller,
    )


async def made(
    client: httpx.AsyncClient, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What a POST that must succeed has made."""
    answer = await client.post(path, json=body or {})
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def read(client: httpx.AsyncClient, path: str, **params: str) -> dict[str, Any]:
    """What a GET that must succeed answers."""
    answer = await client.get(path, params={**client.params, **params})
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view
