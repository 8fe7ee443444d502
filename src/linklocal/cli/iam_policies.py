"""`linklocal iam trusted-profile-polic*`: the roles of a trusted profile. IBM's command names.

A policy gives roles on one service, `is` or `iam-identity`, or without one on all services of the account.
"""

from __future__ import annotations

from typing import Any

import click

from linklocal.cli.iam_command import Iam, iam_command
from linklocal.cli.iam_profiles import PROFILE, only_id
from linklocal.cli.is_.instance import confirm, force_option
from linklocal.cli.output import moment
from linklocal.cli.session import policy_client
from linklocal.errors import OperatorError

ROLE_CRN = "crn:v1:bluemix:public:iam::::role:"
ALL = "All services"
_ROLES_HELP = "Viewer, Operator, Editor or Administrator; several with commas."


POLICY = click.argument("policy", metavar="POLICY_ID")


def _service(policy: dict[str, Any]) -> str:
    attributes = {one["name"]: one["value"] for one in policy["resources"][0]["attributes"]}
    return str(attributes.get("serviceName", ALL))


def _roles(policy: dict[str, Any]) -> str:
    return ", ".join(role["display_name"] for role in policy["roles"])


def _rows(policy: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        ("Policy ID", policy["id"]), ("Roles", _roles(policy)), ("Service", _service(policy)),
        ("Description", policy.get("description")), ("Created At", moment(policy["created_at"])),
    ]  # fmt: skip


def _listed(run: Iam, iam_id: str) -> list[dict[str, Any]]:
    answer = policy_client(run.session).list_policies(run.session.account_id, iam_id=iam_id)
    return list(answer.result["policies"])


def _of_profile(run: Iam, profile: dict[str, Any], policy: str) -> dict[str, Any]:
    for one in _listed(run, profile["iam_id"]):
        if one["id"] == policy:
            return one
    raise OperatorError(
        f"The trusted profile {profile['name']} has no policy {policy!r}.",
        f"linklocal iam trusted-profile-policies {profile['name']}",
    )


def _body(run: Iam, iam_id: str, roles: str, service: str | None) -> dict[str, Any]:
    attributes = [{"name": "accountId", "value": run.session.account_id}]
    if service is not None:
        attributes.append({"name": "serviceName", "value": service})
    named = [role.strip() for role in roles.split(",") if role.strip()]
    return {
        "type": "access",
        "subjects": [{"attributes": [{"name": "iam_id", "value": iam_id}]}],
        "roles": [{"role_id": f"{ROLE_CRN}{role.capitalize()}"} for role in named],
        "resources": [{"attributes": attributes}],
    }


@click.command("trusted-profile-policies")
@PROFILE
@only_id
@iam_command
def list_(run: Iam, profile: str, only_id: bool) -> None:
    """List the roles that a trusted profile has.

    \b
    Example:
      linklocal iam trusted-profile-policies my-profile
    """
    found = _listed(run, run.profile(profile)["iam_id"])
    if only_id:
        for item in found:
            click.echo(item["id"])
        return
    run.say(f"Getting policies of trusted profile {profile}")
    run.listing(found, ("Policy ID", "Roles", "Service", "Description"), lambda item: (
        item["id"], _roles(item), _service(item), item.get("description"),
    ))  # fmt: skip


@click.command("trusted-profile-policy")
@PROFILE
@POLICY
@iam_command
def show(run: Iam, profile: str, policy: str) -> None:
    """Show a policy of a trusted profile.

    \b
    Example:
      linklocal iam trusted-profile-policy my-profile POLICY_ID
    """
    run.say(f"Getting policy {policy} of trusted profile {profile}")
    run.detail(_of_profile(run, run.profile(profile), policy), _rows)


@click.command("trusted-profile-policy-create")
@PROFILE
@click.option("--roles", required=True, metavar="ROLES", help=_ROLES_HELP)
@click.option("--service-name", metavar="SERVICE", help="`is` or `iam-identity`; default: all.")
@click.option("-d", "--description", help="What it is for.")
@iam_command
def create(
    run: Iam, profile: str, roles: str, service_name: str | None, description: str | None
) -> None:
    """Give a trusted profile roles, so that instances with it can use the API.

    \b
    Example:
      linklocal iam trusted-profile-policy-create my-profile --roles Viewer --service-name is
    """
    found = run.profile(profile)
    run.say(f"Creating policy for trusted profile {profile}")
    body = _body(run, found["iam_id"], roles, service_name)
    made = policy_client(run.session).create_policy(**body, description=description).result
    run.detail(made, _rows)


@click.command("trusted-profile-policy-update")
@PROFILE
@POLICY
@click.option("--roles", metavar="ROLES", help=_ROLES_HELP)
@click.option("--service-name", metavar="SERVICE", help="`is` or `iam-identity`.")
@click.option("-d", "--description", help="New description; an empty text clears it.")
@iam_command
def update(
    run: Iam,
    profile: str,
    policy: str,
    roles: str | None,
    service_name: str | None,
    description: str | None,
) -> None:
    """Change the roles of a policy; what is not given stays.

    \b
    Example:
      linklocal iam trusted-profile-policy-update my-profile POLICY_ID --roles Editor
    """
    if roles is None and service_name is None and description is None:
        raise OperatorError(
            "Nothing was named that should change.",
            "linklocal iam trusted-profile-policy-update --help",
        )
    found = run.profile(profile)
    before = _of_profile(run, found, policy)
    run.say(f"Updating policy {policy} of trusted profile {profile}")
    client = policy_client(run.session)
    tag = client.get_policy(policy).get_headers()["ETag"]
    kept = None if _service(before) == ALL else _service(before)
    body = _body(run, found["iam_id"], roles or _roles(before), service_name or kept)
    text = before.get("description") if description is None else description
    run.detail(client.replace_policy(policy, tag, **body, description=text).result, _rows)


@click.command("trusted-profile-policy-delete")
@PROFILE
@POLICY
@force_option
@iam_command
def delete(run: Iam, profile: str, policy: str, force: bool) -> None:
    """Take roles from a trusted profile; its tokens lose them at once.

    \b
    Example:
      linklocal iam trusted-profile-policy-delete my-profile POLICY_ID -f
    """
    found = run.profile(profile)
    item = _of_profile(run, found, policy)
    confirm(f"Delete policy {policy} ({_roles(item)}) of {found['name']}?", force)
    run.say(f"Deleting policy {policy}")
    policy_client(run.session).delete_policy(item["id"])
    run.done()


COMMANDS = (list_, show, create, update, delete)
