"""`linklocal doctor`: each named breakage is made, found first, and mended by the command that it gives."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from cloud import Cloud, clients
from live import Dev, clean_environment, running
from terminal import Done, Terminal

SECONDS = 30.0
STEPS = 3  # commands that one breakage may take
# A moment after a change: the node has not acknowledged it.
PASSING = ("not-running", "behind", "setting-not-applied", "not-attached", "listener-")


@dataclass
class Place:
    """A dev of this file's own, a user of it, and an instance."""

    dev: Dev
    cloud: Cloud
    user: Terminal
    config: Path
    name: str = "patient"

    def session(self, **members: object) -> None:
        """What a `linklocal login` would have kept."""
        self.config.mkdir(mode=0o700, exist_ok=True)
        kept = {"api": self.dev.api, "iam": self.dev.api, "source": "login", **members}
        (self.config / "session.json").write_text(json.dumps(kept))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("doctor")
    with running(folder / "state") as dev:
        cloud = clients(dev)
        profile = cloud.profile()
        cloud.create(
            name="patient",
            metadata_service={"enabled": True},
            default_trusted_profile={"target": {"id": profile["id"]}},
        )
        like = cloud.prototype()
        cloud.vpc.create_bare_metal_server(
            {
                "initialization": {
                    "image": like["image"], "keys": [],
                    "default_trusted_profile": {"target": {"id": cloud.profile()["id"]}},
                },
                "metadata_service": {"enabled": True},
                "name": "metal",
                "primary_network_attachment": like["primary_network_attachment"],
                "profile": {"name": "bx2-metal-96x384"},
                "vpc": like["vpc"],
                "zone": like["zone"],
            }
        )  # fmt: skip
        yield Place(dev, cloud, Terminal(dev.state_dir, folder / "config"), folder / "config")


def disabled(place: Place) -> None:
    place.user.ok("is", "instance-update", "patient", "--metadata-service", "false")


def stopped(place: Place) -> None:
    place.user.ok("is", "instance-stop", "patient", "-f", "--wait")


def _profile(place: Place) -> str:
    values = place.user.json("is", "instance-initialization-values", "patient")
    return str(values["default_trusted_profile"]["target"]["id"])


def link_deleted(place: Place) -> None:
    profile = _profile(place)
    link = place.cloud.links(profile)[0]
    place.user.ok("iam", "trusted-profile-link-delete", profile, link["id"], "-f")


def profile_deleted(place: Place) -> None:
    place.user.ok("iam", "trusted-profile-delete", _profile(place), "-f")


def not_placed(place: Place) -> None:
    """As after the loss of its node: the row is taken from the database."""
    place.user.ok("is", "instance-stop", "patient", "-f", "--wait")
    place.user.ok("is", "instance-start", "patient", "--wait")
    with closing(sqlite3.connect(place.dev.state_dir / "linklocal.db", timeout=20)) as database:
        found = place.user.json("is", "instance", "patient")["id"]
        database.execute("DELETE FROM placements WHERE instance_id = ?", (found,))
        database.commit()


def session_of_a_dead_server(place: Place) -> None:
    place.session(api="http://127.0.0.1:9", iam="http://127.0.0.1:9", api_key="x")


def session_is_no_json(place: Place) -> None:
    place.session()
    (place.config / "session.json").write_text("{")


def key_never_made(place: Place) -> None:
    place.session(api_key="not-a-key")


def key_deleted(place: Place) -> None:
    made = place.user.json("iam", "api-key-create", "gone")
    place.user.ok("iam", "api-key-delete", made["id"], "-f")
    place.session(api_key=made["apikey"])


def token_forged(place: Place) -> None:
    place.session(token="a.b.c")


BREAKAGES: list[tuple[Callable[[Place], None], str]] = [
    (disabled, "disabled: The metadata service of patient is disabled."),
    (stopped, "stopped: patient is stopped."),
    (link_deleted, "profile-not-linked: patient is not linked to its default trusted profile."),
    (session_of_a_dead_server, "session-elsewhere: The session is for http://127.0.0.1:9"),
    (session_is_no_json, "session-damaged: "),
    (key_never_made, "token-refused: The server gives no token: "),
    (key_deleted, "token-refused: The server gives no token: "),
    (token_forged, "token-refused: The server gives no token: "),
    (profile_deleted, "profile-gone: The default trusted profile "),
    (not_placed, "not-placed: patient is served by no node: "),
]


