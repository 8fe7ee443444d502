"""What IBM's VPC API has and linklocal deliberately lacks: a table, and the 501 that it answers.

Each row says what is absent, where, and what to use instead; the page of differences is made from it.
None of it is in the OpenAPI document, and a row never hides an operation that is: its route is the last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from starlette.requests import Request
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from linklocal.errors import Target, Unsupported
from linklocal.iam.caller import current_caller


@dataclass(frozen=True, slots=True)
class Absent:
    """`instead` completes the message. `places` are paths after `/v1/`, with `*` for one segment, `/**`
    for the path and all below it, and methods before the path where only they are absent."""

    what: str
    instead: str
    places: tuple[str, ...]

    def pattern(self) -> re.Pattern[str]:
        """Matches `METHOD /v1/path`."""
        return re.compile("|".join(_expression(place) for place in self.places))


def _expression(place: str) -> str:
    methods, _, path = place.rpartition(" ")
    below = path.endswith("/**")
    segments = path.removesuffix("/**").split("/")
    middle = "/".join("[^/]+" if part == "*" else re.escape(part) for part in segments)
    return f"(?:{methods.replace(',', '|') or '[A-Z]+'}) /v1/{middle}{'(?:/.*)?' if below else ''}"


_NO_PACKETS = "linklocal moves no packets"
_NO_DATA = "volumes and images are records without data"
_SERVER = "bare_metal_servers/*"

ABSENT: Final = (
    Absent(
        "backup policies",
        f"{_NO_DATA}, so back up the server's database",
        ("backup_policies/**",),
    ),
    Absent(
        "capacities of bare metal servers",
        "as many can be made as nodes serve",
        ("bare_metal_server/capacities",),
    ),
    Absent(
        "changes of a bare metal server's disks, firmware, attachments and interfaces",
        "delete the server and make another with what it should have",
        (
            f"PATCH {_SERVER}/disks/*",
            f"POST {_SERVER}/firmware/update",
            f"POST {_SERVER}/network_attachments",
            f"PATCH,DELETE {_SERVER}/network_attachments/*",
            f"POST {_SERVER}/network_interfaces",
            f"PATCH,DELETE {_SERVER}/network_interfaces/*",
            f"{_SERVER}/network_interfaces/*/floating_ips/**",
            f"{_SERVER}/network_interfaces/*/ips/**",
        ),
    ),
    Absent(
        "cluster networks",
        f"{_NO_PACKETS}, so attach instances with `network_attachments`",
        (
            "cluster_network/profiles/**",
            "cluster_networks/**",
            "POST instances/*/cluster_network_attachments",
            "PATCH,DELETE instances/*/cluster_network_attachments/*",
        ),
    ),
    Absent(
        "dedicated hosts",
        "`linklocal node place` decides which node serves an instance",
        ("dedicated_host/groups/**", "dedicated_host/profiles/**", "dedicated_hosts/**"),
    ),
    Absent(
        "endpoint gateways and private path service gateways",
        f"{_NO_PACKETS}, so name services by their own addresses",
        ("endpoint_gateways/**", "private_path_service_gateways/**"),
    ),
    Absent(
        "flow log collectors",
        f"{_NO_PACKETS}; `linklocal audit query` shows the calls of instances",
        ("flow_log_collectors/**",),
    ),
    Absent(
        "export jobs of images",
        f"{_NO_DATA}, so keep the file that the image was made from",
        ("images/*/export_jobs/**",),
    ),
    Absent(
        "bare metal server profiles of an image",
        "GET /v1/bare_metal_server/profiles lists all of them",
        ("images/*/bare_metal_server_profiles",),
    ),
    Absent(
        "instance groups",
        "make instances from a template: POST /v1/instances with `source_template`",
        ("instance_groups/**",),
    ),
    Absent(
        "changes of instance disks",
        "instances have volumes: PATCH /v1/volumes/{id}",
        ("PATCH instances/*/disks/*",),
    ),
    Absent(
        "changes of software attachments, and software attachments of volumes",
        "instances show theirs: GET /v1/instances/{id}/software_attachments",
        (
            "PATCH instances/*/software_attachments/*",
            "volumes/*/software_attachments/**",
        ),
    ),
    Absent(
        "load balancers",
        f"{_NO_PACKETS}, so run one of your own",
        ("load_balancer/profiles/**", "load_balancers/**"),
    ),
    Absent(
        "network ACLs besides the default of each VPC",
        "GET /v1/vpcs/{id}/default_network_acl shows that one; nothing enforces it",
        ("network_acls/**", "subnets/*/network_acl"),
    ),
    Absent(
        "public address ranges and public gateways",
        f"{_NO_PACKETS}; floating IPs are there: /v1/floating_ips",
        ("public_address_ranges/**", "public_gateways/**", "subnets/*/public_gateway"),
    ),
    Absent(
        "reservations",
        "leave out `reservation_affinity`: capacity is what your nodes have",
        ("reservations/**",),
    ),
    Absent(
        "file shares",
        "mount those of another server",
        ("share/profiles/**", "shares/**"),
    ),
    Absent(
        "snapshots",
        f"{_NO_DATA}: POST /v1/volumes makes another one",
        ("snapshot_consistency_groups/**", "snapshots/**"),
    ),
    Absent(
        "instance profiles and jobs of volumes",
        "GET /v1/images/{id}/instance_profiles shows those of its image; changes are made at once",
        ("volumes/*/instance_profiles", "volumes/*/jobs/**"),
    ),
    Absent(
        "DNS resolution bindings of VPCs",
        "every VPC has the system's resolver",
        ("vpcs/*/dns_resolution_bindings/**",),
    ),
    Absent(
        "routes, and routing tables besides the default of each VPC",
        "GET /v1/vpcs/{id}/default_routing_table shows that one",
        ("subnets/*/routing_table", "vpcs/*/routes/**", "vpcs/*/routing_tables/**"),
    ),
    Absent(
        "VPN gateways and VPN servers",
        f"{_NO_PACKETS}, so run one of your own",
        ("ike_policies/**", "ipsec_policies/**", "vpn_gateways/**", "vpn_servers/**"),
    ),
)


class AbsentRoute(BaseRoute):
    """One route for the whole table. It must be the last of the app's, so that real ones come first."""

    name = "absent"

    def __init__(self) -> None:
        self._patterns = [(row, row.pattern()) for row in ABSENT]

    def find(self, method: str, path: str) -> Absent | None:
        """The row that a request falls under."""
        asked = f"{method} {path}"
        return next((row for row, pattern in self._patterns if pattern.fullmatch(asked)), None)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and (row := self.find(scope["method"], scope["path"])):
            return Match.FULL, {"absent": row, "route": self}
        return Match.NONE, {}

    def url_path_for(self, name: str, /, **path_params: object) -> NoReturn:
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises NotAuthenticated, and Unsupported for everybody else."""
        row: Absent = scope["absent"]
        await current_caller(Request(scope, receive), None)
        message = f"linklocal has no {row.what}: {row.instead}."
        raise Unsupported(message, Target("path", "parameter", scope["path"][:200]))
