"""`linklocal iam oauth-tokens|bearer-token|api-key*`. Control-plane contract 5.4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from linklocal.cli.iam_command import Iam, iam_command
from linklocal.cli.is_.instance import confirm, force_option
from linklocal.cli.is_.names import find
from linklocal.cli.output import moment
from linklocal.errors import OperatorError
from linklocal.files import write_private


@click.command("oauth-tokens")
@iam_command
def oauth_tokens(run: Iam) -> None:
    """Print the access token of the session, with its scheme.

    \b
    Example:
      export iam_token=$(linklocal iam oauth-tokens | awk '/IAM/{ print $4; }')
    """
    token = f"Bearer {run.session.access_token()}"
    if run.as_json:
        click.echo(json.dumps({"iam_token": token}))
    else:
        click.echo(f"IAM token:  {token}")


@click.command("bearer-token")
@iam_command
def bearer_token(run: Iam) -> None:
    """Print the access token of the session, and nothing else.

    \b
    Example:
      curl -H "Authorization: Bearer $(linklocal iam bearer-token)" ...
    """
    click.echo(run.session.access_token())


def _find(run: Iam, typed: str) -> dict[str, Any]:
    keys = run.all(run.iam.list_api_keys, "apikeys")
    try:
        return find(keys, typed, "API key", "api-keys")
    except OperatorError as error:
        raise OperatorError(error.message, "linklocal iam api-keys --uuid") from error


def _rows(key: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        ("ID", key["id"]), ("Name", key["name"]), ("Description", key.get("description")),
        ("Bound To", key["iam_id"]), ("Created At", moment(key["created_at"])),
        ("API Key", key.get("apikey")), ("Locked", key["locked"]), ("Disabled", key["disabled"]),
        ("Expires At", moment(key["expires_at"]) if "expires_at" in key else None),
    ]  # fmt: skip


@click.command("api-keys")
@click.option("--uuid", is_flag=True, help="Show ids.")
@click.option("-n", "by_name", is_flag=True, help="Sort by name, not by age.")
@click.option("-d", "descending", is_flag=True, help="Turn the order round.")
@iam_command
def api_keys(run: Iam, uuid: bool, by_name: bool, descending: bool) -> None:
    """List API keys. A key itself is shown only when it is made.

    \b
    Example:
      linklocal iam api-keys --uuid
    """
    run.say("Getting API keys")
    keys = run.all(run.iam.list_api_keys, "apikeys")
    keys.sort(key=lambda key: key["name" if by_name else "created_at"], reverse=descending)
    header = (*(("ID",) if uuid else ()), "Name", "Description", "Created At", "Locked", "Disabled")
    run.listing(keys, header, lambda key: (
        *((key["id"],) if uuid else ()), key["name"], key.get("description"),
        moment(key["created_at"]), key["locked"], key["disabled"],
    ))  # fmt: skip


@click.command("api-key")
@click.argument("name", metavar="NAME|UUID")
@iam_command
def api_key(run: Iam, name: str) -> None:
    """Show an API key, without the key itself.

    \b
    Example:
      linklocal iam api-key my-key
    """
    run.say(f"Getting API key {name}")
    run.detail(_find(run, name), _rows)


@click.command("api-key-create")
@click.argument("name")
@click.option("-d", "--description", help="What it is for.")
@click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it here, mode 0600, and do not print it.",
)
@click.option("--lock", is_flag=True, help="It cannot be changed or deleted until it is unlocked.")
@click.option(
    "--action-if-leaked",
    type=click.Choice(["NONE", "DISABLE", "DELETE"], case_sensitive=False),
    help="(default: NONE)",
)
@iam_command
def create(
    run: Iam,
    name: str,
    description: str | None,
    file: Path | None,
    lock: bool,
    action_if_leaked: str | None,
) -> None:
    """Make an API key for the user of the session. It is shown once.

    \b
    Example:
      linklocal iam api-key-create my-key -d "for my laptop" --file my-key.json
    """
    from linklocal.cli.session import unverified_claims

    run.say(f"Creating API key {name}")
    iam_id = str(unverified_claims(run.session.access_token())["iam_id"])
    made = run.iam.create_api_key(
        name, iam_id, account_id=run.session.account_id, description=description,
        entity_lock="true" if lock else None,
        action_when_leaked=action_if_leaked.lower() if action_if_leaked else None,
    ).result  # fmt: skip
    if file is not None:
        write_private(file.absolute(), json.dumps(made, indent=1).encode())
        made = {**made, "apikey": f"(in {file})"}
    run.detail(made, _rows)


@click.command("api-key-update")
@click.argument("name", metavar="NAME|UUID")
@click.option("-n", "--name", "new_name", metavar="NEW_NAME", help="New name.")
@click.option("-d", "--description", help="New description; an empty text clears it.")
@click.option(
    "--action-if-leaked",
    type=click.Choice(["NONE", "DISABLE", "DELETE"], case_sensitive=False),
    help="What happens to it when it is found in public.",
)
@iam_command
def update(
    run: Iam, name: str, new_name: str | None, description: str | None, action_if_leaked: str | None
) -> None:
    """Change an API key's name or description.

    \b
    Example:
      linklocal iam api-key-update my-key -n my-other-key
    """
    if new_name is None and description is None and action_if_leaked is None:
        raise OperatorError(
            "Nothing was named that should change.", "linklocal iam api-key-update --help"
        )
    found = _find(run, name)
    run.say(f"Updating API key {name}")
    made = run.iam.update_api_key(
        found["id"], found["entity_tag"], name=new_name, description=description,
        action_when_leaked=action_if_leaked.lower() if action_if_leaked else None,
    ).result  # fmt: skip
    run.detail(made, _rows)


@click.command("api-key-delete")
@click.argument("name", metavar="NAME|UUID")
@force_option
@iam_command
def delete(run: Iam, name: str, force: bool) -> None:
    """Delete an API key; whoever uses it is locked out.

    \b
    Example:
      linklocal iam api-key-delete my-key -f
    """
    found = _find(run, name)
    confirm(f"Delete API key {found['name']}?", force)
    run.say(f"Deleting API key {name}")
    run.iam.delete_api_key(found["id"])
    run.done()


def _switch(verb: str, what: str) -> click.Command:
    """`api-key-lock` and its three siblings."""

    @click.command(
        f"api-key-{verb}",
        help=f"{what}\n\n\b\nExample:\n  linklocal iam api-key-{verb} my-key",
    )
    @click.argument("name", metavar="NAME|UUID")
    @iam_command
    def switch(run: Iam, name: str) -> None:
        found = _find(run, name)
        run.say(f"{verb.capitalize().removesuffix('e')}ing API key {name}")
        getattr(run.iam, f"{verb}_api_key")(found["id"])
        run.done()

    return switch


COMMANDS = (
    oauth_tokens, bearer_token, api_keys, api_key, create, update, delete,
    _switch("lock", "Forbid to change or delete an API key."),
    _switch("unlock", "Allow to change or delete an API key again."),
    _switch("disable", "Refuse an API key until it is enabled."),
    _switch("enable", "Take a disabled API key again."),
)  # fmt: skip
