"""Every finding of `linklocal doctor`, from facts alone: which comes first, and the command it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from linklocal.cli.diagnosis import Facts, diagnose, diagnose_guest

CRN = "crn:v1:linklocal:public:is:us-south-1:a/1::instance:0717_1"
SETTING = {"enabled": True, "protocol": "http", "response_hop_limit": 1}


def healthy() -> Facts:
    """A guest's whole way, and nothing wrong with it."""
    return Facts(
        api="http://127.0.0.1:8080",
        source="environment",
        state_dir="/state",
        node_dir="/state/node",
        joined=True,
        node_pid=42,
        server_up=True,
        typed="vm",
        instance={
            "id": "0717_1", "name": "vm", "crn": CRN, "status": "running", "status_reasons": [],
            "metadata_service": dict(SETTING), "image": {"name": "debian"},
        },
        nodes=[{"id": "n1", "name": "host-1", "revoked_at": None, "revision": 7, "instances": 1}],
        node={
            "name": "host-1", "node_id": "n1", "applied_revision": 7, "refusing_because_of_age": False,
            "server": {"url": "http://127.0.0.1:8080", "connected": True, "fault": None,
                       "revoked": False, "clock_skew_seconds": 0.2},
            "instance_faults": {}, "node_faults": {},
        },
        attachments=[{
            "instance": "0717_1", "name": "vm", "id": "port", "kind": "port", "where": "127.0.0.1:8775",
            "address": "http://127.0.0.1:8775", "fault": None, **SETTING,
        }],
        probe=401,
        profile={"id": "Profile-1"},
        links=[{"link": {"crn": CRN}}],
    )  # fmt: skip


def instance(facts: Facts, **members: Any) -> None:
    assert facts.instance is not None
    facts.instance.update(members)


def node(facts: Facts, **members: Any) -> None:
    assert facts.node is not None
    facts.node.update(members)


def of_server(facts: Facts, **members: Any) -> None:
    assert facts.node is not None
    facts.node["server"].update(members)


def unplaced(facts: Facts) -> None:
    instance(facts, status="pending",
             status_reasons=[{"code": "cannot_start_compute", "message": "Place it."}])  # fmt: skip


def only(**members: Any) -> Callable[[Facts], None]:
    def change(facts: Facts) -> None:
        for name, value in members.items():
            setattr(facts, name, value)

    return change


Change = Callable[[Facts], None]
DEV = "linklocal dev in /state"
RESTART = "linklocal node run --replace --state-dir /state/node --server-url http://127.0.0.1:8080"
FINDINGS: list[tuple[str, Change, str]] = [
    ("session-damaged", only(damaged="session.json is damaged."), "linklocal logout"),
    ("no-server", only(logged_in=False, api="", server_up=None), "linklocal dev --state-dir /state"),
    ("session-elsewhere", only(server_up=False, source="login", local_dev=True), "linklocal logout"),
    ("server-down", only(server_up=False, source=DEV), "linklocal dev --state-dir /state --port 8080"),
    ("server-down", only(server_up=False), "linklocal server --state-dir /state --port 8080"),
    ("token-refused", only(key_refused="no"), "linklocal login --apikey KEY"),
    ("token-refused", only(key_refused="no", local_dev=True), "linklocal logout"),
    ("profile-gone", only(links=None), "linklocal is instance-stop vm -f --wait"),
    ("no-instance", only(instance=None), "linklocal is instances"),
    ("not-placed", unplaced, "linklocal node place 0717_1 host-1"),
    ("stopped", lambda f: instance(f, status="stopped"), "linklocal is instance-start vm --wait"),
    ("not-running", lambda f: instance(f, status="starting"), "linklocal node list"),
    ("no-node", only(node=None, node_pid=None), RESTART.replace(" --replace", "")),
    ("node-stopped", lambda f: (setattr(f, "node", None), setattr(f, "node_stopped", True))[0],
     "kill -CONT 42"),
    ("node-silent", only(node=None),
     f"kill -9 42; tail --pid 42 -f /dev/null; {RESTART.replace(' --replace', '')}"),
    ("disk-full", lambda f: node(f, node_faults={"marker": "No space left on device"}),
     "du -xah / | sort -h | tail -n 20"),
    ("disk-full", lambda f: node(f, instance_faults={"0717_1": "(No space left on device)"}),
     "du -xah / | sort -h | tail -n 20"),
    ("disk-read-only", lambda f: node(f, instance_faults={"0717_1": "(Read-only file system)"}),
     "mount -o remount,rw /"),
    ("node-revoked", lambda f: of_server(f, revoked=True),
     f'{RESTART} --name host-1 --join-token "$(linklocal node join-token)"'),
    ("node-too-old", lambda f: node(f, refusing_because_of_age=True), RESTART),
    ("node-cut-off", lambda f: of_server(f, connected=False, fault="refused"), RESTART),
    ("clock", lambda f: of_server(f, clock_skew_seconds=-31.0), "timedatectl set-ntp true"),
    ("behind", lambda f: node(f, applied_revision=6), RESTART),
    ("node-fault", lambda f: node(f, node_faults={"tls": "has expired"}), RESTART),
    ("disabled", lambda f: instance(f, metadata_service={**SETTING, "enabled": False}),
     "linklocal is instance-update vm --metadata-service true"),
    ("listener-fault",
     lambda f: node(f, instance_faults={"0717_1": "127.0.0.1:8775: something else listens there"}),
     RESTART),
    ("attachment-gone", lambda f: f.attachments[0].update(kind="netns", fault="blue is gone.", address=None),
     "linklocal node detach 0717_1 --id port"),
    ("device-address",
     lambda f: f.attachments[0].update(kind="device", fault="No address: run `ip addr add A dev tap0`."),
     "ip addr add A dev tap0"),
    ("listener-fault",
     lambda f: (setattr(f, "port_owner", 7), node(f, instance_faults={"0717_1": "taken."}))[1], "kill 7"),
    ("behind", lambda f: (setattr(f, "unit", "linklocal-node.service"), node(f, applied_revision=6))[1],
     "systemctl restart linklocal-node.service"),
    ("behind", lambda f: (setattr(f, "source", DEV), node(f, applied_revision=6))[1],
     "kill 42; tail --pid 42 -f /dev/null; linklocal dev --state-dir /state --port 8080"),
    ("not-attached", only(attachments=[]), "linklocal node attach vm --help"),
    ("setting-not-applied", lambda f: f.attachments[0].update(response_hop_limit=2),
     RESTART),
    ("tls-untrusted", only(probe="untrusted"), RESTART),
    ("listener-timeout", only(probe="timeout"), RESTART),
    ("listener-refused", only(probe="refused"), RESTART),
    ("profile-not-linked", only(links=[]),
     f"linklocal iam trusted-profile-link-create Profile-1 --name vm --cr-type VSI --link-crn {CRN}"),
]  # fmt: skip


