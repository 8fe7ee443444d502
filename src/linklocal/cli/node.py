"""`linklocal node ...`: running a node, and what an operator does with nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from linklocal.cli.is_.instance import confirm
from linklocal.cli.options import given, output_option, session_option, state_dir_option
from linklocal.cli.output import print_json, print_table


@click.group()
def node() -> None:
    """Run a node on a host, place instances on nodes, look at a node's listeners."""


@node.command()
@state_dir_option
@click.option("--server-url", help="URL of the server (default http://127.0.0.1:8080).")
@click.option(
    "--join-token",
    envvar="LINKLOCAL_JOIN_TOKEN",
    help="One-time token of `linklocal node join-token`; needed once.",
)
@click.option("--name", "node_name", help="Name of this node (default: the host's).")
@click.option(
    "--snapshot",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Serve the documents of this file and ask no server.",
)
@click.option(
    "--loopback-ports",
    is_flag=True,
    default=None,
    help="Open a loopback port for each instance. Any local user can reach it: for development.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Processes that answer calls, each for its part of the instances (default 1: the node itself).",
)
@click.option(
    "--instance-rate",
    type=click.FloatRange(1),
    help="Calls per second and instance, beyond which they are answered 429 (default 2000).",
)
@click.option(
    "--nocloud",
    is_flag=True,
    default=None,
    help="Serve each instance a seed for cloud-init at /nocloud/. It asks for no token.",
)
@click.option("--replace", is_flag=True, help="End the node that runs in this folder first.")
def run(
    state_dir: Path | None,
    server_url: str | None,
    join_token: str | None,
    node_name: str | None,
    snapshot: Path | None,
    loopback_ports: bool | None,
    workers: int | None,
    instance_rate: float | None,
    nocloud: bool | None,
    replace: bool,
) -> None:
    """Run the agent that serves metadata to the instances on this host.

    \b
    Example:
      linklocal node run --server-url http://control:8080 --join-token @token
    """
    from linklocal.node.run import run_node
    from linklocal.settings import NodeSettings

    if join_token is not None and join_token.startswith("@"):
        join_token = Path(join_token[1:]).read_text().strip()
    settings = NodeSettings(
        **given(
            state_dir=state_dir,
            server_url=server_url,
            join_token=join_token,
            node_name=node_name,
            snapshot=snapshot,
            loopback_ports=loopback_ports,
            workers=workers,
            instance_rate=instance_rate,
            nocloud=nocloud,
        )
    )
    if replace:
        from linklocal.node.replacing import end_running

        end_running(settings.state_dir)
    run_node(settings)


@node.command()
@state_dir_option
@output_option
def attachments(state_dir: Path | None, output: str | None) -> None:
    """Where this host's instances reach their metadata service. Works with the server down.

    \b
    Example:
      linklocal node attachments --output JSON
    """
    listed: list[dict[str, Any]] = _ask_node(state_dir, "/v1/attachments")
    if output:
        print_json(listed)
        return
    columns = (
        "instance", "name", "id", "kind", "where", "label", "address", "enabled", "response_hop_limit",
        "fault",
    )  # fmt: skip
    header = (
        "Instance", "Name", "ID", "Kind", "Where", "Label", "Address", "Enabled", "Response hop limit",
        "Fault",
    )  # fmt: skip
    print_table(header, ([item.get(column) for column in columns] for item in listed))


@node.command()
@state_dir_option
@output_option
def limits(state_dir: Path | None, output: str | None) -> None:
    """How many calls each instance may make and made, and whose are not taken for a while.

    Over its rate an instance is answered 429, and after many of those nothing, for a second at a time.

    \b
    Example:
      linklocal node limits
    """
    listed: list[dict[str, Any]] = _ask_node(state_dir, "/v1/limits")
    if output:
        print_json(listed)
        return
    columns = (
        "instance", "name", "id", "rate", "connections", "requests", "refused", "limited", "over_cap",
        "pauses", "paused_seconds",
    )  # fmt: skip
    header = (
        "Instance", "Name", "ID", "Calls per second", "Connections", "Calls", "Refused", "429",
        "Over connections", "Pauses", "Paused for (s)",
    )  # fmt: skip
    print_table(header, ([item.get(column) for column in columns] for item in listed))


