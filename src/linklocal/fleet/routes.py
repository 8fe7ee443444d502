"""`/internal/v1/...` for nodes: enrol, watch, status, events. Not part of the public API.

Parses, checks and caps what nodes send; decides nothing. Requests but `enrol` are signed by a node.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import PydanticCustomError
from starlette.types import Send

from linklocal.clock import Clock
from linklocal.document import NodeStatus
from linklocal.errors import Invalid, Problem, Target
from linklocal.events import Event
from linklocal.fleet import nodes
from linklocal.fleet.enrolment import CurrentNode, enrol
from linklocal.fleet.events import EventStore
from linklocal.fleet.feed import Feed
from linklocal.ids import NAME_MAX, NAME_PATTERN
from linklocal.settings import Region
from linklocal.store.engine import Database

# A node that does not take a chunk for so long is not reading; it will resume.
SEND_SECONDS = 30.0
INSTANCES_MOST = 20_000
EVENTS_MOST = 1000
DETAIL_MOST = 4096  # bytes of JSON
REVISION_MOST = 2**53


def _storable(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("text", "must not contain the NUL character")
    return text


def _small(detail: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(detail, ensure_ascii=False)
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise PydanticCustomError("text", "must be Unicode text") from error
    if size > DETAIL_MOST:
        raise PydanticCustomError("text", "must not be larger than {n} bytes", {"n": DETAIL_MOST})
    if "\\u0000" in text:
        raise PydanticCustomError("text", "must not contain the NUL character")
    return detail


Word = Annotated[str, Field(max_length=128), AfterValidator(_storable)]
Sentence = Annotated[str, Field(max_length=2048), AfterValidator(_storable)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")


class EnrolBody(_Body):
    join_token: str = Field(max_length=256)
    name: str = Field(max_length=NAME_MAX, pattern=NAME_PATTERN)
    control_jwk: dict[str, JsonValue] = Field(max_length=16)
    identity_jwk: dict[str, JsonValue] = Field(max_length=16)
    version: Annotated[str, Field(max_length=64), AfterValidator(_storable)] = ""


class StatusBody(_Body):
    """`NodeStatus.to_json()`."""

    applied_revision: int = Field(ge=0, le=REVISION_MOST, strict=True)
    faults: dict[Word, Sentence] = Field(default={}, max_length=INSTANCES_MOST)
    addresses: dict[Word, Sentence] = Field(default={}, max_length=INSTANCES_MOST)
    version: Annotated[str, Field(max_length=64), AfterValidator(_storable)] = ""


class EventBody(_Body):
    """`Event.to_json()`."""

    time: Word
    action: Annotated[str, Field(max_length=128, pattern=r"^[a-z0-9_.-]+$")]
    outcome: Literal["success", "failure"]
    status: int = Field(ge=0, le=999, strict=True)
    trace: Word
    instance_id: Annotated[str, Field(max_length=64), AfterValidator(_storable)] | None = None
    target: Sentence | None = None
    initiator: Word | None = None
    reason: Word | None = None
    message: Sentence | None = None
    rule: Word | None = None
    count: int = Field(default=1, ge=1, le=2**31, strict=True)
    detail: Annotated[dict[Word, JsonValue], AfterValidator(_small)] = {}


class EventsBody(_Body):
    batch: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_storable)]
    dropped: int = Field(default=0, ge=0, le=2**31, strict=True)
    events: list[EventBody] = Field(max_length=EVENTS_MOST)


def _event(index: int, body: EventBody) -> Event:
    try:
        return Event.from_json(body.model_dump())
    except (ValueError, OverflowError) as error:
        message = f"`events[{index}].time` is not a time: {error}."
        raise Invalid(Problem("invalid_value", message, Target(f"events[{index}].time"))) from error


class WatchResponse(StreamingResponse):
    """A stream that ends when its reader stops reading, and that closes what it reads from."""

    def __init__(self, lines: AsyncGenerator[bytes, None], patience: float = SEND_SECONDS) -> None:
        super().__init__(lines, media_type="application/x-ndjson")
        self._lines = lines
        self._patience = patience

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: MutableMapping[str, Any]) -> None:
            async with asyncio.timeout(self._patience):
                await send(message)

        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            return  # without the last chunk: the server closes the connection
        finally:
            await self._lines.aclose()


def fleet_routes(
    database: Database, clock: Clock, region: Region, feed: Feed, events: EventStore
) -> APIRouter:
    """The routes of nodes. They need `app.state.node_authenticator` (enrolment.NodeAuthenticator)."""
    router = APIRouter(prefix="/internal/v1", include_in_schema=False)

    @router.post("/enrol", status_code=201)
    async def enrol_node(body: EnrolBody) -> JSONResponse:
        async with database.transaction() as connection:
            made = await enrol(connection, **body.model_dump(), region=region.name, now=clock.now())
        view = {
            "node_id": made.node_id,
            "name": made.name,
            "region": made.region,
            "identity_kid": made.identity_kid,
        }
        return JSONResponse(view, 201)

    @router.get("/watch")
    async def watch(
        node: CurrentNode,
        after: Annotated[int, Query(ge=0, le=REVISION_MOST)] = 0,
    ) -> StreamingResponse:
        async with database.transaction() as connection:
            await nodes.seen(connection, node.node_id, clock.now())

        async def lines() -> AsyncGenerator[bytes, None]:
            async with aclosing(feed.changes(node.node_id, after)) as changes:
                async for change in changes:
                    yield change.to_line()

        return WatchResponse(lines())

    @router.post("/status")
    async def status(node: CurrentNode, body: StatusBody) -> dict[str, Any]:
        reported = NodeStatus(**body.model_dump())
        async with database.transaction() as connection:
            await nodes.report(connection, node.node_id, reported, clock.now())
        return {}

    @router.post("/events")
    async def add_events(node: CurrentNode, body: EventsBody) -> dict[str, Any]:
        batch = [_event(index, event) for index, event in enumerate(body.events)]
        async with database.transaction() as connection:
            await events.add(connection, node.node_id, body.batch, batch, body.dropped)
        return {}

    return router
