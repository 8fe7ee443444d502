"""`GET /audit/v1/events`: what was recorded, in Activity Tracker's shape, for Administrators."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator

from linklocal.clock import rfc3339_ms
from linklocal.events import Outcome
from linklocal.fleet.events import EventStore
from linklocal.iam.caller import CurrentCaller
from linklocal.server.activity import activity
from linklocal.settings import Region
from linklocal.store.engine import Database
from linklocal.vpc.context import Authorizer

PATH = "/audit/v1/events"
READ = "linklocal.audit.read"
MAX_NUMBER = 2**53  # exact in every JSON reader; far beyond any number of events
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _written_out(value: object) -> object:
    """pydantic alone would take a number for the seconds since 1970, which the document does not offer."""
    if isinstance(value, str) and not _RFC3339.fullmatch(value):
        raise ValueError("it must be a date and time like 2026-11-24T08:00:00Z")
    return value


Since = Annotated[
    AwareDatetime, BeforeValidator(_written_out), Query(description="RFC 3339, with a zone")
]


class EventPage(BaseModel):
    """`newest` is the number of the newest event here, for `after`; `next` leads to older ones."""

    limit: int
    newest: int | None
    events: list[dict[str, Any]]
    next: dict[str, str] | None


def audit_routes(
    database: Database, authorizer: Authorizer, store: EventStore, region: Region
) -> APIRouter:
    """One route; it needs `app.state.authenticator`."""
    router = APIRouter(tags=["audit"])

    @router.get(PATH, operation_id="list_audit_events", response_model=EventPage)
    async def list_events(
        caller: CurrentCaller,
        instance: Annotated[str | None, Query(max_length=64)] = None,
        action: Annotated[str | None, Query(max_length=128)] = None,
        outcome: Outcome | None = None,
        since: Since | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        start: Annotated[int | None, Query(ge=1, le=MAX_NUMBER)] = None,
        after: Annotated[int | None, Query(ge=0, le=MAX_NUMBER)] = None,
    ) -> EventPage:
        async with database.read() as connection:
            await authorizer.require(connection, caller, READ)
            found = await store.page(
                connection,
                limit=limit + 1,  # one more tells whether there are more
                before=start,
                after=after,
                instance_id=instance,
                action=action,
                outcome=outcome,
                since=since,
            )
        shown = found[:limit]
        following = None
        if len(found) > limit:
            kept = _given(
                instance=instance, action=action, outcome=outcome, since=since, after=after
            )
            query = urlencode({**kept, "limit": limit, "start": shown[-1][0]})
            following = {"href": f"{PATH}?{query}"}
        return EventPage(
            limit=limit,
            newest=shown[0][0] if shown else after,
            events=[activity(event, region.name) for _, event in shown],
            next=following,
        )

    return router


def _given(**filters: str | int | datetime | None) -> dict[str, str | int]:
    return {
        name: rfc3339_ms(value) if isinstance(value, datetime) else value
        for name, value in filters.items()
        if value is not None
    }
