"""What `linklocal doctor` concludes: facts -> the first thing that is wrong and the command that mends it.

Pure: `doctor.py` gathers the facts and prints. The order of the checks is the way that a call of a guest
depends on: server, token, node, instance, setting, listener, trusted profile.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

SKEW_MOST = 30.0  # seconds
_FULL, _READ_ONLY = os.strerror(errno.ENOSPC), os.strerror(errno.EROFS)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong: a name for scripts, what it is, and the command that mends it."""

    name: str
    message: str
    mend: str


@dataclass(slots=True)
class Facts:
    """What was seen. None: it could not be seen, because of something that is found before it.

    `local_dev`: whether a `linklocal dev` of this machine answers and could be used in place of the session.
    `nodes`: the operator's list; `node`, `attachments`: the local node's `/v1/status`, `/v1/attachments`;
    `node_dir`: its folder, `joined`: whether a node was there, `node_pid`, `unit`: its process, and the
    systemd unit of that; `node_stopped`: it was stopped by a signal. `disk`: where the file system of
    `node_dir` is mounted. `port_owner`: the process that has an instance's loopback port instead of the node.
    `instance`: an instance or a bare metal server. `probe`: what its listener answered without a token: a
    status, or `refused`, `timeout`, `untrusted`. `links`: of the default trusted profile; None when it has
    none.
    """

    api: str = ""
    source: str = ""
    state_dir: str = ""
    node_dir: str = ""
    joined: bool = False
    node_pid: int | None = None
    unit: str | None = None
    node_stopped: bool = False
    disk: str = "/"
    port_owner: int | None = None
    damaged: str | None = None
    logged_in: bool = True
    local_dev: bool = False
    server_up: bool | None = None
    key_refused: str | None = None
    typed: str | None = None
    instance: dict[str, Any] | None = None
    nodes: list[dict[str, Any]] | None = None
    node: dict[str, Any] | None = None
    attachments: list[dict[str, Any]] = field(default_factory=list)
    probe: int | str | None = None
    profile: dict[str, Any] | None = None
    links: list[dict[str, Any]] | None = None
    rules: int = 0


def diagnose(facts: Facts) -> Finding | None:
    """The first thing that is wrong; None when everything is well."""
    return next(_findings(facts), None)


def _findings(facts: Facts) -> Iterator[Finding]:
    yield from _session(facts)
    if facts.server_up and facts.instance is not None and facts.links is None:
        yield from _profile(facts, facts.instance)  # its second step needs a stopped instance
    yield from _node(facts)
    if facts.server_up and facts.instance is not None:
        yield from _listener(facts, facts.instance)
    if facts.server_up:
        yield from _instance(facts)
    if facts.server_up and facts.instance is not None:
        yield from _service(facts, facts.instance)
        yield from _profile(facts, facts.instance)


def _session(facts: Facts) -> Iterator[Finding]:
    port = urlsplit(facts.api).port if facts.api else None
    dev = f"linklocal dev --state-dir {facts.state_dir}" + (f" --port {port}" if port else "")
    if facts.damaged is not None:
        yield Finding("session-damaged", facts.damaged, "linklocal logout")
    if not facts.logged_in:
        yield Finding(
            "no-server",
            f"No server is known here: {facts.state_dir} has none, nobody is logged in.",
            dev,
        )
    elif facts.server_up is False and facts.source == "login" and facts.local_dev:
        yield Finding(
            "session-elsewhere", f"The session is for {facts.api}, which does not answer; a dev here does.",
            "linklocal logout",
        )  # fmt: skip
    elif facts.server_up is False:
        mend = (
            dev
            if facts.source.startswith("linklocal dev")
            else f"linklocal server --state-dir {facts.state_dir}"
            + (f" --port {port}" if port else "")
        )
        yield Finding("server-down", f"The server at {facts.api} does not answer.", mend)
    elif facts.key_refused is not None:
        mend = "linklocal logout" if facts.local_dev else "linklocal login --apikey KEY"
        yield Finding("token-refused", f"The server gives no token: {facts.key_refused}", mend)


def _is_server(instance: dict[str, Any]) -> bool:
    """Whether it is a bare metal server: its commands have another name, and none waits."""
    return bool(instance.get("resource_type") == "bare_metal_server")


def _command(instance: dict[str, Any], verb: str) -> str:
    noun = "bare-metal-server" if _is_server(instance) else "instance"
    return f"linklocal is {noun}-{verb} {instance['name']}"


def _wait(instance: dict[str, Any]) -> str:
    return "" if _is_server(instance) else " --wait"


