"""Claims of IAM's access tokens (control-plane contract 4.2). Pure: signing is `signing_keys.py`'s.

Beyond IBM's claims, `apikey_id` names the API key that a user's token came from: `roles.py` needs it.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from linklocal.iam.signing_keys import TOKEN_LIFE

GRANT_API_KEY = "urn:ibm:params:oauth:grant-type:apikey"
GRANT_COMPUTE_RESOURCE = "urn:ibm:params:oauth:grant-type:cr-token"
GRANT_ASSUME = "urn:ibm:params:oauth:grant-type:assume"
GRANT_REFRESH = "refresh_token"
SCOPE = "ibm openid"
DEFAULT_CLIENT = "default"


def issuer_of(base_url: str) -> str:
    """`iss` of tokens that a server under this URL gives."""
    return f"{base_url.rstrip('/')}/identity"


def user_claims(
    *,
    issuer: str,
    account_id: str,
    iam_id: str,
    email: str,
    api_key_id: str | None,
    client_id: str,
    now: datetime,
) -> dict[str, Any]:
    """Claims of a user's token."""
    realm, _, identifier = iam_id.partition("-")
    claims = {
        **_common(issuer, account_id, iam_id, client_id, GRANT_API_KEY, now),
        "realmid": realm,
        "identifier": identifier,
        "sub": email,
        "email": email,
    }
    return claims if api_key_id is None else {**claims, "apikey_id": api_key_id}


def profile_claims(
    *,
    issuer: str,
    account_id: str,
    profile_id: str,
    grant_type: str,
    now: datetime,
    actor: dict[str, Any],
) -> dict[str, Any]:
    """Claims of a trusted profile's token. `actor` (who took it on) becomes `authn`."""
    return {
        **_common(issuer, account_id, f"iam-{profile_id}", DEFAULT_CLIENT, grant_type, now),
        "realmid": "iam",
        "identifier": profile_id,
        "sub": profile_id,
        "sub_type": "Profile",
        "authn": actor,
    }


def _common(
    issuer: str, account_id: str, iam_id: str, client_id: str, grant_type: str, now: datetime
) -> dict[str, Any]:
    issued = int(now.timestamp())
    return {
        "iss": issuer,
        "iam_id": iam_id,
        "id": iam_id,
        "account": {"valid": True, "bss": account_id},
        "iat": issued,
        "exp": issued + TOKEN_LIFE,
        "jti": uuid.uuid4().hex,
        "session_id": f"C-{uuid.uuid4()}",
        "grant_type": grant_type,
        "scope": SCOPE,
        "client_id": client_id,
        "acr": 1,
        "amr": ["pwd"],
    }
