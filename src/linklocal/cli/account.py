"""`linklocal login|logout|target|api|regions|plugin`: who one is and where. Control-plane contract 5.4."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from linklocal.cli.environment import environment
from linklocal.cli.failures import api_failures
from linklocal.cli.options import output_option, session_option
from linklocal.cli.output import print_details, print_json, print_table
from linklocal.cli.session import Session, current, forget, keep, kept, vpc_client
from linklocal.errors import OperatorError


@click.command()
@click.option(
    "-a",
    "--api-endpoint",
    "api",
    metavar="URL",
    help="The server; default: LINKLOCAL_API, or a dev here.",
)
@click.option("--apikey", metavar="KEY|@FILE", help="An API key; default: IBMCLOUD_API_KEY.")
@click.option(
    "--cr-token",
    metavar="TOKEN|@FILE",
    help="An instance identity token; default: IBMCLOUD_CR_TOKEN.",
)
@click.option(
    "--profile",
    metavar="ID|CRN|NAME",
    help="Trusted profile of --cr-token or --vpc-cri; default: IBMCLOUD_CR_PROFILE.",
)
@click.option(
    "--vpc-cri",
    "--vpc",
    "vpc_cri",
    is_flag=True,
    help="As the instance that this runs in. With secure access, set "
    "IBMCLOUD_CR_VPC_URL=https://api.metadata.cloud.ibm.com first.",
)
@click.option("-c", "account", metavar="ACCOUNT", help="Fail when it is another account.")
@click.option("-g", "group", metavar="RESOURCE_GROUP", help="Resource group that is targeted.")
@click.option("-r", "region", metavar="REGION", help="Region that is targeted.")
@click.option("--no-region", is_flag=True, help="Target no region.")
@click.option("--no-account", is_flag=True, hidden=True)
@click.option("--accept", is_flag=True, hidden=True)
def login(
    api: str | None, apikey: str | None, cr_token: str | None, profile: str | None, vpc_cri: bool,
    account: str | None, group: str | None, region: str | None, no_region: bool, no_account: bool,
    accept: bool,
) -> None:  # fmt: skip
    """Log in with an API key, an instance identity token, or as the instance that this runs in.

    The session is kept for this user, in a file that only the user can read. On the machine of a running
    `linklocal dev` no login is needed.

    \b
    Example:
      linklocal login -a http://127.0.0.1:8080 --apikey @apikey
      linklocal login --vpc-cri
    """
    from linklocal.cli.login import checked, token_of_instance, token_of_resource, value_or_file

    env = environment()
    wanted = [
        name
        for name, given in (("--apikey", apikey), ("--cr-token", cr_token), ("--vpc-cri", vpc_cri))
        if given
    ]
    if len(wanted) > 1:
        raise click.UsageError(
            f"{' and '.join(wanted)} exclude each other.", click.get_current_context()
        )
    if not wanted:
        apikey, cr_token = env.api_key, env.cr_token if env.api_key is None else None
    profile = profile or env.cr_profile
    base = _endpoint(api, vpc_cri)
    iam = env.iam or base
    with api_failures(None if vpc_cri else iam):
        if vpc_cri:
            session = Session(base, iam, token=token_of_instance(env.cr_vpc_url, profile))
        elif cr_token is not None:
            if profile is None:
                raise OperatorError(
                    "--cr-token needs a trusted profile.", "Name it: --profile ID|CRN|NAME"
                )
            token = token_of_resource(iam, value_or_file(cr_token, "--cr-token"), profile)
            session = Session(base, iam, token=token)
        elif apikey is not None:
            session = Session(base, iam, api_key=value_or_file(apikey, "--apikey"))
        else:
            session = replace(current(env.state_dir), api=base, iam=iam)
        session = checked(session)
        if account is not None and account != session.account_id:
            raise OperatorError(
                f"This is account {session.account_id}, not {account}.",
                "Use a key of that account.",
            )
        session = replace(
            session,
            region=_region(session, region, no_region),
            resource_group=group,
            source="login",
        )
    keep(session)
    click.echo("OK\n")
    _show(session)


def _endpoint(api: str | None, vpc_cri: bool) -> str:
    """Where to log in: `-a`, LINKLOCAL_API, what was kept, the local dev."""
    known = api or environment().api
    if known is None:
        before = kept()
        if before is not None:
            known = before.api
        else:
            try:
                known = current(environment().state_dir).api
            except OperatorError:
                if not vpc_cri:
                    raise
                # A guest may know nothing of the server; `-a` or `linklocal api` names it later.
                known = "http://127.0.0.1:8080"
    return known.rstrip("/").removesuffix("/v1")


def _region(session: Session, wanted: str | None, no_region: bool) -> str:
    if no_region:
        return ""
    if wanted is None:
        return session.region
    names = [item["name"] for item in vpc_client(session.known()).list_regions().result["regions"]]
    if wanted not in names:
        raise OperatorError(f"There is no region {wanted!r}.", f"Use one of: {', '.join(names)}.")
    return wanted


def _show(session: Session) -> None:
    print_details([
        ("API endpoint:", session.api),
        ("Region:", session.region),
        ("User:", session.user),
        ("Account:", session.account_id),
        ("Resource group:", session.resource_group or "No resource group targeted"),
        ("From:", session.source),
    ])  # fmt: skip


@click.command()
def logout() -> None:
    """Forget the session that `linklocal login` kept.

    \b
    Example:
      linklocal logout
    """
    forget()
    click.echo("OK")


@click.command()
@click.option("-r", "region", metavar="REGION", help="Target this region.")
@click.option("--unset-region", is_flag=True, help="Target no region.")
@click.option("-c", "account", metavar="ACCOUNT", help="Fail when it is another account.")
@click.option("-g", "group", metavar="RESOURCE_GROUP", help="Target this resource group.")
@click.option("--unset-resource-group", is_flag=True, help="Target no resource group.")
@output_option
@session_option
def target(
    region: str | None, unset_region: bool, account: str | None, group: str | None,
    unset_resource_group: bool, output: str | None, state_dir: Path | None,
) -> None:  # fmt: skip
    """Show or change where commands go and for whom.

    \b
    Example:
      linklocal target -r us-south
    """
    session = current(state_dir)
    with api_failures(session.api):
        known = session.known()
        if account is not None and account != known.account_id:
            raise OperatorError(
                f"This is account {known.account_id}, not {account}.", "linklocal login -c ACCOUNT"
            )
        changed = replace(session, account_id=known.account_id, user=known.user)
        if region is not None or unset_region:
            changed = replace(changed, region=_region(session, region, unset_region))
        if group is not None or unset_resource_group:
            changed = replace(changed, resource_group=None if unset_resource_group else group)
    if region is not None or unset_region or group is not None or unset_resource_group:
        keep(replace(changed, source="login"))
    if output:
        print_json({
            "api_endpoint": changed.api, "region": changed.region, "user": changed.user,
            "account": changed.account_id, "resource_group": changed.resource_group, "from": changed.source,
        })  # fmt: skip
    else:
        _show(changed)


@click.command()
@click.argument("url", required=False)
def api(url: str | None) -> None:
    """Show or set the server that commands talk to.

    \b
    Example:
      linklocal api http://127.0.0.1:8080
    """
    if url is None:
        click.echo(f"API endpoint: {current().api}")
        return
    base = url.rstrip("/").removesuffix("/v1")
    if not base.startswith(("http://", "https://")):
        raise OperatorError(f"{url!r} is no URL.", "linklocal api http://HOST:PORT")
    session = current()
    if session.api != base:
        # A key or a token of one server must not be sent to another one.
        session = Session(
            base, base, region=session.region, api_key=environment().api_key, token=None
        )
        if session.api_key is None:
            forget()
            raise OperatorError(
                "Logged out: the session was for another server.",
                f"linklocal login -a {base} --apikey KEY",
            )
        keep(session)
    click.echo("OK")


@click.command()
@output_option
@session_option
def regions(output: str | None, state_dir: Path | None) -> None:
    """List the regions.

    \b
    Example:
      linklocal regions
    """
    session = current(state_dir)
    with api_failures(session.api):
        found: list[dict[str, Any]] = vpc_client(session).list_regions().result["regions"]
    if output:
        print_json(found)
    else:
        print_table(("Name", "Display name"), ((item["name"], item["name"]) for item in found))


@click.group()
def plugin() -> None:
    """Plug-ins of IBM's command line, which linklocal does not need."""


@plugin.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("-f", "--force", is_flag=True, hidden=True)
def install(names: tuple[str, ...], force: bool) -> None:
    """Say that nothing has to be installed: `linklocal is` is built in.

    \b
    Example:
      linklocal plugin install vpc-infrastructure
    """
    for name in names:
        click.echo(f"{name}: nothing has to be installed, linklocal has its commands built in.")
    click.echo("OK")


COMMANDS = (login, logout, target, api, regions, plugin)
