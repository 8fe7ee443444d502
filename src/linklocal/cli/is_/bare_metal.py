"""`linklocal is bare-metal-server*`: bare metal servers and their profiles, as instances have them.

A server's metadata service has no hop limit, so the options are fewer.
"""

from __future__ import annotations

from typing import Any

import click

from linklocal.cli.completion import server_names
from linklocal.cli.is_.body import reinitialize_body
from linklocal.cli.is_.command import BOOLEAN, Is, is_command, truth
from linklocal.cli.is_.creating import group_options
from linklocal.cli.is_.instance import confirm, force_option
from linklocal.cli.is_.names import find, pages, resource_group
from linklocal.cli.is_.options import profile_options
from linklocal.cli.is_.resources import (
    ID_NAME,
    RG,
    Kind,
    columns,
    delete_command,
    list_command,
    show_command,
)
from linklocal.cli.output import SubTable


def _metadata_table(server: dict[str, Any]) -> SubTable:
    service = server["metadata_service"]
    return SubTable(("Enabled", "Protocol"), [(service["enabled"], service["protocol"])])


def _pair(name: str) -> Any:
    def read(server: dict[str, Any]) -> SubTable:
        return SubTable(("ID", "Name"), [(server[name]["id"], server[name]["name"])])

    return read


SERVER = Kind(
    "bare-metal-server", "bare-metal-servers",
    columns(**ID_NAME, Status="status", Reserved_IP="primary_network_interface.primary_ip.address",
            Profile="profile.name", VPC="vpc.name", Zone="zone.name", **RG),
    "bare_metal_servers", "bare metal server", "bare_metal_server", filters={"vpc": "vpc_id"},
    names=server_names,
    details=[
        *columns(**ID_NAME, CRN="crn", Status="status", Profile="profile.name",
                 Architecture="cpu.architecture", Cores="cpu.core_count",
                 **{"Memory(GiB)": "memory", "Bandwidth(Mbps)": "bandwidth"},
                 Secure_boot="enable_secure_boot", TPM_mode="trusted_platform_module.mode",
                 Lifecycle_State="lifecycle_state"),
        ("Metadata service", _metadata_table), ("VPC", _pair("vpc")),
        *columns(Zone="zone.name", Reserved_IP="primary_network_interface.primary_ip.address",
                 Created="created_at", **RG),
    ],
)  # fmt: skip
PROFILE = Kind(
    "bare-metal-server-profile", "bare-metal-server-profiles",
    columns(Name="name", Family="family", Architecture="cpu_architecture.value",
            Cores="cpu_core_count.value",
            **{"Memory(GiB)": "memory.value", "Bandwidth(Mbps)": "bandwidth.default"}),
    "profiles", "bare metal server profile", "bare_metal_server_profile", grouped=False,
)  # fmt: skip


