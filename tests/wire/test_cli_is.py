"""`linklocal is ...` against a running server: every command, names and ids, layouts, failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud
from live import Dev
from terminal import Terminal

IMAGE = "ibm-ubuntu-22-04-1-minimal-amd64-2"


@pytest.fixture(scope="module")
def user(dev: Dev, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    return Terminal(dev.state_dir, tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module")
def machine(user: Terminal, cloud: Cloud) -> dict[str, Any]:
    """An instance made by names alone."""
    made: dict[str, Any] = user.json(
        "is", "instance-create", cloud.name("vm"), "my-vpc", "us-south-1", "bx2-2x8", "my-subnet-1",
        "--image", IMAGE, "--wait",
    )  # fmt: skip
    return made


def row(text: str, label: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(label))


def test_create_prints_the_older_line_and_the_table(user: Terminal, cloud: Cloud) -> None:
    name = cloud.name("vm")
    text = user.ok(
        "is", "instance-create", name, "my-vpc", "us-south-1", "bx2-2x8", "my-subnet-1",
        "--image-id", IMAGE, "--ms", "true", "--msp", "https", "--msrhl", "3",
    )  # fmt: skip

    assert text.startswith(f"Creating instance {name} under account ")
    assert row(text, "Status ").split() == ["Status", "pending"]
    assert row(text, "Metadata service enabled").split()[-1] == "true"
    lines = text.splitlines()
    table = lines.index(row(text, "Metadata service   "))
    assert lines[table].split()[2:] == ["Enabled", "Protocol", "Response", "hop", "limit"]
    assert lines[table + 1].split() == ["true", "https", "3"]
    assert "up to 2 routers" in row(text, "Metadata service reach")
    assert "Network Interfaces" not in text


def test_show_by_name_id_and_crn(user: Terminal, machine: dict[str, Any]) -> None:
    texts = [user.ok("is", "instance", machine[key], "-q") for key in ("name", "id", "crn")]

    assert texts[0] == texts[1] == texts[2]
    assert texts[0].startswith("ID   ")
    labels = [line.split("   ")[0] for line in texts[0].splitlines() if line[:1].strip()]
    assert labels == [
        "ID", "Name", "CRN", "Status", "Availability policy on host failure", "Startable", "Profile",
        "Architecture", "vCPU Manufacturer", "vCPUs", "Memory(GiB)", "Bandwidth(Mbps)",
        "Volume bandwidth(Mbps)", "Network bandwidth(Mbps)", "Lifecycle Reasons", "Lifecycle State",
        "Metadata service", "Metadata service reach", "Image", "Numa Count", "VPC", "Zone",
        "Resource group", "Created", "Network Interfaces", "Boot volume",
    ]  # fmt: skip


def test_json_is_the_body_and_lists_are_bare_arrays(
    user: Terminal, machine: dict[str, Any]
) -> None:
    assert user.json("is", "instance", machine["id"])["metadata_service"]["enabled"] is False
    listed = user.json("is", "instances")
    assert machine["id"] in [item["id"] for item in listed]
    assert (
        user.run("is", "instances", "--json").json
        == user.run("is", "instances", "--output", "json").json
    )


def test_update_sends_only_what_is_named(user: Terminal, machine: dict[str, Any]) -> None:
    user.ok("is", "instance-update", machine["name"], "--metadata-service", "true",
            "--metadata-service-protocol", "https", "--metadata-service-reach", "containers")  # fmt: skip
    partly = user.json("is", "instance-update", machine["name"], "--metadata-service", "false")

    assert partly["metadata_service"] == {
        "enabled": False, "protocol": "https", "response_hop_limit": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--metadata-service", "yes"), "Usage: linklocal is instance-update"),
        (("--metadata-service-protocol", "ftp"), "Usage: linklocal is instance-update"),
        (("--msrhl", "65"), "Error target name: metadata_service.response_hop_limit, type: field"),
        (("--msrhl", "0"), "Error code: bad_field"),
        (("--msrhl", "1", "--metadata-service-reach", "instance"), "set the same thing"),
        ((), "Nothing was named"),
    ],
)  # fmt: skip
def test_refusals(
    user: Terminal, machine: dict[str, Any], arguments: tuple[str, ...], said: str
) -> None:
    assert said in user.refused("is", "instance-update", machine["id"], *arguments)


def test_the_layout_of_an_api_failure(user: Terminal) -> None:
    lines = user.refused("is", "instance", "0717_00000000-0000-4000-8000-000000000000").splitlines()

    assert lines[1:4] == [
        "Response HTTP Status Code: 404",
        "Error code: not_found",
        "Error message: The requested resource does not exist, or cannot be accessed.",
    ]
    assert lines[4] == "Error target name: id, type: parameter"
    assert lines[5].startswith("Trace ID: ")
    assert lines[-1] == "Next: linklocal is instances"


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        (("is", "zone", "us-south-9"), "linklocal is zones"),
        (("is", "key-create", "k", "no-key"), "linklocal is key-create --help"),
        (("node", "place", "nobody", "dev"), "linklocal node list"),
    ],
)
def test_a_failure_names_the_next_command(
    user: Terminal, arguments: tuple[str, ...], step: str
) -> None:
    assert step in user.refused(*arguments).splitlines()[-1]


def test_a_name_that_is_not_there(user: Terminal) -> None:
    assert "linklocal is instances" in user.refused("is", "instance", "nobody")


def test_nothing_is_destroyed_where_nobody_can_be_asked(
    user: Terminal, machine: dict[str, Any]
) -> None:
    for command in ("instance-delete", "instance-stop", "instance-reboot"):
        assert user.refused("is", command, machine["id"]).endswith("Next: Add -f to go on.\n")
    assert user.json("is", "instance", machine["id"])["status"] == "running"


def test_stop_start_and_delete_wait_in_silence(user: Terminal, cloud: Cloud) -> None:
    name = cloud.name("vm")
    user.ok("is", "instance-create", name, "my-vpc", "us-south-1", "bx2-2x8", "my-subnet-1",
            "--image", IMAGE, "--wait")  # fmt: skip
    for command, reached in (("stop", "stopped"), ("start", "running"), ("reboot", "running")):
        force = () if command == "start" else ("-f",)
        done = user.run("is", f"instance-{command}", name, "--wait", *force)
        assert (done.status, done.stderr) == (0, "")
        assert user.json("is", "instance", name)["status"] == reached
    done = user.run("is", "instance-delete", name, "-f", "--wait", "-q")

    assert (done.stdout, done.stderr, done.status) == ("OK\n", "", 0)
    assert name not in user.ok("is", "instances")


def test_templates(user: Terminal, cloud: Cloud) -> None:
    name, other, machine = cloud.name("t"), cloud.name("t"), cloud.name("vm")
    text = user.ok(
        "is", "instance-template-create", name, "my-vpc", "us-south-1", "mx2-2x16", "my-subnet-1",
        "--image", IMAGE, "--metadata-service", "true",
    )  # fmt: skip
    assert row(text, "Metadata service enabled").split()[-1] == "true"
    overridden = user.json(
        "is", "instance-template-create-override-source-template", "--source-template", name,
        "--name", other, "--metadata-service", "false",
    )  # fmt: skip
    assert overridden["metadata_service"]["enabled"] is False
    made = user.json(
        "is", "instance-create-from-template", "--template-id", name, "--name", machine
    )
    assert made["metadata_service"]["enabled"] is True
    assert "--metadata-service" in user.refused(
        "is", "instance-template-update", name, "--metadata-service", "false"
    )
    assert (
        user.json("is", "instance-template-update", name, "--name", f"{name}-x")["name"]
        == f"{name}-x"
    )
    assert f"{name}-x" in user.ok("is", "instance-templates")
    assert user.json("is", "instance-template", other)["name"] == other
    assert user.ok("is", "instance-template-delete", f"{name}-x", other, "-f", "-q") == "OK\n"


@pytest.mark.differs(
    "Command line: `--default-trusted-profile-auto-link true`",
    "disables the link, by one sentence of its page",
    "enables it, as the page's examples have it; `false` disables",
)
def test_profile_and_auto_link(user: Terminal, cloud: Cloud) -> None:
    profile = cloud.profile()
    for word, links in (("false", 0), ("true", 1)):
        name = cloud.name("vm")
        user.ok(
            "is", "instance-create", name, "my-vpc", "us-south-1", "bx2-2x8", "my-subnet-1", "--image", IMAGE,
            "--default-trusted-profile", profile["name"], "--default-trusted-profile-auto-link", word,
        )  # fmt: skip
        values = user.ok("is", "instance-initialization-values", name)
        assert profile["id"] in values
        assert values.rstrip().endswith(word)
        assert len(cloud.links(profile["id"])) == links
    user.ok("is", "instance-stop", name, "-f", "--wait")
    other = cloud.profile()
    user.ok("is", "instance-reinitialize", name, "--image", IMAGE, "-f",
            "--default-trusted-profile", other["id"])  # fmt: skip
    assert other["id"] in user.ok("is", "instance-initialization-values", name)


def test_the_resources_around(
    user: Terminal, cloud: Cloud, tmp_key: Path, machine: dict[str, Any]
) -> None:
    key, vpc, subnet, group = (cloud.name(kind) for kind in ("key", "vpc", "subnet", "group"))
    ip, volume, security, vni = (cloud.name(kind) for kind in ("ip", "volume", "sg", "vni"))
    user.ok("is", "key-create", key, f"@{tmp_key}", "--key-type", "ed25519")
    user.ok("is", "vpc-create", vpc, "--resource-group-name", "Default")
    user.ok(
        "is", "subnet-create", subnet, vpc, "--zone", "us-south-1", "--ipv4-address-count", "16"
    )
    user.ok("is", "placement-group-create", "--strategy", "host_spread", "--name", group)
    user.ok("is", "floating-ip-reserve", ip, "--zone", "us-south-1")
    user.ok("is", "volume-create", volume, "general-purpose", "us-south-1", "--capacity", "20")
    user.ok("is", "security-group-create", security, vpc)
    user.ok("is", "virtual-network-interface-create", "--name", vni, "--subnet", subnet)
    made = [
        ("key", "key-delete", key), ("floating-ip", "floating-ip-release", ip),
        ("volume", "volume-delete", volume), ("placement-group", "placement-group-delete", group),
        ("virtual-network-interface", "virtual-network-interface-delete", vni),
        ("security-group", "security-group-delete", security), ("subnet", "subnet-delete", subnet),
        ("vpc", "vpc-delete", vpc),
    ]  # fmt: skip
    for kind, delete, name in made:
        assert name in user.ok("is", f"{kind}s")
        assert user.json("is", kind, name)["name"] == name
        assert user.json("is", f"{kind}-update", name, "--name", f"{name}-x")["name"] == f"{name}-x"
        assert "Add -f" in user.refused("is", delete, f"{name}-x")
        user.ok("is", delete, f"{name}-x", "-f")
        assert name not in user.ok("is", f"{kind}s")


@pytest.mark.parametrize(
    ("arguments", "header"),
    [
        (("instances",), "ID Name Status Reserved IP Floating IP Profile Image VPC Zone Resource group"),
        (("instances", "--vpc", "my-vpc", "--all-resource-groups"), "ID Name Status"),
        (("keys",), "ID Name Type Length FingerPrint Resource group"),
        (("images", "--visibility", "public", "--status", "available"), "ID Name Status Arch OS name"),
        (("image", IMAGE), "ID"),
        (("operating-systems",), "Name Display name"),
        (("vpcs",), "ID Name Status Classic access Default network ACL Default security group"),
        (("subnets", "--zone", "us-south-1", "--vpc", "my-vpc"), "ID Name Status Subnet CIDR Addresses ACL"),
        (("instance-profiles",), "Name vCPU Manufacturer Architecture Family vCPUs Memory(GiB)"),
        (("instance-profile", "bx2-2x8"), "Name bx2-2x8"),
        (("regions",), "Name Endpoint Status"),
        (("region", "us-south"), "Name us-south"),
        (("zones",), "Name Region Status"),
        (("zone", "us-south-1"), "Name us-south-1"),
        (("volumes",), "ID Name Status"),
        (("volume-profiles",), "Name Family"),
        (("placement-groups",), "ID Name"),
        (("security-groups",), "ID Name"),
        (("virtual-network-interfaces",), "ID Name"),
        (("image-instance-profiles", IMAGE), "Name"),
        (("instance-network-interfaces", "demo"), "ID Name Status Reserved IP"),
        (("instance-network-attachments", "demo"), "ID Name Lifecycle State"),
        (("instance-volume-attachments", "demo"), "ID Name Volume"),
    ],
)  # fmt: skip
def test_listings(user: Terminal, arguments: tuple[str, ...], header: str) -> None:
    text = user.ok("is", *arguments, "-q")

    assert " ".join(text.splitlines()[0].split()).startswith(header)


def test_without_a_server_the_next_step_is_doctor(dev: Dev, user: Terminal) -> None:
    said = user.refused("is", "instances", LINKLOCAL_API="http://127.0.0.1:9")
    assert "http://127.0.0.1:9 does not answer" in said
    assert "linklocal doctor" in said


def test_without_a_login(tmp_path: Path) -> None:
    said = Terminal(tmp_path / "none", tmp_path).refused("is", "instances")
    assert "Not logged in. Use 'linklocal login' to log in." in said


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("linklocal is instance de", "demo"),
        ("linklocal is instance-up", "instance-update"),
        ("linklocal is instance-create --metadata-service-p", "--metadata-service-protocol"),
        ("linklocal is instance-create --metadata-service-protocol h", "https"),
        ("linklocal is instance-delete de", "demo"),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(user: Terminal, shell: str, words: str, offered: str) -> None:
    parts = words.split()
    variables = {"_LINKLOCAL_COMPLETE": f"{shell}_complete"}
    if shell == "fish":
        variables |= {"COMP_WORDS": " ".join(parts), "COMP_CWORD": parts[-1]}
    else:
        variables |= {"COMP_WORDS": words, "COMP_CWORD": str(len(parts) - 1)}

    assert offered in user.ok(**variables)


def test_completion_without_a_server_is_silent(user: Terminal) -> None:
    done = user.run(
        LINKLOCAL_API="http://127.0.0.1:9", COMP_WORDS="linklocal is instance de", COMP_CWORD="3",
        _LINKLOCAL_COMPLETE="bash_complete",
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr, done.status) == ("", "", 0)


def test_images_of_ones_own(user: Terminal, cloud: Cloud) -> None:
    """Made from a file, renamed, held to an expression, deleted; what is not named stays."""
    name = cloud.name("image")
    systems = user.json("is", "operating-systems")
    made = user.json(
        "is", "image-create", name, "--file", "cos://us-south/my-bucket/my-image.qcow2",
        "--os-name", systems[0]["name"],
    )  # fmt: skip
    assert made["name"] == name
    assert "Nothing was named" in user.refused("is", "image-update", name)
    text = user.ok("is", "image-update", name, "--au-ins", "enable_secure_boot == true")
    assert row(text, "Allowed use   ").endswith("enable_secure_boot == true")
    renamed = user.json("is", "image-update", made["id"], "--name", f"{name}-x")
    assert renamed["name"] == f"{name}-x"
    assert renamed["allowed_use"]["instance"] == "enable_secure_boot == true"
    assert "Error code: " in user.refused("is", "image-update", f"{name}-x", "--au-ins", "1 +")
    assert "Add -f" in user.refused("is", "image-delete", f"{name}-x")
    user.ok("is", "image-delete", f"{name}-x", "-f")


def test_options_of_the_primary_interface(user: Terminal, cloud: Cloud) -> None:
    """They hold for a new virtual interface, too; where none is made they are refused, not dropped."""
    interface = user.json(
        "is", "virtual-network-interface-create", "--name", cloud.name("vni"), "--subnet", "my-subnet-1",
    )  # fmt: skip
    place = ("my-vpc", "us-south-1", "bx2-2x8")
    made = user.json(
        "is", "instance-create", cloud.name("vm"), *place, "my-subnet-1", "--image", IMAGE,
        "--pnac-name", "eth", "--pnac-vni-name", cloud.name("vni"), "--ip-name", "fixed",
        "--allow-ip-spoofing", "true",
    )  # fmt: skip
    assert made["primary_network_attachment"]["name"] == "eth"
    assert made["primary_network_attachment"]["primary_ip"]["name"] == "fixed"
    (shown,) = user.json("is", "instance-network-interfaces", made["id"])
    assert shown["allow_ip_spoofing"] is True

    existing = ("is", "instance-create", cloud.name("vm"), *place, "--pnac-vni", interface["name"])
    refused = user.refused(*existing, "--image", IMAGE, "--sgs", "any")
    assert "--sgs is of a new primary interface" in refused
    joined = user.json(*existing, "--image", IMAGE)["primary_network_attachment"]
    assert joined["virtual_network_interface"]["id"] == interface["id"]


def test_what_linklocal_does_not_have_is_no_failure_of_the_server(user: Terminal) -> None:
    refused = user.refused(
        "is", "instance-create", "vm", "my-vpc", "us-south-1", "bx2-2x8", "my-subnet-1", "--dedicated-host",
        "0717-00000000-0000-4000-8000-000000000000", "--image", IMAGE,
    )  # fmt: skip
    assert "--dedicated-host cannot be used: linklocal has no dedicated hosts." in refused