def server_disabled(place: Place) -> None:
    place.user.ok("is", "bare-metal-server-update", "metal", "--metadata-service", "false")


def server_stopped(place: Place) -> None:
    place.user.ok("is", "bare-metal-server-stop", "metal", "-f")


def server_profile_deleted(place: Place) -> None:
    values = place.user.json("is", "bare-metal-server-initialization-values", "metal")
    profile = str(values["default_trusted_profile"]["target"]["id"])
    place.user.ok("iam", "trusted-profile-delete", profile, "-f")


OF_A_SERVER: list[tuple[Callable[[Place], None], str]] = [
    (server_disabled, "disabled: The metadata service of metal is disabled."),
    (server_stopped, "stopped: metal is stopped."),
    (server_profile_deleted, "profile-gone: The default trusted profile "),
]


def follow(place: Place, first: Done, name: str = "patient") -> None:
    """Run the command that is given, and what the doctor says after it, until all is well."""
    done = first
    for _ in range(STEPS):
        command = done.stdout.splitlines()[1]
        words = shlex.split(command.removeprefix("Run: "))
        assert words[0] == "linklocal"
        place.user.ok(*words[1:])
        done = settled(place, name)
        if done.status == 0:
            return
    raise AssertionError(done)


def settled(place: Place, name: str = "patient") -> Done:
    """What the doctor says once the node has acknowledged what the last command changed."""
    deadline = time.monotonic() + SECONDS
    while (done := place.user.run("doctor", name)).stdout.startswith(PASSING):
        assert time.monotonic() < deadline, done
        time.sleep(0.05)  # of a process that can only be asked
    return done


@pytest.mark.parametrize(("breakage", "said"), BREAKAGES, ids=[b.__name__ for b, _ in BREAKAGES])
def test_found_first_and_mended(place: Place, breakage: Callable[[Place], None], said: str) -> None:
    """The place is well before and after each."""
    breakage(place)
    done = settled(place)

    assert done.status == 1
    assert done.stdout.startswith(said), done
    follow(place, done)


@pytest.mark.parametrize(
    ("breakage", "said"), OF_A_SERVER, ids=[b.__name__ for b, _ in OF_A_SERVER]
)
def test_of_a_bare_metal_server(place: Place, breakage: Callable[[Place], None], said: str) -> None:
    """Its commands have other names than an instance's."""
    assert settled(place, "metal").status == 0
    breakage(place)
    deadline = time.monotonic() + SECONDS
    while not (done := settled(place, "metal")).stdout.startswith(said):
        assert time.monotonic() < deadline, done
        time.sleep(0.05)  # its stop does not wait
    follow(place, done, "metal")


def test_names_of_instances_and_servers_are_completed(place: Place) -> None:
    for words, offered in (
        ("linklocal doctor me", "metal"),
        ("linklocal doctor pat", "patient"),
        ("linklocal is bare-metal-server me", "metal"),
        ("linklocal is bare-metal-server-stop me", "metal"),
        ("linklocal is bare-metal-server-delete me", "metal"),
        ("linklocal is instance-stop me", ""),
    ):
        done = place.user.run(
            _LINKLOCAL_COMPLETE="bash_complete", COMP_WORDS=words,
            COMP_CWORD=str(len(words.split()) - 1),
        )  # fmt: skip
        assert done.stdout.split() == ([f"plain,{offered}"] if offered else []), done


