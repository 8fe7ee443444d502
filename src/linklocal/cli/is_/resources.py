"""`linklocal is keys|images|vpcs|subnets|...`: the resources around instances. Contract 5.2.

Most kinds have the same four commands; `KINDS` says how each is listed and shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import click
from click.shell_completion import CompletionItem

from linklocal.cli.is_.command import Is, is_command
from linklocal.cli.is_.instance import confirm, force_option
from linklocal.cli.is_.names import find, pages

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Columns = Sequence[tuple[str, Callable[[dict[str, Any]], object]]]


def member(path: str) -> Callable[[dict[str, Any]], object]:
    """A reader of a dotted member; None when something on the way is absent."""

    def read(item: dict[str, Any]) -> object:
        value: Any = item
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    return read


def columns(**paths: str) -> Columns:
    """Headers by keyword (underscores are spaces) and where each value is."""
    return [(header.replace("_", " "), member(path)) for header, path in paths.items()]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of resource: command names, SDK methods (`list_<plural>`, ...), columns."""

    singular: str
    plural: str
    columns: Columns
    collection: str
    noun: str
    sdk: str
    details: Columns = ()
    paged: bool = True
    filters: dict[str, str] = field(default_factory=dict)  # option -> SDK parameter
    grouped: bool = True  # is in a resource group
    shows: bool = True
    renames: bool = False
    deletes: bool = False
    names: Completer | None = None  # what completes an argument that names one

    @property
    def argument(self) -> str:
        # The kinds without ids are named by name alone.
        named = {"instance-profile": "PROFILE_NAME", "region": "REGION_NAME"}
        return named.get(self.singular, self.singular.upper().replace("-", "_"))

    def items(self, run: Is, **given: Any) -> list[dict[str, Any]]:
        """All of them, over all pages."""
        method = getattr(run.vpc, f"list_{self.sdk}s")
        if self.paged:
            return pages(method, self.collection, **given)
        found: list[dict[str, Any]] = method(**given).result[self.collection]
        return found

    def rows(self, item: dict[str, Any]) -> list[tuple[str, object]]:
        """The detail view."""
        return [(title, read(item)) for title, read in self.details or self.columns]

    def find(self, run: Is, typed: str) -> dict[str, Any]:
        """By name or id. Raises OperatorError."""
        return find(self.items(run), typed, self.noun, self.plural)


SHORT = 23  # characters: `SHA256:` and 16 more
ID_NAME = {"ID": "id", "Name": "name"}
RG = {"Resource_group": "resource_group.name"}


def _gigabytes(item: dict[str, Any]) -> object:
    return item.get("file", {}).get("size")


def _shortened(key: dict[str, Any]) -> object:
    """Enough of a fingerprint to tell keys apart; `key` shows it whole."""
    return f"{key['fingerprint'][:SHORT]}..."


def _storage(profile: dict[str, Any]) -> object:
    """Gigabytes of a profile's own disks, for profiles that say how much they have."""
    sizes = [
        disk["quantity"].get("value", 0) * disk["size"].get("value", 0) for disk in profile["disks"]
    ]
    return sum(sizes) or None