def _instance(facts: Facts) -> Iterator[Finding]:
    instance = facts.instance
    if instance is None:
        if facts.typed is not None:
            yield Finding(
                "no-instance",
                f"There is no instance or bare metal server {facts.typed!r}.",
                "linklocal is instances",
            )
        return
    name = instance["name"]
    reasons = {reason["code"]: reason["message"] for reason in instance["status_reasons"]}
    if instance["status"] == "pending" and "cannot_start_compute" in reasons:
        nodes = [node for node in facts.nodes or [] if node["revoked_at"] is None]
        here = (facts.node or {}).get("node_id")
        nodes.sort(key=lambda node: node["id"] != here)
        where = nodes[0]["name"] if nodes else "NODE"
        yield Finding(
            "not-placed", f"{name} is served by no node: {reasons['cannot_start_compute']}",
            f"linklocal node place {instance['id']} {where}",
        )  # fmt: skip
    elif instance["status"] == "stopped":
        yield Finding(
            "stopped", f"{name} is stopped.", _command(instance, "start") + _wait(instance)
        )
    elif instance["status"] != "running":
        said = "; ".join(reasons.values()) or "its node has not acknowledged yet"
        yield Finding(
            "not-running", f"{name} is {instance['status']}: {said}.", "linklocal node list"
        )


def _start(facts: Facts, more: str = "") -> str:
    """The command that starts this host's node again, in place of the one that runs."""
    if facts.node_pid is not None and facts.source.startswith("linklocal dev"):
        # The node is in the dev's process: wait for its end, as it holds the folder until then.
        port = urlsplit(facts.api).port
        again = f"linklocal dev --state-dir {facts.state_dir}" + (f" --port {port}" if port else "")
        return f"kill {facts.node_pid}; tail --pid {facts.node_pid} -f /dev/null; {again}"
    if facts.unit is not None and not more:
        return f"systemctl restart {facts.unit}"
    replace = "" if facts.node is None else " --replace"
    server = f" --server-url {facts.api}" if facts.api else ""
    return f"linklocal node run{replace} --state-dir {facts.node_dir}{server}{more}"


def _node(facts: Facts) -> Iterator[Finding]:
    node = facts.node
    if node is None and not facts.joined and facts.source in ("login", "environment"):
        return  # the nodes are on other hosts: what they report is all that is known here
    if node is None and facts.node_stopped:
        yield Finding(
            "node-stopped", f"The node (process {facts.node_pid}) is stopped by a signal.",
            f"kill -CONT {facts.node_pid}",
        )  # fmt: skip
    if node is None and facts.node_pid is not None:
        pid = facts.node_pid
        yield Finding(
            "node-silent", f"The node (process {pid}) runs and does not answer.",
            f"kill -9 {pid}; tail --pid {pid} -f /dev/null; {_start(facts)}",
        )  # fmt: skip
    if node is None:
        yield Finding(
            "no-node", f"No node runs with the state folder {facts.node_dir}.", _start(facts)
        )
        return
    server = node["server"]
    if server is not None and server["revoked"]:
        yield Finding(
            "node-revoked",
            f"Node {node['name']} is revoked. Let it join anew, then place its instances.",
            _start(facts, f' --name {node["name"]} --join-token "$(linklocal node join-token)"'),
        )
    skew = server["clock_skew_seconds"] if server is not None else None
    if skew is not None and abs(skew) > SKEW_MOST:
        yield Finding(
            "clock",
            f"The clocks of node and server are {abs(skew):.0f} s apart.",
            "timedatectl set-ntp true",
        )  # before the connection: with a wrong clock there is none
    # Without a fault it has only just started, and is about to connect.
    cut_off = server is not None and not server["connected"] and server["fault"] is not None
    if server is not None and facts.server_up and cut_off:
        yield Finding(
            "node-cut-off", f"The node does not reach {server['url']}: {server['fault']}", _start(facts)
        )  # fmt: skip
    if node["refusing_because_of_age"]:
        yield Finding("node-too-old", "The node has not heard the server for too long and refuses calls.",
                      _start(facts))  # fmt: skip
    if behind(facts):
        known = {item["id"]: item for item in facts.nodes or []}
        yield Finding(
            "behind", f"The node is at revision {node['applied_revision']} of "
            f"{known[node['node_id']]['revision']}.", _start(facts),
        )  # fmt: skip
    for about, fault in node["node_faults"].items():
        yield from _disk(facts, f"{about}: {fault}")
        if about == "attachments":
            yield from _places(facts.attachments)  # says of which one, and what to do
        mend = _free_port(facts) if about == "attachments" else _start(facts)
        yield Finding("node-fault", f"{about}: {fault}", mend)


def _disk(facts: Facts, fault: str) -> Iterator[Finding]:
    """A restart mends no file system."""
    if _FULL in fault:
        yield Finding(
            "disk-full", f"{fault} Free space on {facts.disk}; the node then goes on by itself.",
            f"du -xah {facts.disk} | sort -h | tail -n 20",
        )  # fmt: skip
    if _READ_ONLY in fault:
        yield Finding(
            "disk-read-only", f"{fault} The node goes on by itself once it can write.",
            f"mount -o remount,rw {facts.disk}",
        )  # fmt: skip


def _places(listed: list[dict[str, Any]]) -> Iterator[Finding]:
    """Where operators attached and nothing arrives any more."""
    for item in listed:
        name = item["name"] or item["instance"]
        if item["fault"] is None or item["kind"] == "port":
            continue
        # Where the node knows the command that mends it, it says so.
        if (command := re.search(r"run `([^`]+)`", item["fault"])) is not None:
            yield Finding(
                "device-address", f"{name} at {item['where']}: {item['fault']}", command[1]
            )
        else:
            yield Finding(
                "attachment-gone", f"{name} at {item['where']}: {item['fault']}",
                f"linklocal node detach {item['instance']} --id {item['id']}",
            )  # fmt: skip