@node.command()
@state_dir_option
@output_option
@click.argument("instance")
@click.option("--netns", help="Network namespace of the guest: a name of `ip netns`, or a path.")
@click.option("--pid", type=click.IntRange(1), help="A process in the guest's network namespace.")
@click.option("--device", help="Device of the host behind which is only the guest: tap, veth, VRF.")
@click.option(
    "--when-disabled",
    type=click.Choice(["refuse", "silent"]),
    default="refuse",
    show_default=True,
    help="Answer 403 while the instance's service is disabled, or nothing.",
)
@click.option("--label", help="A name by which to find the attachment again.")
def attach(
    state_dir: Path | None,
    output: str | None,
    instance: str,
    netns: str | None,
    pid: int | None,
    device: str | None,
    when_disabled: str,
    label: str | None,
) -> None:
    """Serve INSTANCE (id or name) at 169.254.169.254 where its packets arrive.

    \b
    Example:
      linklocal node attach my-vm --netns blue
      linklocal node attach my-vm --pid 4711 --when-disabled silent
      linklocal node attach my-vm --device tap0
    """
    if [netns, pid, device].count(None) != 2:
        raise click.UsageError("Give one of --netns, --pid and --device.")
    body = given(
        instance=instance,
        netns=netns,
        pid=pid,
        device=device,
        when_disabled=when_disabled,
        label=label,
    )
    made = _tell_node(state_dir, "/v1/attach", body)
    if output:
        print_json(made)
    else:
        click.echo(f"OK\n{made['id']} {made['where']}: {made['address'] or made['fault']}")


@node.command()
@state_dir_option
@click.argument("instance")
@click.option("--id", "id_", help="Only this one of the instance's attachments.")
def detach(state_dir: Path | None, instance: str, id_: str | None) -> None:
    """Stop serving INSTANCE (id or name) where `node attach` began to.

    \b
    Example:
      linklocal node detach my-vm
    """
    _tell_node(state_dir, "/v1/detach", given(instance=instance, id=id_))
    click.echo("OK")


@node.command()
@state_dir_option
def status(state_dir: Path | None) -> None:
    """What this host's node has applied, how old it is, and what is wrong.

    \b
    Example:
      linklocal node status
    """
    print_json(_ask_node(state_dir, "/v1/status"))


@node.command("join-token")
@session_option
@click.option("--name", help="The only node name that may use it.")
def join_token(state_dir: Path | None, name: str | None) -> None:
    """Make a token with which one new node can join, within an hour.

    \b
    Example:
      linklocal node join-token > token
    """
    made = _operator(state_dir).request("POST", "/linklocal/v1/join_tokens", given(name=name))
    click.echo(made["token"])


@node.command("list")
@session_option
@output_option
def list_(state_dir: Path | None, output: str | None) -> None:
    """The nodes that this server knows.

    \b
    Example:
      linklocal node list
    """
    nodes = _operator(state_dir).request("GET", "/linklocal/v1/nodes")["nodes"]
    if output:
        print_json(nodes)
        return
    header = ("ID", "Name", "Instances", "Applied revision", "Revision", "Last seen", "Revoked")
    keys = ("id", "name", "instances", "applied_revision", "revision", "last_seen_at", "revoked_at")
    print_table(header, ([item.get(key) for key in keys] for item in nodes))


@node.command()
@session_option
@click.argument("instance")
@click.argument("node_name", metavar="NODE")
def place(state_dir: Path | None, instance: str, node_name: str) -> None:
    """Place INSTANCE (id) on NODE (name or id); it starts there.

    \b
    Example:
      linklocal node place 0717_67b1179a-8b25-4ac9-8bc0-7f3027466ed0 host-1
    """
    _operator(state_dir).request("PUT", f"/linklocal/v1/placements/{instance}", {"node": node_name})
    click.echo("OK")


@node.command()
@session_option
@click.argument("node_name", metavar="NODE")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
def revoke(state_dir: Path | None, node_name: str, force: bool) -> None:
    """Refuse NODE (name or id) from now on: its key, its tokens, its watch. It cannot be undone.

    \b
    Example:
      linklocal node revoke host-1
    """
    confirm(f"Revoke node {node_name}? Its instances get no service until placed anew.", force)
    _operator(state_dir).request("DELETE", f"/linklocal/v1/nodes/{node_name}")
    click.echo("OK")


def _operator(state_dir: Path | None) -> Any:
    from linklocal.cli.operator import OperatorClient

    return OperatorClient(state_dir)


def _tell_node(state_dir: Path | None, path: str, body: dict[str, Any]) -> Any:
    from linklocal.node.local_api import post

    return post(node_folder(state_dir), path, body)


def _ask_node(state_dir: Path | None, path: str) -> Any:
    from linklocal.node.local_api import fetch

    return fetch(node_folder(state_dir), path)


def node_folder(state_dir: Path | None) -> Path:
    """The folder of this host's node."""
    from linklocal.settings import NodeSettings, ServerSettings

    base = state_dir or ServerSettings().state_dir
    # `linklocal dev` keeps its node in a folder of its own below the state folder.
    inside = base / "node"
    return NodeSettings(state_dir=inside if inside.is_dir() else base).state_dir
