"""How failures are printed, and which exit status they give. Control-plane contract 5.1.

Every failure ends with one line that says what to try next.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from linklocal.errors import OperatorError

if TYPE_CHECKING:
    from ibm_cloud_sdk_core import ApiException

_NEXT_BY_CODE = {
    "profile_not_linked": "Link the profile: linklocal iam trusted-profile-link-create PROFILE "
    "--name LINK --cr-type VSI --link-crn INSTANCE_CRN",
    "validation_unique_failed": "Choose another name.",
    "precondition_failed": "Read the resource again, then repeat the change.",
    "BXNIM0415E": "Make a new key (`linklocal iam api-key-create`), or give the right one with --apikey.",
}
_NEXT_BY_STATUS = {
    401: "Log in again: linklocal login --apikey KEY",
    403: "Do what the message says is needed; roles are given by an administrator.",
    409: "Bring the resource into the state that the message names, then run the command again.",
    429: "Wait a moment, then run the command again.",
    501: "Leave it out: linklocal does not have this.",
}


@contextmanager
def api_failures(api: str | None = None) -> Iterator[None]:
    """Inside the block IBM's SDK may fail: the failure is printed and the command exits with 1."""
    from ibm_cloud_sdk_core import ApiException
    from requests.exceptions import RequestException

    try:
        yield
    except ApiException as error:
        print_api_failure(error)
        raise click.exceptions.Exit(1) from error
    except RequestException as error:
        where = api or (error.request.url if error.request is not None else None)
        url = where.decode() if isinstance(where, bytes) else where
        raise OperatorError(
            f"The server at {url} does not answer ({type(error).__name__}).",
            "Find out what is wrong: linklocal doctor",
        ) from error


def print_failure(message: str, next_step: str) -> None:
    """`FAILED`, what happened, what to try."""
    click.echo("FAILED", err=True)
    click.echo(message, err=True)
    click.echo(f"\nNext: {next_step}", err=True)


def print_api_failure(error: ApiException) -> None:
    """IBM's layout: a block for each error, then what to try next."""
    body = _body(error)
    errors: list[dict[str, Any]] = body.get("errors") or [
        {
            "code": body.get("errorCode", "unknown"),
            "message": body.get("errorMessage", error.message),
        }
    ]
    trace = body.get("trace") or error.global_transaction_id or "-"
    lines = [f"Response HTTP Status Code: {error.status_code}"]
    for item in errors:
        lines += [
            f"Error code: {item.get('code', '-')}",
            f"Error message: {item.get('message', '-')}",
        ]
        if target := item.get("target"):
            lines.append(f"Error target name: {target['name']}, type: {target['type']}")
    lines.append(f"Trace ID: {trace}")
    code = str(errors[0].get("code", ""))
    if error.status_code is not None and error.status_code >= 500:
        fallback = f"Look into the server's log for {trace}."
    else:
        fallback = _NEXT_BY_STATUS.get(error.status_code or 0) or _next_by_command()
    print_failure("\n".join(lines), _NEXT_BY_CODE.get(code, fallback))


def _next_by_command() -> str:
    """The listing of what the running command names, or else its help."""
    context = click.get_current_context(silent=True)
    if context is None or context.parent is None:
        return "linklocal --help"
    group, path = context.parent.command, context.parent.command_path
    listing = f"{context.info_name}s"
    if isinstance(group, click.Group) and listing in group.commands:
        return f"{path} {listing}"
    return f"Change what the message names; the options are in {context.command_path} --help"


def _body(error: ApiException) -> dict[str, Any]:
    if error.http_response is None:
        return {}
    try:
        body = error.http_response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def print_usage_failure(error: click.UsageError) -> None:
    """A command that was typed wrongly: what is wrong, its usage line, where its help is."""
    usage = error.ctx.get_usage() if error.ctx is not None else "Usage: linklocal [OPTIONS] COMMAND"
    path = error.ctx.command_path if error.ctx is not None else "linklocal"
    print_failure(f"{error.format_message()}\n{usage}", f"{path} --help")
