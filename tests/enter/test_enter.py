"""`linklocal enter` as a user without rights: what works inside, over http and https, and what is left."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cloud import Cloud, clients
from guest import until
from inside import Inside, Shell, entered_dev
from packets import ttls

pytestmark = [pytest.mark.needs("curl", "curl"), pytest.mark.timeout(240)]

PLAIN, NAME = "http://169.254.169.254", "api.metadata.cloud.ibm.com"
SECURE = f"https://{NAME}"
VERSION = "version=2025-08-26"
SDK = """-c '
import os, sys
from ibm_cloud_sdk_core.authenticators import VPCInstanceAuthenticator
from ibm_vpc import VpcV1
url = sys.argv[1:] and dict(url=sys.argv[1]) or dict()
vpc = VpcV1(authenticator=VPCInstanceAuthenticator(**url))
vpc.set_service_url(os.environ["LINKLOCAL_API"] + "/v1")
print([i["name"] for i in vpc.list_instances().result["instances"]])'"""


def curl(base: str, path: str, *more: str) -> str:
    return " ".join(["curl", "-sS", "-m", "20", *more, f"'{base}{path}?{VERSION}'"])


@pytest.fixture(scope="module")
def inside() -> Iterator[Inside]:
    with entered_dev() as entered:
        yield entered


@pytest.fixture(scope="module")
def cloud(inside: Inside) -> Cloud:
    return clients(inside.dev)


@pytest.fixture
def demo(inside: Inside, cloud: Cloud) -> Iterator[str]:
    """The demo instance's id; its settings are as they were afterwards."""
    instance = inside.dev.ready["instances"][0]["id"]
    yield instance
    change(inside, cloud, instance, enabled=True, protocol="http", response_hop_limit=1)


def attached(inside: Inside, instance: str) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-m", "linklocal", "node", "attachments", "--output", "JSON",
         "--state-dir", str(inside.dev.state_dir)],
        env=inside.environment(), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return [
        item
        for item in json.loads(done.stdout)
        if item["instance"] == instance and item["kind"] == "descriptor"
    ]


def change(inside: Inside, cloud: Cloud, instance: str, **service: object) -> None:
    """PATCH, and wait until the node has acknowledged it on every attachment."""
    cloud.vpc.update_instance(instance, {"metadata_service": service})
    # One that waits for the node's first certificate has a fault and no settings.
    until(
        lambda: all(
            item.get(key) == value
            for item in [inside.dev.attachments()[instance], *attached(inside, instance)]
            for key, value in service.items()
        ),
        60,
    )


def reads_itself(shell: Shell, base: str, instance: str) -> None:
    """A token, the instance's own view, and that token's IAM token used at once at the server."""
    made = json.loads(
        shell.ok(curl(base, "/identity/v1/token", "-X PUT -H 'Metadata-Flavor: ibm'"))
    )
    bearer = f"-H 'Authorization: Bearer {made['access_token']}'"
    view = json.loads(shell.ok(curl(base, "/metadata/v1/instance", bearer)))
    assert view["id"] == instance
    token = json.loads(shell.ok(curl(base, "/identity/v1/iam_tokens", "-X POST", bearer)))
    answer = shell.ok(
        f"curl -sS -H 'Authorization: Bearer {token['access_token']}' "
        '"$LINKLOCAL_API/v1/instances?version=2025-08-26&generation=2"'
    )
    assert instance in {item["id"] for item in json.loads(answer)["instances"]}


def test_http_https_and_every_change_while_it_is_open(
    inside: Inside, cloud: Cloud, demo: str
) -> None:
    """curl, the SDK and `login --vpc-cri` on both protocols, in one shell that stays open."""
    linklocal = f"{inside.python} -m linklocal"
    with inside.shell("demo") as shell:
        assert shell.ok("id -u") == (
            "65534" if "--reuid=65534" in inside.user else str(os.getuid())
        )
        reads_itself(shell, PLAIN, demo)
        assert "demo" in shell.ok(f"{inside.python} {SDK}")
        assert "OK" in shell.ok(f"{linklocal} login --vpc-cri")
        assert "demo" in shell.ok(f"{linklocal} is instances")

        change(inside, cloud, demo, protocol="https")
        assert shell.run(curl(PLAIN, "/metadata/v1/instance"))[0] == 7  # refused
        reads_itself(shell, SECURE, demo)
        assert "demo" in shell.ok(f"{inside.python} {SDK} {SECURE}")
        status, said = shell.run(f"{linklocal} login --vpc-cri")
        assert status == 1
        assert f"IBMCLOUD_CR_VPC_URL={SECURE}" in said
        assert "OK" in shell.ok(f"IBMCLOUD_CR_VPC_URL={SECURE} {linklocal} login --vpc-cri")

        change(inside, cloud, demo, enabled=False)
        refused = curl(SECURE, "/metadata/v1/instance", "-o /dev/null -w '%{http_code}'")
        assert shell.ok(refused) == "403"
        change(inside, cloud, demo, enabled=True, protocol="http", response_hop_limit=3)
        assert shell.run(curl(SECURE, "/metadata/v1/instance"))[0] == 7
        reads_itself(shell, PLAIN, demo)


@dataclass(frozen=True)
class Entered:
    """The namespace of a shell inside, for root to look into."""

    pid: int

    @property
    def namespace(self) -> str:
        return f"/proc/{self.pid}/ns/net"


