"""What the console is made over: the services of the API, and where events and nodes are read."""

from __future__ import annotations

from dataclasses import dataclass

from linklocal.fleet.events import EventStore
from linklocal.iam.build import Iam
from linklocal.vpc.context import VpcContext
from linklocal.vpc.images.service import ImageService
from linklocal.vpc.instances.service import InstanceService
from linklocal.vpc.keys.service import KeyService
from linklocal.vpc.network.floating_ips.service import FloatingIpService
from linklocal.vpc.network.security_groups.service import SecurityGroupService
from linklocal.vpc.network.subnets.service import SubnetService
from linklocal.vpc.network.vpcs.service import VpcService
from linklocal.vpc.placement_groups.service import PlacementGroupService
from linklocal.vpc.report.service import ReportService
from linklocal.vpc.templates.service import TemplateService


@dataclass(frozen=True, slots=True)
class Services:
    """The same objects that the API's routes have."""

    context: VpcContext
    iam: Iam
    events: EventStore
    instances: InstanceService
    templates: TemplateService
    keys: KeyService
    images: ImageService
    placement_groups: PlacementGroupService
    vpcs: VpcService
    subnets: SubnetService
    security_groups: SecurityGroupService
    floating_ips: FloatingIpService
    report: ReportService
