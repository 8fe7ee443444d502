"""The first start: account, user, resource group, API key, signing key, certificate authorities.

Safe to run at every start and by several replicas at once: what is there stays as it is.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import Clock
from linklocal.iam.api_keys.model import MIN_VALUE_CHARS, key_hash, new_api_key_value
from linklocal.iam.api_keys.service import insert_api_key
from linklocal.iam.authorities import Authorities
from linklocal.iam.signing_keys import SigningKeys
from linklocal.iam.tables import accounts, api_keys, resource_groups, users
from linklocal.ids import AccountId, new_hex_id

ADMIN_EMAIL = "admin@linklocal.example"
ADMIN_KEY_NAME = "admin"
# Any number that nothing else locks: replicas that start together take turns.
_ADVISORY_LOCK = 0x6C696E6B


@dataclass(frozen=True, slots=True)
class SetUp:
    """What exists after `bootstrap`. `api_key` is the admin key's value if it was made just now."""

    account_id: AccountId
    iam_id: str
    resource_group_id: str
    api_key: str | None


async def bootstrap(
    connection: AsyncConnection,
    signing_keys: SigningKeys,
    authorities: Authorities,
    clock: Clock,
    *,
    api_key: str | None = None,
    email: str = ADMIN_EMAIL,
) -> SetUp:
    """Make what is missing, in the caller's transaction.

    `api_key`: a value that shall be a key of the admin's afterwards (`dev` keeps it in a file); without it
    the first start makes a random one. Raises OperatorError when the key file does not open the database,
    ValueError for an `api_key` that is too short.
    """
    if api_key is not None and len(api_key) < MIN_VALUE_CHARS:
        raise ValueError(f"an API key has at least {MIN_VALUE_CHARS} characters")
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(:number)")
        await connection.execute(lock, {"number": _ADVISORY_LOCK})
    # First of all, so that a wrong key file stops everything else.
    await signing_keys.ensure(connection)
    await authorities.ensure(connection)
    return await _account(connection, clock.now(), api_key, email)


async def _account(
    connection: AsyncConnection, now: datetime, api_key: str | None, email: str
) -> SetUp:
    account_id = await connection.scalar(select(accounts.c.id).order_by(accounts.c.created_at))
    if account_id is None:
        account_id = new_hex_id()
        iam_id = f"IBMid-{uuid.uuid4().hex[:10].upper()}"
        group_id = new_hex_id()
        await connection.execute(
            insert(accounts).values(id=account_id, name="linklocal", created_at=now)
        )
        await connection.execute(
            insert(users).values(iam_id=iam_id, account_id=account_id, email=email, created_at=now)
        )
        await connection.execute(
            insert(resource_groups).values(
                id=group_id, account_id=account_id, name="Default", is_default=True
            )
        )
        api_key = api_key or new_api_key_value()
    else:
        of_account = select(users.c.iam_id).where(users.c.account_id == account_id)
        iam_id = str(await connection.scalar(of_account.order_by(users.c.created_at)))
        default = select(resource_groups.c.id).where(
            resource_groups.c.account_id == account_id, resource_groups.c.is_default
        )
        group_id = str(await connection.scalar(default))
    made = api_key is not None and await _ensure_key(connection, account_id, iam_id, api_key, now)
    return SetUp(AccountId(account_id), iam_id, group_id, api_key if made else None)


async def _ensure_key(
    connection: AsyncConnection, account_id: str, iam_id: str, value: str, now: datetime
) -> bool:
    """Whether the key had to be made."""
    known = select(api_keys.c.id).where(api_keys.c.key_sha256 == key_hash(value))
    if await connection.scalar(known) is not None:
        return False
    await insert_api_key(
        connection,
        account_id=account_id,
        iam_id=iam_id,
        name=ADMIN_KEY_NAME,
        value=value,
        now=now,
        description="made at the first start",
        locked=False,
        disabled=False,
        action_when_leaked="none",
    )
    return True
