"""`linklocal doctor`: each named breakage is made, found first, and mended by the command that it gives."""

from __future__ import annotations

import json
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cloud import Cloud, clients
from live import Dev, running
from terminal import Terminal

SECONDS = 30.0


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
        yield Place(dev, cloud, Terminal(dev.state_dir, folder / "config"), folder / "config")


def disabled(place: Place) -> None:
    place.user.ok("is", "instance-update", "patient", "--metadata-service", "false")


def disabled_https(place: Place) -> None:
    place.user.ok("is", "instance-update", "patient", "--msp", "https", "--ms", "false")


def stopped(place: Place) -> None:
    place.user.ok("is", "instance-stop", "patient", "-f", "--wait")


def _profile(place: Place) -> str:
    values = place.user.json("is", "instance-initialization-values", "patient")
    return str(values["default_trusted_profile"]["target"]["id"])


def link_deleted(place: Place) -> None:
    profile = _profile(place)
    link = place.cloud.links(profile)[0]
    place.user.ok("iam", "trusted-profile-link-delete", profile, link["id"], "-f")


def never_linked(place: Place) -> None:
    """An instance made with auto link false takes the patient's place."""
    profile = _profile(place)
    place.user.ok("is", "instance-delete", "patient", "-f", "--wait")
    place.cloud.create(
        name="patient",
        metadata_service={"enabled": True},
        default_trusted_profile={"target": {"id": profile}, "auto_link": False},
    )


def session_of_a_dead_server(place: Place) -> None:
    place.session(api="http://127.0.0.1:9", iam="http://127.0.0.1:9", api_key="x")


def session_is_no_json(place: Place) -> None:
    place.session()
    (place.config / "session.json").write_text("{")


def session_of_another_version(place: Place) -> None:
    place.session(api_key="x", colour="blue")


def key_never_made(place: Place) -> None:
    place.session(api_key="not-a-key")


def key_deleted(place: Place) -> None:
    made = place.user.json("iam", "api-key-create", "gone")
    place.user.ok("iam", "api-key-delete", made["id"], "-f")
    place.session(api_key=made["apikey"])


def key_disabled(place: Place) -> None:
    made = place.user.json("iam", "api-key-create", "off")
    place.user.ok("iam", "api-key-disable", made["id"])
    place.session(api_key=made["apikey"])


def token_forged(place: Place) -> None:
    place.session(token="a.b.c")


BREAKAGES: list[tuple[Callable[[Place], None], str]] = [
    (disabled, "disabled: The metadata service of patient is disabled."),
    (disabled_https, "disabled: The metadata service of patient is disabled."),
    (stopped, "stopped: patient is stopped."),
    (link_deleted, "profile-not-linked: patient is not linked to its default trusted profile."),
    (never_linked, "profile-not-linked: patient is not linked to its default trusted profile."),
    (session_of_a_dead_server, "session-elsewhere: The session is for http://127.0.0.1:9"),
    (session_is_no_json, "session-damaged: "),
    (session_of_another_version, "session-damaged: "),
    (key_never_made, "token-refused: The server gives no token: "),
    (key_deleted, "token-refused: The server gives no token: "),
    (key_disabled, "token-refused: The server gives no token: "),
    (token_forged, "token-refused: The server gives no token: "),
]


def healthy(place: Place) -> None:
    """Within a moment: a node acknowledges a change after the API has answered."""
    deadline = time.monotonic() + SECONDS
    while (done := place.user.run("doctor", "patient")).status != 0:
        assert time.monotonic() < deadline, done
        time.sleep(0.05)  # of a process that can only be asked
    assert done.stdout.endswith("OK\n")


@pytest.mark.parametrize(("breakage", "said"), BREAKAGES, ids=[b.__name__ for b, _ in BREAKAGES])
def test_found_first_and_mended(place: Place, breakage: Callable[[Place], None], said: str) -> None:
    healthy(place)
    breakage(place)
    done = place.user.run("doctor", "patient")

    first, command = done.stdout.splitlines()
    assert done.status == 1
    assert first.startswith(said), done
    words = shlex.split(command.removeprefix("Run: "))
    assert words[0] == "linklocal"
    place.user.ok(*words[1:])
    healthy(place)


def test_from_inside_the_guest(place: Place) -> None:
    healthy(place)
    address = place.user.json("node", "attachments")
    url = next(item["address"] for item in address if item["name"] == "patient")
    if url.startswith("https:"):
        place.user.ok("is", "instance-update", "patient", "--msp", "http")
        healthy(place)
        url = url.replace("https://localhost", "http://127.0.0.1")
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


def test_with_the_server_down(place: Place) -> None:
    """Killed: found, with the command that starts it on the port that clients know. Ends the place."""
    healthy(place)
    place.dev.stop(signal.SIGKILL)
    done = place.user.run("doctor", "patient")

    port = place.dev.api.rpartition(":")[2]
    assert done.stdout.splitlines() == [
        f"server-down: The server at {place.dev.api} does not answer.",
        f"Run: linklocal dev --state-dir {place.dev.state_dir} --port {port}",
    ]
