"""Whose account a command acts for, and where: options, environment, `linklocal login`, or a local dev.

Order: `LINKLOCAL_API` with `IBMCLOUD_API_KEY`; what `linklocal login` kept; the state folder of a
`linklocal dev` of this user. Nothing here imports IBM's SDKs before a client is asked for.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linklocal.cli.environment import Environment, environment
from linklocal.errors import OperatorError
from linklocal.files import private_folder, write_private

if TYPE_CHECKING:
    from ibm_cloud_sdk_core.authenticators import Authenticator
    from ibm_platform_services import IamIdentityV1, IamPolicyManagementV1
    from ibm_vpc import VpcV1

NOT_LOGGED_IN = "Not logged in. Use 'linklocal login' to log in."


@dataclass(frozen=True, slots=True)
class Session:
    """Where and as whom: URLs without `/v1`, and either a key or a token. Secrets stay out of reprs."""

    api: str
    iam: str
    region: str = "us-south"
    api_key: str | None = None
    token: str | None = None
    account_id: str = ""
    user: str = ""
    resource_group: str | None = None
    source: str = "login"
    # What was kept before a trusted profile was assumed; empty: nothing was, there is a dev here.
    assumed_from: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Session(api={self.api!r}, user={self.user!r}, source={self.source!r})"

    def authenticator(self) -> Authenticator:
        """IBM's authenticator for this session."""
        from ibm_cloud_sdk_core.authenticators import BearerTokenAuthenticator, IAMAuthenticator

        if self.token is not None:
            return BearerTokenAuthenticator(self.token)
        return IAMAuthenticator(self.api_key, url=self.iam)

    def access_token(self) -> str:
        """A bearer token that is good now. Raises ApiException when the key is refused."""
        if self.token is not None:
            return self.token
        return str(self.authenticator().token_manager.get_token())

    def known(self) -> Session:
        """The session with token, account and user filled in: for one command, not to be kept.

        Raises OperatorError when the token has expired, ApiException when the key is refused.
        """
        token = self.access_token()
        claims = unverified_claims(token)
        if claims["exp"] <= time.time():
            raise OperatorError("The session has expired.", "Log in again: linklocal login")
        user = str(claims.get("email") or claims.get("sub") or claims.get("iam_id", ""))
        account = str(claims["account"]["bss"])
        return replace(self, token=token, account_id=account, user=user)


def unverified_claims(token: str) -> dict[str, Any]:
    """What a token says of itself; good for showing, never for deciding."""
    body = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def session_file() -> Path:
    """`$XDG_CONFIG_HOME/linklocal/session.json`, or where LINKLOCAL_CONFIG_DIR says."""
    return environment().config_dir / "session.json"


def kept() -> Session | None:
    """What `linklocal login` kept, if anything. Raises OperatorError when the file is damaged."""
    path = session_file()
    try:
        return Session(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise OperatorError(
            f"{path} is damaged: {error}.", "Log in again: linklocal login"
        ) from error


def keep(session: Session) -> None:
    """Write the session, mode 0600."""
    path = session_file()
    private_folder(path.parent)
    write_private(path, json.dumps(asdict(session), indent=1).encode())


def forget() -> bool:
    """Remove the kept session; whether there was one."""
    path = session_file()
    existed = path.exists()
    path.unlink(missing_ok=True)
    return existed


def current(state_dir: Path | None = None) -> Session:
    """The session that a command acts in. Raises OperatorError with the next step."""
    env = environment()
    if state_dir is None and env.api is not None and env.api_key is not None:
        return Session(env.api, env.iam or env.api, api_key=env.api_key, source="environment")
    session = kept() if state_dir is None else None
    if session is not None:
        api = env.api or session.api
        return replace(session, api=api, iam=env.iam or session.iam)
    return _local_dev(state_dir or env.state_dir, env)


def _local_dev(folder: Path, env: Environment) -> Session:
    try:
        api = env.api or str(json.loads((folder / "dev.json").read_text())["api"])
        key = (folder / "apikey").read_text().strip()
    except FileNotFoundError as error:
        raise OperatorError(
            NOT_LOGGED_IN,
            "Start `linklocal dev` on this machine, name its folder with --state-dir, run "
            "`linklocal login -a URL --apikey KEY`, or set LINKLOCAL_API and IBMCLOUD_API_KEY.",
        ) from error
    except PermissionError as error:
        raise OperatorError(
            f"{error.filename} belongs to another user.",
            "Run this as that user, or log in with `linklocal login -a URL --apikey KEY`.",
        ) from error
    return Session(api, env.iam or api, api_key=key, source=f"linklocal dev in {folder}")


def vpc_client(session: Session) -> VpcV1:
    """IBM's VPC SDK for this session."""
    from ibm_vpc import VpcV1

    client = VpcV1(authenticator=session.authenticator())
    client.set_service_url(f"{session.api}/v1")
    return client


def iam_client(session: Session) -> IamIdentityV1:
    """IBM's IAM identity SDK for this session."""
    from ibm_platform_services import IamIdentityV1

    client = IamIdentityV1(authenticator=session.authenticator())
    client.set_service_url(session.iam)
    return client


def policy_client(session: Session) -> IamPolicyManagementV1:
    """IBM's policy SDK for this session."""
    from ibm_platform_services import IamPolicyManagementV1

    client = IamPolicyManagementV1(authenticator=session.authenticator())
    client.set_service_url(session.iam)
    return client
