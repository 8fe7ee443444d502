"""`linklocal iam trusted-profile-assume|-leave`: act as a trusted profile for a while. Contract 5.4."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import click

from linklocal.cli.iam_command import Iam, iam_command
from linklocal.cli.session import Session, forget, keep, kept
from linklocal.errors import OperatorError

_GRANT = "urn:ibm:params:oauth:grant-type:assume"


def token_of_profile(session: Session, profile_id: str) -> str:
    """An access token of the profile for the session's user. Raises ApiException when IAM refuses."""
    from ibm_cloud_sdk_core.api_exception import ApiException
    from requests import post

    form = {
        "grant_type": _GRANT,
        "access_token": session.access_token(),
        "profile_id": profile_id,
    }
    answer = post(f"{session.iam}/identity/token", data=form, timeout=20)
    if not answer.ok:
        raise ApiException(answer.status_code, http_response=answer)
    return str(answer.json()["access_token"])


def can_assume(session: Session, profile_id: str) -> bool:
    """Whether IAM would give the session's user a token of the profile now: it is asked for one."""
    from ibm_cloud_sdk_core.api_exception import ApiException

    try:
        token_of_profile(session, profile_id)
    except ApiException as error:
        if error.status_code >= 500:
            raise
        return False
    return True


@click.command("trusted-profile-assume")
@click.argument("profile", metavar="[NAME|ID]", required=False)
@iam_command
def assume(run: Iam, profile: str | None) -> None:
    """Act as a trusted profile, with its roles, until you leave it or its token ends.

    Without a name: as the only one that you can assume.

    \b
    Example:
      linklocal iam trusted-profile-assume my-profile
      linklocal iam trusted-profile-leave
    """
    session = run.session
    if session.source == "environment":
        raise OperatorError(
            "The environment says who commands act as, whatever is assumed.",
            "unset LINKLOCAL_API IBMCLOUD_API_KEY, and log in: linklocal login -a URL --apikey KEY",
        )
    before = kept()
    found = _only(run) if profile is None else run.profile(profile)
    run.say(f"Assuming trusted profile {found['name']}")
    assumed = replace(
        session,
        api_key=None,
        token=token_of_profile(session, found["id"]),
        user=found["iam_id"],
        source="login",
        assumed_from={} if before is None else asdict(before),
    )
    keep(assumed)
    click.echo("OK")


def _only(run: Iam) -> dict[str, Any]:
    listed = run.all(run.iam.list_profiles, "profiles")
    match [profile for profile in listed if can_assume(run.session, profile["id"])]:
        case [profile]:
            return profile
        case []:
            raise OperatorError(
                "There is no trusted profile that you can assume.",
                "Ask an administrator for one, or name it to see why not: linklocal iam trusted-profiles",
            )
        case several:
            names = ", ".join(profile["name"] for profile in several)
            raise OperatorError(
                f"You can assume {len(several)} trusted profiles: {names}.",
                "Name one: linklocal iam trusted-profile-assume NAME",
            )


@click.command("trusted-profile-leave")
def leave() -> None:
    """Be again who you were before `trusted-profile-assume`.

    \b
    Example:
      linklocal iam trusted-profile-leave
    """
    session = kept()
    if session is None or session.assumed_from is None:
        raise OperatorError(
            "No trusted profile is assumed.", "linklocal iam trusted-profile-assume NAME"
        )
    if session.assumed_from:
        keep(Session(**session.assumed_from))
    else:
        forget()
    click.echo("OK")


COMMANDS: tuple[click.Command, ...] = (assume, leave)