KINDS = (
    Kind(
        "key", "keys",
        [*columns(**ID_NAME, Type="type", Length="length"), ("FingerPrint", _shortened), *columns(**RG)],
        "keys", "key", "key", renames=True, deletes=True,
        details=columns(**ID_NAME, CRN="crn", Type="type", Length="length", FingerPrint="fingerprint",
                        Key="public_key", Created="created_at", **RG),
    ),
    Kind(
        "image", "images",
        [
            *columns(ID="id", Name="name", Status="status", Arch="operating_system.architecture",
                     OS_name="operating_system.display_name", OS_version="operating_system.version"),
            ("File size(GB)", _gigabytes),
            *columns(Visibility="visibility", Encryption="encryption", **RG,
                     Catalog_Offering="catalog_offering.version.crn",
                     User_Data_Format="user_data_format", Remote_Account_ID="remote.account.id"),
        ],
        "images", "image", "image", deletes=True,
        filters={"visibility": "visibility", "status": "status", "user-data-format": "user_data_format",
                 "remote-account-id": "remote_account_id"},
        details=columns(**ID_NAME, CRN="crn", Status="status", Visibility="visibility",
                        OS_name="operating_system.display_name", Arch="operating_system.architecture",
                        Allowed_use="allowed_use.instance",
                        Allowed_use_of_bare_metal_servers="allowed_use.bare_metal_server",
                        Allowed_use_API_version="allowed_use.api_version", Created="created_at", **RG),
    ),
    Kind(
        "operating-system", "operating-systems",
        columns(Name="name", Display_name="display_name", Architecture="architecture",
                Family="family", Vendor="vendor", Version="version"),
        "operating_systems", "operating system", "operating_system", grouped=False,
    ),
    Kind(
        "vpc", "vpcs",
        columns(**ID_NAME, Status="status", Classic_access="classic_access",
                Default_network_ACL="default_network_acl.name",
                Default_security_group="default_security_group.name", **RG),
        "vpcs", "VPC", "vpc", renames=True, deletes=True, filters={"classic-access": "classic_access"},
        details=columns(**ID_NAME, CRN="crn", Status="status",
                        Default_network_ACL="default_network_acl.name",
                        Default_security_group="default_security_group.name", Created="created_at", **RG),
    ),
    Kind(
        "subnet", "subnets",
        [
            *columns(ID="id", Name="name", Status="status", Subnet_CIDR="ipv4_cidr_block"),
            ("Addresses",
             lambda s: f"{s['available_ipv4_address_count']}/{s['total_ipv4_address_count']}"),
            *columns(ACL="network_acl.name", Public_Gateway="public_gateway.name", VPC="vpc.name",
                     Zone="zone.name", **RG),
        ],
        "subnets", "subnet", "subnet", renames=True, deletes=True,
        filters={"zone": "zone_name", "vpc": "vpc_id"},
    ),
    Kind(
        "instance-profile", "instance-profiles",
        [
            *columns(Name="name", vCPU_Manufacturer="vcpu_manufacturer.value",
                     Architecture="vcpu_architecture.value", Family="family", vCPUs="vcpu_count.value",
                     **{"Memory(GiB)": "memory.value", "Bandwidth(Mbps)": "bandwidth.value",
                        "Volume_bandwidth(Mbps)": "total_volume_bandwidth.default"},
                     GPUs="gpu_count.value"),
            ("Storage(GB)", _storage),
            *columns(Min_NIC_Count="network_interface_count.min",
                     Max_NIC_Count="network_interface_count.max"),
        ],
        "profiles", "instance profile", "instance_profile", grouped=False,
    ),
    Kind(
        "placement-group", "placement-groups",
        columns(**ID_NAME, Strategy="strategy", Lifecycle_State="lifecycle_state", **RG),
        "placement_groups", "placement group", "placement_group", renames=True, deletes=True,
    ),
    Kind(
        "security-group", "security-groups",
        columns(**ID_NAME, VPC="vpc.name", **RG), "security_groups", "security group",
        "security_group", renames=True, deletes=True, filters={"vpc": "vpc_id"},
    ),
    Kind(
        "virtual-network-interface", "virtual-network-interfaces",
        columns(**ID_NAME, Reserved_IP="primary_ip.address", Subnet="subnet.name", Target="target.name",
                VPC="vpc.name", Zone="zone.name", **RG),
        "virtual_network_interfaces", "virtual network interface", "virtual_network_interface",
        renames=True, deletes=True,
    ),
    Kind(
        "volume", "volumes",
        columns(**ID_NAME, Status="status", Capacity="capacity", IOPS="iops", Profile="profile.name",
                Attachment_state="attachment_state", Zone="zone.name", **RG),
        "volumes", "volume", "volume", renames=True, deletes=True,
    ),
    Kind(
        "volume-profile", "volume-profiles", columns(Name="name", Family="family"), "profiles",
        "volume profile", "volume_profile", grouped=False,
    ),
    Kind(
        "floating-ip", "floating-ips",
        columns(**ID_NAME, Address="address", Status="status", Target="target.name", Zone="zone.name",
                **RG),
        "floating_ips", "floating ip", "floating_ip", renames=True,
    ),
    Kind(
        "region", "regions", columns(Name="name", Endpoint="endpoint", Status="status"), "regions",
        "region", "region", paged=False, grouped=False,
    ),
)  # fmt: skip


def list_command(kind: Kind) -> click.Command:
    """`linklocal is keys`."""

    @is_command
    def run_list(run: Is, **given: Any) -> None:
        group_id, group_name = (
            given.pop("resource_group_id", None),
            given.pop("resource_group_name", None),
        )
        given.pop("all_resource_groups", None)
        scope = (
            f"resource group {group_name or group_id}"
            if group_name or group_id
            else "all resource groups"
        )
        where = f"{scope} and region" if kind.grouped else "region"
        run.say(f"Listing {kind.noun}s in {where} {run.session.region}")
        items = [
            item
            for item in kind.items(run, **_filters(run, kind, given))
            if group_id in (None, item.get("resource_group", {}).get("id"))
            and group_name in (None, item.get("resource_group", {}).get("name"))
        ]
        header = [title for title, _ in kind.columns]
        run.listing(items, header, lambda item: [read(item) for _, read in kind.columns])

    if kind.grouped:
        run_list = resource_group_filters(run_list)
    for name in reversed(kind.filters):
        value: dict[str, Any] = {"is_flag": True} if name in _FLAGS else {"metavar": "VALUE"}
        run_list = click.option(f"--{name}", help=_FILTER_HELP[name], **value)(run_list)
    example = f"List {kind.noun}s.\n\n\b\nExample:\n  linklocal is {kind.plural}"
    return click.command(kind.plural, help=example)(run_list)


