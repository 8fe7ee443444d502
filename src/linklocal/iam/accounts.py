"""Accounts: nobody reads or writes outside the account of their token."""

from __future__ import annotations

from linklocal.errors import NotAuthorized
from linklocal.iam.caller import Caller


def same_account(caller: Caller, account_id: str | None, action: str) -> None:
    """Raises NotAuthorized when a request names another account than the caller's."""
    if account_id is not None and account_id != caller.account_id:
        raise NotAuthorized(
            action=action,
            needs=f"a token of the account that it names; this one is of {caller.account_id}",
            rule="account",
        )