def test_from_inside_the_guest(place: Place) -> None:
    address = place.user.json("node", "attachments")
    url = next(item["address"] for item in address if item["name"] == "patient")
    assert place.user.ok("doctor", "--guest", "--url", url).endswith("OK\n")
    refused = place.user.run("doctor", "--guest", "--url", "http://127.0.0.1:9")
    assert refused.stdout.startswith("port-refused: ")
    disabled(place)
    deadline = time.monotonic() + SECONDS
    while not (done := place.user.run("doctor", "--guest", "--url", url)).stdout.startswith(
        "disabled: "
    ):
        assert time.monotonic() < deadline, done
        time.sleep(0.05)  # of a process that can only be asked
    place.user.ok("is", "instance-update", "patient", "--metadata-service", "true")


def test_the_guest_does_not_trust_the_certificate(place: Place, tmp_path: Path) -> None:
    """The command that is given runs in a shell, and the same guest is well afterwards."""
    place.user.ok("is", "instance-update", "patient", "--msp", "https")
    assert settled(place).status == 0
    listed = place.user.json("node", "attachments")
    url = next(item["address"] for item in listed if item["name"] == "patient")
    done = place.user.run("doctor", "--guest", "--url", url)

    first, command = done.stdout.splitlines()
    assert first == f"tls-untrusted: The certificate of {url} is not trusted here."
    script = f"{command.removeprefix('Run: ')}\nlinklocal doctor --guest --url {url}"
    after = subprocess.run(
        ["sh", "-ec", script],
        cwd=tmp_path,
        env=shell(place, tmp_path),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert after.stdout.endswith("OK\n"), after
    place.user.ok("is", "instance-update", "patient", "--msp", "http")


def shell(place: Place, folder: Path) -> dict[str, str]:
    """The environment of a shell that finds the program."""
    program = folder / "linklocal"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m linklocal "$@"\n')
    program.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {**clean_environment(), **place.user.variables, "PATH": path}


def ready(file: Path, pid: int) -> bool:
    """Whether this process wrote the file; the one that was killed left it behind."""
    return file.exists() and f'"pid": {pid}' in file.read_text()


def test_with_its_node_revoked_and_the_server_down(place: Place, tmp_path: Path) -> None:
    """A dev's own node comes back with the next start. Then killed: mended on the port that clients know.

    Ends the place.
    """
    assert settled(place).status == 0
    place.user.ok("node", "revoke", "dev", "-f")
    shown = place.user.json("is", "instance", "patient")
    assert (shown["status"], shown["health_state"]) == ("pending", "faulted")
    deadline = time.monotonic() + SECONDS
    while not (done := place.user.run("doctor", "patient")).stdout.startswith("node-revoked: "):
        assert time.monotonic() < deadline, done
        time.sleep(0.05)  # of a process that can only be asked
    command = done.stdout.splitlines()[1].removeprefix("Run: ")
    first, wait, start = command.split("; ")
    pid = place.dev.process.pid
    assert (first, wait) == (f"kill {pid}", f"tail --pid {pid} -f /dev/null")
    script = subprocess.Popen(
        ["sh", "-ec", f"{first}; {wait}; exec {start}"], env=shell(place, tmp_path),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        place.dev.process.wait(SECONDS)
        deadline = time.monotonic() + SECONDS
        while not ready(place.dev.state_dir / "dev.json", script.pid):
            assert script.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)  # a file appears: there is no event to wait for
        done = settled(place)
        assert done.stdout.startswith(
            "not-placed: patient is served by no node: Node dev has been"
        ), done
        follow(place, done)
        place.user.ok(
            "node", "place", place.user.json("is", "bare-metal-server", "metal")["id"], "dev"
        )
    finally:
        script.kill()
        script.wait(20)
    done = place.user.run("doctor", "patient")

    port = place.dev.api.rpartition(":")[2]
    command = f"linklocal dev --state-dir {place.dev.state_dir} --port {port}"
    assert done.stdout.splitlines() == [
        f"server-down: The server at {place.dev.api} does not answer.",
        f"Run: {command}",
    ]
    again = subprocess.Popen(
        [sys.executable, "-m", *command.split()],
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + SECONDS
        while not ready(place.dev.state_dir / "dev.json", again.pid):
            assert again.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)  # a file appears: there is no event to wait for
        assert place.user.ok("doctor", "patient").endswith("OK\n")
    finally:
        again.terminate()
        again.wait(20)