_FILTER_HELP = {
    "classic-access": "Only those that reach classic infrastructure.",
    "visibility": "One of: all, public, private.",
    "status": "Only with one of these states, separated by commas.",
    "user-data-format": "Only with one of these formats, separated by commas.",
    "remote-account-id": "`provider`, `user`, or the id of the account that they come from.",
    "zone": "Only in this zone.",
    "vpc": "Only in this VPC, by name or id.",
}
_FLAGS = ("classic-access",)
_LISTS = ("status", "user-data-format")


def _filters(run: Is, kind: Kind, given: dict[str, Any]) -> dict[str, Any]:
    """Options as the SDK's parameters."""
    filters: dict[str, Any] = {}
    for option, parameter in kind.filters.items():
        value = given[option.replace("-", "_")]
        if value in (None, False) or (option, value) == ("visibility", "all"):
            continue
        if option == "vpc":
            value = find(pages(run.vpc.list_vpcs, "vpcs"), value, "VPC", "vpcs")["id"]
        filters[parameter] = value.split(",") if option in _LISTS else value
    return filters


def resource_group_filters(function: Any) -> Any:
    """The options of listings that name a resource group."""
    for option in (
        click.option("--all-resource-groups", is_flag=True, help="Which is the default."),
        click.option("--resource-group-name", metavar="NAME", help="Only in this resource group."),
        click.option("--resource-group-id", metavar="ID", help="Only in this resource group."),
    ):
        function = option(function)
    return function


def show_command(kind: Kind) -> click.Command:
    """`linklocal is key KEY`."""

    @click.command(
        kind.singular,
        help=f"Show one {kind.noun}, by name or id.\n\n\b\nExample:\n  "
        f"linklocal is {kind.singular} {_example(kind)}",
    )
    @click.argument("typed", metavar=kind.argument, shell_complete=kind.names)
    @is_command
    def run_show(run: Is, typed: str) -> None:
        run.say(f"Getting {kind.noun} {typed}")
        run.detail(find(kind.items(run), typed, kind.noun, kind.plural), kind.rows)

    return run_show


def rename_command(kind: Kind) -> click.Command:
    """`linklocal is key-update KEY --name NEW_NAME`."""

    @click.command(
        f"{kind.singular}-update",
        help=f"Rename one {kind.noun}.\n\n\b\nExample:\n"
        f"  linklocal is {kind.singular}-update {_example(kind)} --name new-name",
    )
    @click.argument("typed", metavar=kind.argument)
    @click.option("--name", required=True, metavar="NEW_NAME", help="The new name.")
    @is_command
    def run_rename(run: Is, typed: str, name: str) -> None:
        found = find(kind.items(run), typed, kind.noun, kind.plural)
        run.say(f"Updating {kind.noun} {typed}")
        update = getattr(run.vpc, f"update_{kind.sdk}")
        run.detail(update(found["id"], {"name": name}).result, kind.rows)

    return run_rename


def delete_command(kind: Kind, name: str) -> click.Command:
    """`linklocal is key-delete KEY1 KEY2 ...`."""

    @click.command(
        name,
        help=f"Delete {kind.noun}s.\n\n\b\nExample:\n  linklocal is {name} {_example(kind)} -f",
    )
    @click.argument(
        "typed", nargs=-1, required=True, metavar=f"{kind.argument}1 {kind.argument}2 ...",
        shell_complete=kind.names,
    )  # fmt: skip
    @force_option
    @is_command
    def run_delete(run: Is, typed: tuple[str, ...], force: bool) -> None:
        items = kind.items(run)
        found = [find(items, one, kind.noun, kind.plural) for one in typed]
        confirm(f"Delete {', '.join(item['name'] for item in found)}?", force)
        # The SDK's one method that is named in the plural.
        plural = "s" if kind.sdk == "virtual_network_interface" else ""
        delete = getattr(run.vpc, f"delete_{kind.sdk}{plural}")
        for item in found:
            run.say(f"Deleting {kind.noun} {item['name']}")
            delete(item["id"])
        run.done()

    return run_delete


def _example(kind: Kind) -> str:
    known = {
        "region": "us-south",
        "instance-profile": "bx2-2x8",
        "volume-profile": "general-purpose",
    }
    return known.get(kind.singular, f"my-{kind.singular}")


def _commands() -> Iterator[click.Command]:
    for kind in KINDS:
        yield list_command(kind)
        if kind.shows:
            yield show_command(kind)
        if kind.renames:
            yield rename_command(kind)
        if kind.deletes:
            yield delete_command(kind, f"{kind.singular}-delete")
    floating = next(kind for kind in KINDS if kind.singular == "floating-ip")
    yield delete_command(floating, "floating-ip-release")


COMMANDS = tuple(_commands())