@pytest.mark.root
def test_every_packet_inside_carries_the_limit(inside: Inside, cloud: Cloud, demo: str) -> None:
    """On the wire: both protocols, refusals, and resets that no socket sends; a change changes all."""
    with inside.shell("demo") as shell:
        assert shell.ok("cat /proc/sys/net/ipv4/ip_default_ttl") == "64"  # what it sends itself
        entered = Entered(shell.process.pid)
        for protocol, limit in (("http", 7), ("https", 3)):
            change(inside, cloud, demo, protocol=protocol, response_hop_limit=limit)
            assert ttls(entered, protocol) == {limit}
        change(inside, cloud, demo, response_hop_limit=2)
        assert ttls(entered, "https") == {2}
        change(inside, cloud, demo, enabled=False)
        assert ttls(entered, "https") == {1}


def test_stopped_and_started_while_it_is_open(inside: Inside, cloud: Cloud) -> None:
    instance = cloud.create(metadata_service={"enabled": True})
    mint = curl(PLAIN, "/identity/v1/token", "-X PUT -H 'Metadata-Flavor: ibm' -o /dev/null")
    with inside.shell(instance["id"]) as shell:
        shell.ok(mint)
        cloud.vpc.create_instance_action(instance["id"], type="stop")
        cloud.wait(instance["id"], "stopped")
        assert shell.run(mint)[0] == 7
        cloud.vpc.create_instance_action(instance["id"], type="start")
        cloud.wait(instance["id"], "running")
        shell.ok(mint)
    cloud.vpc.delete_instance(instance["id"])


def test_the_exit_status_and_the_output_are_the_commands(inside: Inside) -> None:
    done = inside.run("demo", "sh", "-c", "echo out; echo err >&2; exit 7")
    missing = inside.run("demo", "no-such-program")

    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert missing.returncode == 127
    assert "There is no command no-such-program" in missing.stderr


def test_nothing_else_is_reached_and_nothing_of_the_host_is_changed(inside: Inside) -> None:
    """No way out but the relay; the administrator's key is out of sight; the host keeps its own files."""
    done = inside.run(
        "demo",
        "sh",
        "-c",
        "curl -sS -m 5 http://192.0.2.1/; echo $?; ls $LINKLOCAL_STATE_DIR; "
        "grep -c metadata.cloud /etc/hosts; curl -s $LINKLOCAL_API/healthz",
    )
    lines = done.stdout.split()

    assert lines[0] == "7"
    assert lines[1:5] == ["config", "hosts", "roots.pem", "1"]
    assert "ok" in lines[5]
    assert (inside.dev.state_dir / "apikey").exists()
    assert "metadata.cloud" not in open("/etc/hosts").read()  # noqa: SIM115, PTH123


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_it_is_killed(inside: Inside, demo: str, number: int) -> None:
    process = subprocess.Popen(
        inside.command("demo", "sh", "-c", "echo ready; exec sleep 1000"),
        env=inside.environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert len(attached(inside, demo)) == 1
        assert relays(inside) == 1
        process.send_signal(number)
        # Also says that nobody else holds the pipe.
        assert process.stdout.read() == ""
        assert process.wait(20) == -number
    until(lambda: attached(inside, demo) == [] and relays(inside) == 0, 20)


def relays(inside: Inside) -> int:
    """Processes that are `linklocal enter` of this dev."""
    listed = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout
    return sum(
        " enter " in line and str(inside.dev.state_dir) in line for line in listed.splitlines()
    )


def test_a_terminal_and_its_job_control(inside: Inside) -> None:
    """Ctrl-C ends the command in front and not the shell, Ctrl-Z stops it: the shell has the terminal."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir("/")
        os.execvpe(inside.command("demo")[0], inside.command("demo"), inside.environment())
    seen = ""

    def expect(text: str) -> None:
        nonlocal seen
        while text not in seen:
            readable, _, _ = select.select([terminal], [], [], 60)
            assert readable, seen
            seen += os.read(terminal, 4096).decode(errors="replace")
        seen = seen.partition(text)[2]

    def enter(line: str) -> None:
        os.write(terminal, f"{line}\n".encode())

    # What is typed is echoed: quotes tell it from what is printed.
    try:
        expect("Leave with")
        enter("test -t 0 && echo on a ter''minal")
        expect("on a terminal")
        # A control character counts when the command has the terminal: it says so itself.
        command = "sh -c 'echo be\"\"fore; exec sleep 1000'"
        enter(command)
        expect("before")
        os.write(terminal, b"\x03")
        expect("$ ")
        enter("echo af''ter $?")
        expect("after 130")
        enter(command)
        expect("before")
        os.write(terminal, b"\x1a")
        expect("Stopped")
        enter("kill -KILL %1; fg; echo st''ill here")
        expect("still here")
        enter("exit 5")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    finally:
        os.close(terminal)  # hangs up: nothing of it stays


@pytest.mark.root
def test_where_user_namespaces_are_off_the_sysctl_is_named(inside: Inside) -> None:
    """The kernel itself refuses: in a user namespace of which the test has set the limit to none."""
    off = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    powerless = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    command = inside.command("demo", "true")[len(inside.user) :]
    done = subprocess.run(
        [*inside.user, "unshare", "--user", "--map-root-user", "sh", "-c", off, "sh", *powerless, *command],
        env=inside.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "user.max_user_namespaces is 0 here" in done.stderr
    assert "sudo sysctl -w user.max_user_namespaces=10000" in done.stderr
    assert "linklocal node attach demo --netns NAME" in done.stderr


def test_what_a_user_did_wrong_is_said(inside: Inside) -> None:
    unknown = inside.run("nothing", "true")
    assert unknown.returncode == 1
    assert "No instance nothing is placed on this node" in unknown.stderr
