"""Options that several instance and template commands share, and the bodies they make.

An option that was not given is never sent: the API's defaults and a template's values must hold.
Control-plane contract 5.2 (groups **MS** and **TP**).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from linklocal.cli.is_.command import BOOLEAN, truth
from linklocal.errors import OperatorError

F = TypeVar("F", bound=Callable[..., Any])

REACHES = {"instance": 1, "containers": 2}


def _stack(*options: Callable[[F], F]) -> Callable[[F], F]:
    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


metadata_options = _stack(
    click.option(
        "--metadata-service", "--ms", type=BOOLEAN,
        help="Whether the instance can reach its metadata service. (default: false)",
    ),
    click.option(
        "--metadata-service-protocol", "--msp", type=click.Choice(["http", "https"]),
        help="The communication protocol to use for the metadata service endpoint. Applies only when the "
        'metadata service is enabled. One of: http, https. (default: "http")',
    ),
    click.option(
        "--metadata-service-response-hop-limit", "--msrhl", type=int, metavar="1-64",
        help="The hop limit (IP time to live) for IP response packets from the metadata "
        "service. (default: 1)",
    ),
    click.option(
        "--metadata-service-reach", type=click.Choice(list(REACHES)),
        help="The hop limit in words: `instance` is 1, `containers` is 2.",
    ),
)  # fmt: skip

profile_options = _stack(
    click.option(
        "--default-trusted-profile", metavar="ID|NAME|CRN",
        help="The trusted profile that the instance uses when it names none.",
    ),
    click.option(
        "--default-trusted-profile-auto-link", type=BOOLEAN,
        help="Link the profile to the instance when it is created. (default: true)",
    ),
)  # fmt: skip

machine_options = _stack(
    click.option("--image", "--image-id", metavar="ID|NAME", help="Image to boot from."),
    click.option("--keys", "--key-ids", "--key", metavar="K1,K2", help="SSH keys, by id or name."),
    click.option("--user-data", metavar="TEXT|@FILE", help="Passed to the instance as it is."),
    click.option("--sgs", metavar="S1,S2", help="Security groups of the primary interface."),
    click.option("--rip", metavar="ID|NAME", help="Reserved ip of the primary interface."),
    click.option("--address", metavar="IPV4", help="Address of the primary interface."),
    click.option("--ip-name", metavar="NAME", help="Name of its reserved ip."),
    click.option("--auto-delete", type=BOOLEAN, help="Whether the reserved ip goes with it."),
    click.option("--allow-ip-spoofing", type=BOOLEAN, help="Of the primary interface."),
    click.option("--primary-network-interface", metavar="JSON|@FILE", help="In place of SUBNET."),
    click.option("--network-interface", metavar="JSON|@FILE", help="Further network interfaces."),
    click.option("--pnac-name", metavar="NAME", help="Name of the primary network attachment."),
    click.option("--pnac-vni", metavar="ID|NAME", help="Existing interface for the primary attachment."),
    click.option("--pnac-vni-subnet", metavar="ID|NAME", help="Subnet of a new one."),
    click.option("--pnac-vni-name", metavar="NAME", help="Name of a new one."),
    click.option("--network-attachments", metavar="JSON|@FILE", help="Further network attachments."),
    click.option("--boot-volume", metavar="JSON|@FILE", help="Boot volume attachment."),
    click.option("--volume-attach", metavar="JSON|@FILE", help="Data volume attachments."),
    click.option("--total-volume-bandwidth", type=int, help="Mbps."),
    click.option("--placement-group", metavar="ID|NAME", help="Placement group."),
    click.option("--reservation-affinity-policy", "--res-policy",
                 type=click.Choice(["automatic", "disabled"]), help="Reservation affinity."),
    click.option("--host-failure-policy", type=click.Choice(["restart", "stop"]),
                 help="What happens when the host fails. (default: restart)"),
    click.option("--preemption-policy", type=click.Choice(["delete", "stop"]),
                 help="What happens when its place is needed."),
    click.option("--availability-class", type=click.Choice(["spot", "standard"]),
                 help="(default: standard)"),
    click.option("--confidential-compute-mode",
                 help="Mode of the profile. (default: disabled)"),
    click.option("--enable-secure-boot", type=BOOLEAN,
                 help="(default: false)"),
    click.option("--volume-bandwidth-qos-mode", type=click.Choice(["pooled", "weighted"]),
                 help="How volumes share bandwidth."),
    click.option("--vcpu-percentage", type=int,
                 help="Share of the vCPUs."),
    click.option("--threads-per-core", type=int,
                 help="As the profile allows."),
    click.option("--resource-group-id", metavar="ID",
                 help="Resource group."),
    click.option("--resource-group-name", metavar="NAME",
                 help="Resource group."),
)  # fmt: skip

TEMPLATE_PLACE = _stack(
    click.option(
        "--name", metavar="NAME", help="Name of what is made. (default: four random words)"
    ),
    click.option("--profile", metavar="NAME", help="In place of the template's."),
    click.option("--zone", metavar="NAME", help="In place of the template's."),
    click.option("--vpc", metavar="ID|NAME", help="In place of the template's."),
    click.option("--subnet", metavar="ID|NAME", help="In place of the template's."),
)


def metadata_service(options: dict[str, Any]) -> dict[str, Any]:
    """`metadata_service` with just the members that options named; takes them out of `options`.

    Raises OperatorError when the hop limit is given twice.
    """
    limit = options.pop("metadata_service_response_hop_limit")
    reach = options.pop("metadata_service_reach")
    if limit is not None and reach is not None:
        raise OperatorError(
            "--metadata-service-reach and --metadata-service-response-hop-limit set the same thing.",
            "Give one of the two.",
        )
    members = {
        "enabled": truth(options.pop("metadata_service")),
        "protocol": options.pop("metadata_service_protocol"),
        "response_hop_limit": REACHES[reach] if reach is not None else limit,
    }
    return {name: value for name, value in members.items() if value is not None}


def text(value: str) -> str:
    """`TEXT` or the content of `@FILE`. Raises OperatorError when the file cannot be read."""
    if not value.startswith("@"):
        return value
    path = Path(value[1:]).expanduser()
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(
            f"{path} cannot be read: {error}.", "Name a text file after @."
        ) from error


def json_option(value: str, option: str) -> Any:
    """The JSON of an option or of its `@FILE`. Raises OperatorError when it is none."""
    try:
        return json.loads(text(value))
    except ValueError as error:
        raise OperatorError(
            f"--{option} is not JSON: {error}.",
            f"Put JSON in quotes, or in a file: --{option} @file.json",
        ) from error
