"""Options of IBM's commands that linklocal leaves out: which, why, and what to do in their place.

One table (control-plane contract 5.2, 5.4). From it come the refusals of the options, which help and
completion do not offer, and the section of `docs/cli.md`; a test holds it against the contract's tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import click

from linklocal.errors import OperatorError

_MADE = (
    "is instance-create",
    "is instance-template-create",
    "is instance-template-create-override-source-template",
    "is instance-create-from-template",
)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Options with one reason: their spellings (one tuple each), the commands that IBM's have them on."""

    options: tuple[tuple[str, ...], ...]
    commands: tuple[str, ...]
    why: str
    instead: str
    flags: bool = False  # take no value


LEFT_OUT = (
    LeftOut(
        (("--dedicated-host",), ("--dedicated-host-group",)),
        (*_MADE, "is instance-update"),
        "linklocal has no dedicated hosts.",
        "Leave it out; --placement-group keeps instances apart.",
    ),
    LeftOut(
        (("--reservation-affinity-pool", "--res-pool"),),
        _MADE,
        "linklocal has no reservations.",
        "Leave it out; --reservation-affinity-policy takes automatic and disabled.",
    ),
    LeftOut(
        (("--reservation-affinity-policy", "--res-policy"),
         ("--reservation-affinity-pool", "--res-pool")),
        ("is instance-update",),
        "linklocal has no reservations.",
        "Leave it out: it would change nothing.",
    ),
    LeftOut(
        (("--catalog-offering",), ("--catalog-offering-version",), ("--catalog-offering-plan",)),
        _MADE,
        "linklocal has no catalog.",
        "Name an image: --image ID|NAME",
    ),
    LeftOut(
        (("--cluster-network-attachments",),),
        _MADE,
        "linklocal has no cluster networks.",
        "Leave it out; --network-attachments attaches to further subnets.",
    ),
    LeftOut(
        (("-i", "--interactive"),),
        _MADE,
        "linklocal does not ask for options one after the other.",
        "Name them on the command line; --help lists them.",
        flags=True,
    ),
    LeftOut(
        (("--dedicated-host", "--dh"),),
        ("is instances",),
        "linklocal has no dedicated hosts.",
        "linklocal is instances",
    ),
    LeftOut(
        (("--reservation",),),
        ("is instances",),
        "linklocal has no reservations.",
        "linklocal is instances",
    ),
    LeftOut(
        (("--instance-group", "--ig"),),
        ("is instances",),
        "linklocal has no instance groups.",
        "linklocal is instances",
    ),
    LeftOut(
        (("--private-key",), ("--private-key-passphrase",)),
        ("is instance-initialization-values",),
        "No instance of linklocal has a password that would have to be decrypted.",
        "Leave it out.",
    ),
    LeftOut(
        (("--deprecate-at",), ("--obsolete-at",)),
        ("is image-update",),
        "Images of linklocal have no end date.",
        "Delete the image when nobody uses it: linklocal is image-delete IMAGE",
    ),
    LeftOut(
        (("--routing-table", "--rt"),),
        ("is subnets", "is subnet-create"),
        "linklocal has no routing tables but each VPC's own.",
        "Leave it out.",
    ),
    LeftOut(
        (("--username", "-u"), ("--password", "-p")),
        ("login",),
        "linklocal has no user names and passwords.",
        "linklocal login --apikey KEY",
    ),
    LeftOut(
        (("--sso",),),
        ("login",),
        "linklocal has no single sign-on.",
        "linklocal login --apikey KEY",
        flags=True,
    ),
    LeftOut(
        (("--skip-ssl-validation",),),
        ("login",),
        "A certificate is never left unchecked.",
        "Name the root to trust: REQUESTS_CA_BUNDLE=tls.pem, which `linklocal ca tls` prints.",
        flags=True,
    ),
)  # fmt: skip


def refuse(root: click.Group) -> None:
    """Give the commands below `root` their left-out options: hidden, and a failure when they are used."""
    for row in LEFT_OUT:
        for path in row.commands:
            command: click.Command = root
            for word in path.split():
                assert isinstance(command, click.Group)
                command = command.commands[word]
            command.params += [_option(row, names) for names in row.options]


def _option(row: LeftOut, names: tuple[str, ...]) -> click.Option:
    def fail(context: click.Context, option: click.Parameter, value: str | bool | None) -> None:
        if value is not None and value is not False:
            raise OperatorError(f"{names[0]} cannot be used: {row.why}", row.instead)

    # Eager: it is said before a positional is missed that the option would have replaced.
    return click.Option(
        names, is_flag=row.flags, hidden=True, expose_value=False, is_eager=True, callback=fail
    )


def page() -> str:
    """The section of `docs/cli.md`."""
    lines = [
        "## Options that are left out",
        "",
        "IBM's commands have these, and linklocal nothing behind them: it fails and says what to do.",
        "",
        "| options | of `linklocal ...` | why | in their place |",
        "|---|---|---|---|",
    ]
    for row in LEFT_OUT:
        options = ", ".join(f"`{name}`" for names in row.options for name in names)
        commands = ", ".join(f"`{command}`" for command in row.commands)
        instead = row.instead.replace("|", "\\|")
        lines.append(f"| {options} | {commands} | {row.why} | {instead} |")
    return "\n".join(lines)
