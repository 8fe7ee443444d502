"""API keys: request bodies, the answers' schema, and the value of a key (contract 4.4)."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from linklocal.iam.http import Answer, Body, PagedAnswer
from linklocal.iam.text import StoredText

MIN_VALUE_CHARS = 32

Name = Annotated[StoredText, Field(min_length=1, max_length=255)]
Description = Annotated[StoredText, Field(max_length=1000)]
ActionWhenLeaked = Literal["none", "disable", "delete"]


class ApiKeyPrototype(Body):
    name: Name
    iam_id: Annotated[StoredText, Field(min_length=1, max_length=64)]
    description: Description | None = None
    account_id: Annotated[StoredText, Field(max_length=64)] | None = None
    apikey: Annotated[str, Field(min_length=MIN_VALUE_CHARS, max_length=512)] | None = None
    store_value: bool | None = None
    support_sessions: bool | None = None
    action_when_leaked: ActionWhenLeaked | None = None
    expires_at: str | None = None


class ApiKeyUpdate(Body):
    """Members given replace; an empty `description` or `expires_at` clears it."""

    name: Name | None = None
    description: Description | None = None
    support_sessions: bool | None = None
    action_when_leaked: ActionWhenLeaked | None = None
    expires_at: str | None = None


class ApiKey(Answer):
    id: str
    entity_tag: str
    crn: str
    locked: bool
    disabled: bool
    created_at: str
    created_by: str
    modified_at: str
    name: str
    description: str | None = Field(default=None, description="absent: none was given")
    support_sessions: bool
    action_when_leaked: ActionWhenLeaked
    expires_at: str | None = Field(default=None, description="absent: never")
    iam_id: str
    account_id: str
    apikey: str = Field(description="the value when it was just made, else empty")


class ApiKeyList(PagedAnswer):
    apikeys: list[ApiKey]


def new_api_key_value() -> str:
    """44 random URL-safe characters: 264 bits, so a plain hash is enough to store."""
    return secrets.token_urlsafe(33)


def key_hash(value: str) -> str:
    """What is stored and looked up instead of the value."""
    return hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()


def read_expiry(text: str) -> datetime:
    """ISO 8601 with a zone (`2027-01-31T12:00+0000`). Raises ValueError with words for the user."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("no zone")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            "`expires_at` must be a time with a zone, such as 2027-01-31T12:00+0000."
        ) from error
