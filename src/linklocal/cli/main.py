"""The command line: `linklocal ...`. Only `cli/` prints and exits.

Imports of servers, databases and SDKs happen inside commands, so that `--help` stays quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from linklocal import __version__
from linklocal.cli import account
from linklocal.cli.audit import audit
from linklocal.cli.ca import ca
from linklocal.cli.completion import completion
from linklocal.cli.db import db
from linklocal.cli.doctor import doctor
from linklocal.cli.enter import enter
from linklocal.cli.failures import print_failure, print_usage_failure
from linklocal.cli.fault import fault
from linklocal.cli.hooks import hook
from linklocal.cli.iam import iam
from linklocal.cli.is_.group import is_
from linklocal.cli.left_out import refuse
from linklocal.cli.node import node
from linklocal.cli.reference import cli_reference, metadata_openapi, settings_reference
from linklocal.cli.report import report
from linklocal.cli.run import dev, server
from linklocal.errors import OperatorError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="linklocal")
def cli() -> None:
    """An instance metadata service that anybody can run, compatible with IBM Cloud VPC's.

    Begin with `linklocal dev`: one process with a server, a node and a demo instance.
    """


node.add_command(hook)
for command in (
    dev,
    server,
    node,
    *account.COMMANDS,
    is_,
    iam,
    audit,
    report,
    ca,
    db,
    completion,
    doctor,
    enter,
    fault,
    cli_reference,
    metadata_openapi,
    settings_reference,
):
    cli.add_command(command)
refuse(cli)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; `arguments` in place of the process's.

    Exits with 1 when the command failed or was typed wrongly, with 2 when a process could not be started.
    """
    try:
        status = cli.main(arguments, prog_name="linklocal", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.UsageError as error:
        print_usage_failure(error)
        sys.exit(1)
    except click.ClickException as error:
        print_failure(error.format_message(), "linklocal --help")
        sys.exit(error.exit_code)
    except OperatorError as error:
        print_failure(error.message, error.next_step)
        sys.exit(error.exit_code)
    else:
        # A command that ended with `Exit` has its status as the result here, others have None.
        if isinstance(status, int) and status != 0:
            sys.exit(status)
