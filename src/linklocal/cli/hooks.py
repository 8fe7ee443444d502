"""`linklocal node hook ...`: what container engines and hypervisors run when a guest comes and goes.

They say nothing on standard output (libvirt would take it for XML), and one line on standard error when a
guest is not attached. `deploy/hooks` has what is installed where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from linklocal.cli.node import node_folder
from linklocal.cli.options import state_dir_option
from linklocal.errors import OperatorError

F = TypeVar("F", bound=Callable[..., Any])
STANDARD_INPUT = 0  # the descriptor: an engine may have closed it, and then there is no sys.stdin


def hook_options(command: F) -> F:
    """What all hooks take."""
    wait = click.option(
        "--wait",
        type=click.FloatRange(0, 60),
        default=5.0,
        show_default=True,
        help="Seconds that the node may take to be there.",
    )
    optional = click.option(
        "--optional", is_flag=True, help="Let a guest start also when it cannot be attached."
    )
    return state_dir_option(wait(optional(command)))


@click.group()
def hook() -> None:
    """Attach containers and virtual machines when they start, detach them when they end."""


@hook.command()
@hook_options
def oci(state_dir: Path | None, wait: float, optional: bool) -> None:
    """Run by an OCI runtime at createRuntime and poststop, with the container's state on standard input.

    A container is an instance if its annotation linklocal.instance says which (id or name).

    \b
    Example:
      linklocal node hook oci < state.json
    """
    from linklocal.node import guests, hooking

    with _one_line(must=not optional):
        guest = guests.of_oci_state(hooking.read_input(STANDARD_INPUT))
        if guest is not None:
            _take(state_dir, guest, wait)


@hook.command()
@hook_options
@click.argument("domain")
@click.argument("operation")
@click.argument("more", nargs=-1)
def libvirt(
    state_dir: Path | None,
    wait: float,
    optional: bool,
    domain: str,
    operation: str,
    more: tuple[str, ...],
) -> None:
    """Run by libvirt as /etc/libvirt/hooks/qemu, with the domain's XML on standard input.

    A domain is an instance if an element <instance> of urn:linklocal:1 in its metadata says which.

    \b
    Example:
      linklocal node hook libvirt web started begin - < domain.xml
    """
    from linklocal.node import guests, hooking

    if operation not in (*guests.LIBVIRT_BEGINS, *guests.LIBVIRT_ENDS):
        return
    # A failure at `reconnect` would have libvirt kill a guest that runs.
    with _one_line(must=not optional and operation == "started"):
        xml = hooking.read_input(STANDARD_INPUT)
        guest = guests.of_libvirt_domain(domain, operation, xml)
        if guest is not None:
            _take(state_dir, guest, wait)


@hook.command()
@hook_options
@click.option(
    "--instance",
    envvar="LINKLOCAL_INSTANCE",
    help="The machine's instance (id or name); default: the one of the machine's name.",
)
@click.option(
    "--main-pid",
    type=click.IntRange(1),
    envvar="MAINPID",
    help="The process of systemd-nspawn; systemd sets it.",
)
@click.argument("change", type=click.Choice(["attach", "detach"]))
@click.argument("machine")
def nspawn(
    state_dir: Path | None,
    wait: float,
    optional: bool,
    instance: str | None,
    main_pid: int | None,
    change: str,
    machine: str,
) -> None:
    """Run by systemd-nspawn@MACHINE.service after its start and after its stop.

    \b
    Example:
      linklocal node hook nspawn attach web --main-pid 4711 --instance my-vm
    """
    from linklocal.node import guests

    with _one_line(must=not optional):
        if change == "attach" and main_pid is None:
            raise OperatorError(
                "MAINPID is not set.",
                "Run this from the unit's ExecStartPost=, or give --main-pid.",
            )
        pid = main_pid if change == "attach" else None
        _take(state_dir, guests.of_nspawn_machine(machine, instance, pid), wait)


def _take(state_dir: Path | None, guest: Any, wait: float) -> None:
    from linklocal.node import hooking

    folder = node_folder(state_dir)
    try:
        if guest.place is None:
            hooking.detach(folder, guest, wait)
        else:
            hooking.attach(folder, guest, wait)
    except OperatorError as error:
        name = guest.label.partition(":")[2]
        raise OperatorError(f"{name}: {error.message}", error.next_step) from error


@contextmanager
def _one_line(*, must: bool) -> Iterator[None]:
    """Say a failure on one line, because that is what engines keep; it is the guest's failure if `must`."""
    try:
        yield
    except OperatorError as error:
        text = " ".join(f"{error.message} {error.next_step}".split())
        click.echo(f"linklocal: {text}", err=True)
        if must:
            raise click.exceptions.Exit(1) from error