def test_a_healthy_way_has_no_finding() -> None:
    assert diagnose(healthy()) is None


@pytest.mark.parametrize(("name", "change", "mend"), FINDINGS)
def test_each_finding(name: str, change: Change, mend: str) -> None:
    facts = healthy()
    change(facts)
    found = diagnose(facts)

    assert found is not None
    assert (found.name, found.mend) == (name, mend)
    assert found.message
    assert "\n" not in found.message


def test_what_a_call_needs_first_is_named_first() -> None:
    """Everything is wrong at once: the server, and after each mending the next on the way."""
    facts = healthy()
    instance(facts, status="stopped", metadata_service={**SETTING, "enabled": False})
    facts = replace(facts, server_up=False, links=[])
    said = []
    for mend in (only(server_up=True), lambda f: instance(f, status="running"),
                 lambda f: instance(f, metadata_service=dict(SETTING)),
                 only(links=[{"link": {"crn": CRN}}])):  # fmt: skip
        found = diagnose(facts)
        assert found is not None
        said.append(found.name)
        mend(facts)
    assert said == ["server-down", "stopped", "disabled", "profile-not-linked"]
    assert diagnose(facts) is None


def test_a_deleted_profile_is_taken_away_in_two_steps() -> None:
    facts = healthy()
    facts.links = None
    instance(facts, status="stopped")
    found = diagnose(facts)
    assert found is not None
    assert found.name == "profile-gone"
    assert found.mend == "linklocal is instance-reinitialize vm --image debian -f"


def test_a_rule_is_as_good_as_a_link() -> None:
    facts = healthy()
    facts.links, facts.rules = [], 1
    assert diagnose(facts) is None


def test_with_a_wrong_clock_the_clock_comes_before_the_connection() -> None:
    facts = healthy()
    of_server(facts, connected=False, fault="the clock is wrong", clock_skew_seconds=400.0)
    found = diagnose(facts)
    assert found is not None
    assert (found.name, found.mend) == ("clock", "timedatectl set-ntp true")


def test_of_what_is_attached_the_one_that_is_gone_is_named() -> None:
    """Although the node says the same of itself."""
    facts = healthy()
    node(facts, node_faults={"attachments": "blue is gone."})
    facts.attachments[0].update(kind="netns", where="blue", fault="blue is gone.", address=None)
    found = diagnose(facts)
    assert found is not None
    assert (found.name, found.message) == ("attachment-gone", "vm at blue: blue is gone.")


def test_nodes_of_other_hosts_are_no_fault_here() -> None:
    facts = healthy()
    facts.node, facts.attachments, facts.source, facts.joined = None, [], "login", False
    assert diagnose(facts) is None


@pytest.mark.parametrize(
    ("url", "seen", "other", "name"),
    [
        ("http://169.254.169.254", "timeout", None, "hop-limit"),
        ("http://169.254.169.254", "refused", "refused", "port-refused"),
        ("http://169.254.169.254", "refused", "timeout", "port-refused"),
        ("http://169.254.169.254", "refused", "untrusted", "secure-access"),
        ("https://api.metadata.cloud.ibm.com", "refused", 401, "secure-access"),
        ("https://api.metadata.cloud.ibm.com", "untrusted", None, "tls-untrusted"),
        ("http://169.254.169.254", 403, None, "disabled"),
    ],
)
def test_inside_the_guest(url: str, seen: int | str, other: int | str | None, name: str) -> None:
    found = diagnose_guest(url, seen, other)
    assert found is not None
    assert found.name == name
    assert url in found.message or name == "disabled"


def test_inside_a_healthy_guest() -> None:
    assert diagnose_guest("http://169.254.169.254", 401) is None
    assert diagnose_guest("http://169.254.169.254", 400) is None
