"""`linklocal doctor [INSTANCE]`: looks at the whole way of a guest's call and names the first fault.

Gathers facts: from the server when it answers, and from the node's local socket. What they mean is
`diagnosis.py`'s. Changes nothing.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from linklocal.cli.completion import machine_names
from linklocal.cli.diagnosis import Facts, Finding, behind, diagnose, diagnose_guest
from linklocal.cli.environment import environment
from linklocal.cli.options import session_option
from linklocal.cli.output import cell
from linklocal.cli.processes import is_stopped, listening_process, mount_of, unit_of
from linklocal.cli.session import Session, current
from linklocal.errors import OperatorError

SECONDS = 3.0
POLL_SECONDS = 0.2
PAGE = "version=2024-11-12&generation=2"
_TAKEN = re.compile(r"127\.0\.0\.1:(\d+) is this instance's and cannot be listened on")


@click.command()
@click.argument("instance", required=False, shell_complete=machine_names)
@click.option("--guest", is_flag=True, help="Look from inside the instance that this runs in.")
@click.option(
    "--url",
    default="http://169.254.169.254",
    metavar="URL",
    help="The metadata service, with --guest. (default: http://169.254.169.254)",
)
@session_option
def doctor(instance: str | None, guest: bool, url: str, state_dir: Path | None) -> None:
    """Find out why an instance does not get its metadata: the first fault, and what mends it.

    INSTANCE is an instance or a bare metal server, by name, id or CRN; without it, every one that is not
    stopped is looked at. Works with the server down, too. Exit status 1 when something is wrong.

    \b
    Example:
      linklocal doctor my-instance
      linklocal doctor --guest
    """
    if guest:
        seen = probe(url, None)
        other = probe(_other_protocol(url), None) if seen == "refused" else None
        _tell(diagnose_guest(url, seen, other), f"{url} answers.")
        return
    survey = Survey(state_dir)
    listed = survey.instances()
    if instance is None:
        running = [item for item in listed if item["status"] != "stopped"]
        subjects: list[tuple[str, dict[str, Any] | None]]
        subjects = [(str(item["name"]), item) for item in running]
    else:
        named = (item for item in listed if instance in (item["id"], item["name"], item["crn"]))
        subjects = [(instance, next(named, None))]
    found = diagnose(survey.facts)
    for typed, subject in subjects if found is None else ():
        survey.look_at(typed, subject)
        found = found or diagnose(survey.facts)
    if found is not None:
        # What still works is worth knowing when the server is down.
        _attached(survey.facts, err=True)
        _tell(found, "")
    _attached(survey.facts, err=False)
    _tell(None, f"{survey.facts.api}: server, token, node and {len(subjects)} instances are well.")


def _attached(facts: Facts, *, err: bool) -> None:
    """Who is attached to this host, from the node itself."""
    for item in facts.attachments:
        if item["fault"] is not None:
            click.echo(f"{item['instance']}: {item['where']}, {item['fault']}", err=err)
            continue
        click.echo(
            f"{item['name']}: {item['address']} ({item['kind']}), enabled {cell(item['enabled'])}, "
            f"hop limit {item['response_hop_limit']}", err=err,
        )  # fmt: skip


def _tell(found: Finding | None, well: str) -> None:
    if found is None:
        click.echo(f"{well}\nOK")
        return
    click.echo(f"{found.name}: {found.message}\nRun: {found.mend}")
    raise click.exceptions.Exit(1)


def _other_protocol(url: str) -> str:
    """The same host by the other protocol, on its own port."""
    parts = urlsplit(url)
    return f"{'http' if parts.scheme == 'https' else 'https'}://{parts.hostname}"


def probe(url: str, roots: str | None) -> int | str:
    """What a listener answers without a token: a status, or `refused`, `timeout`, `untrusted`.

    `roots` is PEM; None trusts the system's.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((host, port), SECONDS) as connection:
            connection.settimeout(SECONDS)
            stream: socket.socket = connection
            if parts.scheme == "https":
                context = ssl.create_default_context(cadata=roots)
                stream = context.wrap_socket(connection, server_hostname=host)
            stream.sendall(
                f"GET /metadata/v1/instance?version=2022-03-01 HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                "Authorization: Bearer none\r\nConnection: close\r\n\r\n".encode()
            )
            line = stream.recv(64)
    except ssl.SSLError:
        return "untrusted"
    except TimeoutError:
        return "timeout"
    except OSError:
        return "refused"
    words = line.split(b" ", 2)
    return int(words[1]) if len(words) > 2 and words[1].isdigit() else "silent"