def metadata_options(function: Any) -> Any:
    """The service's two settings."""
    for option in (
        click.option(
            "--metadata-service-protocol", "--msp", type=click.Choice(["http", "https"]),
            help='How the metadata service is called. (default: "http")',
        ),
        click.option(
            "--metadata-service", "--ms", type=BOOLEAN,
            help="Whether the server can reach its metadata service. (default: false)",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def initialization_options(function: Any) -> Any:
    """What a server starts from."""
    for option in (
        click.option("--user-data", metavar="TEXT|@FILE", help="Passed to the server as it is."),
        click.option("--keys", metavar="K1,K2", help="SSH keys, by id or name."),
        click.option("--image", required=True, metavar="ID|NAME", help="Image to boot from."),
    ):
        function = option(function)
    return profile_options(function)


def _given(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _service(options: dict[str, Any]) -> dict[str, Any]:
    """`{metadata_service}` with just the members that options named; {} when none was."""
    members = _given(
        enabled=truth(options.pop("metadata_service")),
        protocol=options.pop("metadata_service_protocol"),
    )
    return {"metadata_service": members} if members else {}


@click.command("bare-metal-server-create")
@click.option("--name", metavar="NAME", help="(default: four random words)")
@click.option("--zone", required=True, metavar="NAME", help="Its zone, that of the subnet.")
@click.option("--profile", required=True, metavar="NAME", help="See bare-metal-server-profiles.")
@click.option("--pnac-vni-subnet", required=True, metavar="ID|NAME", help="Subnet that it is in.")
@click.option("--pnac-name", metavar="NAME", help="Name of the primary network attachment.")
@initialization_options
@metadata_options
@click.option("--bandwidth", type=int, help="Mbps, one of the profile's.")
@click.option("--enable-secure-boot", type=BOOLEAN, help="(default: false)")
@group_options
@is_command
def create(
    run: Is, name: str | None, zone: str, profile: str, pnac_vni_subnet: str, pnac_name: str | None,
    bandwidth: int | None, enable_secure_boot: str | None, **options: Any,
) -> None:  # fmt: skip
    """Create a bare metal server.

    \b
    Example:
      linklocal is bare-metal-server-create --name my-server --zone us-south-1 \\
        --profile bx2-metal-96x384 --image ibm-debian-11-3-minimal-amd64-4 \\
        --pnac-vni-subnet my-subnet --metadata-service true
    """
    found = find(pages(run.vpc.list_subnets, "subnets"), pnac_vni_subnet, "subnet", "subnets")
    interface = {"subnet": {"id": found["id"]}}
    group = {name: options.pop(name) for name in ("resource_group_id", "resource_group_name")}
    body = {
        "zone": {"name": zone},
        "profile": {"name": profile},
        "primary_network_attachment": _given(virtual_network_interface=interface, name=pnac_name),
        **_given(name=name, bandwidth=bandwidth, enable_secure_boot=truth(enable_secure_boot)),
        **_service(options),
        **resource_group(run, group),
        "initialization": {"keys": [], **reinitialize_body(run, options)},
    }
    run.say(f"Creating bare metal server {name or ''}".rstrip())
    run.detail(run.vpc.create_bare_metal_server(body).result, SERVER.rows)


@click.command("bare-metal-server-update")
@click.argument("server", metavar="BARE_METAL_SERVER", shell_complete=server_names)
@click.option("--name", "--new-name", metavar="NAME", help="New name.")
@metadata_options
@click.option("--bandwidth", type=int, help="Mbps, one of the profile's.")
@click.option("--enable-secure-boot", type=BOOLEAN, help="Needs a stopped server.")
@is_command
def update(
    run: Is, server: str, name: str | None, bandwidth: int | None, enable_secure_boot: str | None,
    **options: Any,
) -> None:  # fmt: skip
    """Change a bare metal server; what is not named stays.

    \b
    Example:
      linklocal is bare-metal-server-update my-server --metadata-service true
    """
    found = SERVER.find(run, server)
    patch = {
        **_given(name=name, bandwidth=bandwidth, enable_secure_boot=truth(enable_secure_boot)),
        **_service(options),
    }
    run.say(f"Updating bare metal server {server}")
    run.detail(run.vpc.update_bare_metal_server(found["id"], patch).result, SERVER.rows)


@click.command("bare-metal-server-start")
@click.argument("server", metavar="BARE_METAL_SERVER", shell_complete=server_names)
@is_command
def start(run: Is, server: str) -> None:
    """Start a stopped bare metal server.

    \b
    Example:
      linklocal is bare-metal-server-start my-server
    """
    found = SERVER.find(run, server)
    run.say(f"Starting bare metal server {server}")
    run.vpc.start_bare_metal_server(found["id"])
    run.done()


@click.command("bare-metal-server-stop")
@click.argument("server", metavar="BARE_METAL_SERVER", shell_complete=server_names)
@click.option("--type", "how", type=click.Choice(["hard", "soft"]), help="(default: soft)")
@force_option
@is_command
def stop(run: Is, server: str, how: str | None, force: bool) -> None:
    """Stop a bare metal server. Its identity tokens are no longer accepted.

    \b
    Example:
      linklocal is bare-metal-server-stop my-server -f
    """
    found = SERVER.find(run, server)
    confirm(f"Stop {found['name']}?", force)
    run.say(f"Stopping bare metal server {server}")
    run.vpc.stop_bare_metal_server(found["id"], how or "soft")
    run.done()


@click.command("bare-metal-server-restart")
@click.argument("server", metavar="BARE_METAL_SERVER", shell_complete=server_names)
@force_option
@is_command
def restart(run: Is, server: str, force: bool) -> None:
    """Restart a running bare metal server.

    \b
    Example:
      linklocal is bare-metal-server-restart my-server -f
    """
    found = SERVER.find(run, server)
    confirm(f"Restart {found['name']}?", force)
    run.say(f"Restarting bare metal server {server}")
    run.vpc.restart_bare_metal_server(found["id"])
    run.done()


def _initialization_rows(values: dict[str, Any]) -> list[tuple[str, object]]:
    keys = [(key["id"], key["name"]) for key in values["keys"]]
    profiles = []
    if (profile := values.get("default_trusted_profile")) is not None:
        target = profile["target"]
        profiles = [(target["id"], target["crn"], profile["auto_link"])]
    return [
        ("Image", _pair("image")(values)),
        ("Keys", SubTable(("ID", "Name"), keys)),
        ("Default trusted profile", SubTable(("ID", "CRN", "Auto link"), profiles)),
    ]


@click.command("bare-metal-server-initialization-values")
@click.argument("server", metavar="BARE_METAL_SERVER", shell_complete=server_names)
@is_command
def initialization(run: Is, server: str) -> None:
    """Show what a bare metal server was created with: image, keys, default trusted profile.

    \b
    Example:
      linklocal is bare-metal-server-initialization-values my-server
    """
    found = SERVER.find(run, server)
    run.say(f"Getting initialization values of bare metal server {server}")
    values = run.vpc.get_bare_metal_server_initialization(found["id"]).result
    run.detail(values, _initialization_rows)


@click.command("bare-metal-server-reinitialize")
@click.argument("server", metavar="BARE_METAL_SERVER", shell_complete=server_names)
@initialization_options
@force_option
@is_command
def reinitialize(run: Is, server: str, force: bool, **options: Any) -> None:
    """Begin anew with an image; the only way to change the default trusted profile.

    The server must be stopped.

    \b
    Example:
      linklocal is bare-metal-server-reinitialize my-server \\
        --image ibm-debian-11-3-minimal-amd64-4 -f
    """
    found = SERVER.find(run, server)
    confirm(f"This erases the boot disk of {found['name']}. Go on?", force)
    run.say(f"Reinitializing bare metal server {server}")
    body = {"keys": [], **reinitialize_body(run, options)}
    done = run.vpc.replace_bare_metal_server_initialization(found["id"], **body).result
    run.detail(done, _initialization_rows)


COMMANDS = (
    list_command(SERVER), show_command(SERVER), delete_command(SERVER, "bare-metal-server-delete"),
    create, update, start, stop, restart, initialization, reinitialize,
    list_command(PROFILE), show_command(PROFILE),
)  # fmt: skip
