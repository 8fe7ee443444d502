"""What a login leaves in the request's state for the audit: which grant, and whose token came out.

No token, no key and no name that a client sent goes in.
"""

from __future__ import annotations

from dataclasses import dataclass

from linklocal.iam import access_tokens

GRANTS = (
    access_tokens.GRANT_API_KEY,
    access_tokens.GRANT_COMPUTE_RESOURCE,
    access_tokens.GRANT_ASSUME,
    access_tokens.GRANT_REFRESH,
)


@dataclass(frozen=True, slots=True)
class Login:
    """`grant` is one of GRANTS or `other`. The rest is None when the login was refused."""

    grant: str
    iam_id: str | None = None
    api_key_id: str | None = None
    profile_id: str | None = None


def asked(grant_type: str | None) -> Login:
    """A login before its outcome is known."""
    return Login(grant_type if grant_type in GRANTS else "other")
