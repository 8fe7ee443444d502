"""Getting an access token in the ways of `linklocal login`: an API key, a compute resource's token, an
instance's own metadata service. Control-plane contract 5.4. IBM's SDK does the calls.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from linklocal.cli.session import Session
from linklocal.errors import OperatorError

SECURE_URL = "https://api.metadata.cloud.ibm.com"
PLAIN_URL = "http://169.254.169.254"
_VPC_VARIABLE = "IBMCLOUD_CR_VPC_URL"


def value_or_file(value: str, option: str) -> str:
    """`VALUE` or the content of `@FILE`, without white space around it. Raises OperatorError."""
    if not value.startswith("@"):
        return value.strip()
    path = Path(value[1:]).expanduser()
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(
            f"{path} cannot be read: {error}.", f"Name a text file: {option} @FILE"
        ) from error


def token_of_resource(iam: str, token: str, profile: str) -> str:
    """An access token for a compute resource's identity token and a trusted profile's id, CRN or name.

    Raises ApiException when IAM refuses.
    """
    from ibm_cloud_sdk_core.api_exception import ApiException
    from requests import post

    kind = (
        "crn" if profile.startswith("crn:") else "id" if profile.startswith("Profile-") else "name"
    )
    form = {
        "grant_type": "urn:ibm:params:oauth:grant-type:cr-token",
        "cr_token": token,
        f"profile_{kind}": profile,
    }
    # Not the SDK's ContainerTokenManager: it reads the token from a file only, and knows no CRN.
    answer = post(f"{iam}/identity/token", data=form, timeout=20)
    if not answer.ok:
        raise ApiException(answer.status_code, http_response=answer)
    return str(answer.json()["access_token"])


def token_of_instance(url: str | None, profile: str | None) -> str:
    """An access token from the metadata service of the instance that this runs in.

    `url` is IBMCLOUD_CR_VPC_URL. Raises OperatorError, naming that variable when secure access needs it,
    and ApiException when the service refuses.
    """
    from ibm_cloud_sdk_core.token_managers.vpc_instance_token_manager import VPCInstanceTokenManager
    from requests.exceptions import RequestException, SSLError

    members: dict[str, Any] = {}
    if profile is not None:
        if not profile.startswith(("crn:", "Profile-")):
            raise OperatorError(
                f"--vpc-cri takes the id or the CRN of a profile, not a name: {profile!r}.",
                "linklocal login --vpc-cri --profile Profile-...",
            )
        members["iam_profile_crn" if profile.startswith("crn:") else "iam_profile_id"] = profile
    base = url or PLAIN_URL
    manager = VPCInstanceTokenManager(url=base, **members)
    # The SDK has no limit of its own: a guest without the service would wait for minutes.
    manager.http_config = {"timeout": 10}
    try:
        return str(manager.get_token())
    except SSLError as error:
        raise OperatorError(
            f"The certificate of {base} is not trusted here.",
            "Name the server's root: REQUESTS_CA_BUNDLE=tls.pem, which `linklocal ca tls` prints.",
        ) from error
    except RequestException as error:
        if url is None:
            step = f"Is secure access on? Then run: {_VPC_VARIABLE}={SECURE_URL} linklocal login --vpc-cri"
        else:
            step = f"Look at {_VPC_VARIABLE}, and at the instance: linklocal doctor"
        raise OperatorError(
            f"The metadata service at {base} does not answer ({type(error).__name__}).", step
        ) from error


def checked(session: Session) -> Session:
    """The session with account and user, after a first token. Raises ApiException, OperatorError."""
    from dataclasses import replace

    known = session.known()
    return replace(session, account_id=known.account_id, user=known.user)