def behind(facts: Facts) -> bool:
    """Whether the local node has not applied what the server has for it."""
    if facts.node is None:
        return False
    wanted = {item["id"]: item["revision"] for item in facts.nodes or []}
    return bool(facts.node["applied_revision"] < wanted.get(facts.node["node_id"], 0))


def _listener(facts: Facts, instance: dict[str, Any]) -> Iterator[Finding]:
    fault = (facts.node or {}).get("instance_faults", {}).get(instance["id"])
    if fault is None:
        return
    yield from _disk(facts, f"{instance['name']}: {fault}")
    yield Finding(
        "listener-fault", f"The listener of {instance['name']}: {fault}", _free_port(facts)
    )


def _free_port(facts: Facts) -> str:
    """The node tries again by itself once the process that has the port is gone."""
    return _start(facts) if facts.port_owner is None else f"kill {facts.port_owner}"


def _service(facts: Facts, instance: dict[str, Any]) -> Iterator[Finding]:
    name, setting = instance["name"], instance["metadata_service"]
    if not setting["enabled"]:
        yield Finding("disabled", f"The metadata service of {name} is disabled.",
                      _command(instance, "update") + " --metadata-service true")  # fmt: skip
    placed = [item for item in facts.attachments if item["instance"] == instance["id"]]
    yield from _places(placed)
    attached = [item for item in placed if item["fault"] is None]
    if not attached and facts.node is None:
        return
    if not attached:
        yield Finding("not-attached", f"Nothing of this host is attached to {name}, which may be elsewhere.",
                      f"linklocal node attach {name} --help")  # fmt: skip
        return
    for item in attached:
        wrong = [
            f"{member} is {item[member]} and should be {setting[member]}"
            for member in ("protocol", "response_hop_limit", "enabled")
            if item[member] != setting.get(member, item[member])  # a server has no hop limit
        ]
        if wrong:
            yield Finding("setting-not-applied", f"At the listener of {name}, {', '.join(wrong)}.",
                          _start(facts))  # fmt: skip
    address = attached[0]["address"]
    if facts.probe == "untrusted":
        yield Finding("tls-untrusted", f"The certificate of {address} is not of this server's root.",
                      _start(facts))  # fmt: skip
    elif isinstance(facts.probe, str):
        yield Finding(f"listener-{facts.probe}", f"{address} does not answer ({facts.probe}).",
                      _start(facts))  # fmt: skip


def _profile(facts: Facts, instance: dict[str, Any]) -> Iterator[Finding]:
    profile = facts.profile
    if profile is None:
        return
    if facts.links is None:
        # It goes only when a stopped instance is reinitialized: one step after the other.
        name, image = instance["name"], instance.get("image", {}).get("name", "IMAGE")
        stopped = instance["status"] == "stopped"
        yield Finding(
            "profile-gone", f"The default trusted profile {profile['id']} of {name} is deleted.",
            f"{_command(instance, 'reinitialize')} --image {image} -f"
            if stopped
            else f"{_command(instance, 'stop')} -f{_wait(instance)}",
        )  # fmt: skip
        return
    linked = any(link["link"]["crn"] == instance["crn"] for link in facts.links)
    if not linked and facts.rules == 0:
        yield Finding(
            "profile-not-linked", f"{instance['name']} is not linked to its default trusted profile.",
            f"linklocal iam trusted-profile-link-create {profile['id']} --name {instance['name']} "
            f"--cr-type {'BMS' if _is_server(instance) else 'VSI'} --link-crn {instance['crn']}",
        )  # fmt: skip


def diagnose_guest(url: str, seen: int | str, other: int | str | None = None) -> Finding | None:
    """From inside the guest: a dropped answer, a closed port and a disabled service look different.

    `other`: what the other protocol's port answers, looked at when this one is refused.
    """
    match seen:
        case "refused" if other not in (None, "refused", "timeout"):
            return Finding(
                "secure-access", f"{url} is refused, and the other protocol's port answers.",
                "linklocal is instance-update INSTANCE --metadata-service-protocol "
                + ("https" if url.startswith("https:") else "http"),
            )  # fmt: skip
        case "timeout":
            return Finding(
                "hop-limit", f"{url} does not answer: its packets end on the way, or nothing is there.",
                "linklocal is instance-update INSTANCE --metadata-service-reach containers",
            )  # fmt: skip
        case "refused":
            return Finding("port-refused", f"{url} is refused: it is stopped, or on the "
                           "other protocol.", "linklocal is instance INSTANCE")  # fmt: skip
        case "untrusted":
            return Finding(
                "tls-untrusted",
                f"The certificate of {url} is not trusted here.",
                "linklocal ca tls > tls.pem; export SSL_CERT_FILE=$PWD/tls.pem",
            )
        case 403:
            return Finding("disabled", "The metadata service is disabled for this instance.",
                           "linklocal is instance-update INSTANCE --metadata-service true")  # fmt: skip
    return None