class Survey:
    """Gathers the facts of one run; a fact that cannot be had stays None."""

    def __init__(self, state_dir: Path | None) -> None:
        folder = state_dir or environment().state_dir
        self.facts = Facts(state_dir=str(folder))
        self._session: Session | None = None
        self.token: str | None = None
        try:
            self._session = current(state_dir)
        except OperatorError as error:
            self.facts.damaged = error.message if "damaged" in error.message else None
            self.facts.logged_in = False
        else:
            self.facts.api, self.facts.source = self._session.api, self._session.source
            self._log_in(self._session)
            self.facts.local_dev = self._session.source == "login" and _dev_answers(folder)
        self._look_at_node(folder)

    def _log_in(self, session: Session) -> None:
        import httpx

        try:
            httpx.get(f"{session.api}/healthz", timeout=SECONDS)
        except httpx.HTTPError:
            self.facts.server_up = False
            return
        self.facts.server_up = True
        self.token = session.token
        if session.api_key is not None:
            form = {
                "grant_type": "urn:ibm:params:oauth:grant-type:apikey",
                "apikey": session.api_key,
            }
            answer = httpx.post(f"{session.iam}/identity/token", data=form, timeout=SECONDS)
            if answer.is_success:
                self.token = str(answer.json()["access_token"])
            else:
                self.facts.key_refused = str(answer.json().get("errorMessage", answer.status_code))

    def _look_at_node(self, folder: Path) -> None:
        from linklocal.node.replacing import running_process

        # `linklocal dev` keeps its node in a folder of its own below the state folder.
        inside = folder / "node"
        node = inside if inside.is_dir() else folder
        facts = self.facts
        facts.node_dir, facts.joined = str(node), (node / "node.json").exists()
        deadline = time.monotonic() + SECONDS
        facts.node_pid = running_process(node)
        facts.node_stopped = is_stopped(facts.node_pid)
        if not facts.node_stopped:  # which would take the call and never answer
            self._read_node(node)
        # A change of a moment ago is no fault: the node may be about to apply it.
        while behind(facts) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            self._read_node(node)
        facts.unit, facts.disk = unit_of(facts.node_pid), str(mount_of(node))
        faults = " ".join(facts.node["instance_faults"].values()) if facts.node is not None else ""
        taken = _TAKEN.search(faults)
        facts.port_owner = listening_process(int(taken[1])) if taken is not None else None

    def _read_node(self, node: Path) -> None:
        from linklocal.node.local_api import fetch

        try:
            self.facts.node = fetch(node, "/v1/status")
            self.facts.attachments = fetch(node, "/v1/attachments")
        except OperatorError:
            self.facts.node = None
        if self.token is not None:
            listed = self.ask("/linklocal/v1/nodes")
            self.facts.nodes = None if listed is None else listed["nodes"]

    def ask(self, path: str) -> Any:
        """The server's answer, None for a refusal."""
        import httpx

        headers = {"Authorization": f"Bearer {self.token}"}
        answer = httpx.get(f"{self.facts.api}{path}", headers=headers, timeout=SECONDS)
        if answer.status_code == 401:
            self.facts.key_refused = "the session's token is not accepted."
        return answer.json() if answer.is_success else None

    def instances(self) -> list[dict[str, Any]]:
        """Those of the account, then its bare metal servers; at most 100 of each."""
        found: list[dict[str, Any]] = []
        for collection in ("instances", "bare_metal_servers") if self.token is not None else ():
            listed = self.ask(f"/v1/{collection}?{PAGE}&limit=100")
            found += [] if listed is None else listed[collection]
        return found

    def look_at(self, typed: str, instance: dict[str, Any] | None) -> None:
        """Take up everything about one instance."""
        self.facts.typed, self.facts.instance = typed, instance
        self.facts.probe = self.facts.profile = self.facts.links = None
        if instance is None:
            return
        attached = [
            a
            for a in self.facts.attachments
            if a["instance"] == instance["id"] and a["fault"] is None
        ]
        if attached and attached[0]["kind"] == "port":
            address = attached[0]["address"]
            roots = self._roots() if address.startswith("https:") else None
            self.facts.probe = probe(address, roots)
        server = instance["resource_type"] == "bare_metal_server"
        collection = "bare_metal_servers" if server else "instances"
        values = self.ask(f"/v1/{collection}/{instance['id']}/initialization?{PAGE}") or {}
        if server and "image" in values:  # which only these values have
            instance["image"] = values["image"]
        chosen = values.get("default_trusted_profile")
        if chosen is None:
            return
        self.facts.profile = chosen["target"]
        base = f"/v1/profiles/{chosen['target']['id']}"
        listed = self.ask(f"{base}/links")
        if listed is not None:
            self.facts.links = listed["links"]
            self.facts.rules = len((self.ask(f"{base}/rules") or {"rules": []})["rules"])

    def _roots(self) -> str:
        import httpx

        return httpx.get(f"{self.facts.api}/ca/tls.pem", timeout=SECONDS).text


def _dev_answers(folder: Path) -> bool:
    """Whether a `linklocal dev` of this folder answers."""
    import httpx

    try:
        api = str(json.loads((folder / "dev.json").read_text())["api"])
        return httpx.get(f"{api}/healthz", timeout=SECONDS).is_success
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        return False
