"""Server-sent events of the console: names of what has changed. Pages then ask for the part anew.

A stream looks once a second; it holds no database connection in between, and ends with the session.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from linklocal.console.instances import InstancePages
from linklocal.console.live import calls_of, placement_of
from linklocal.console.pages import HEADERS, Pages
from linklocal.console.services import Services
from linklocal.errors import DomainError
from linklocal.iam.caller import Caller

EVERY = 1.0  # seconds
ALIVE = 15  # a comment after so many looks without news

# Event name -> what it stands for; the event is sent when that is another than before.
State = dict[str, Any]


class EventPages:
    """The streams. One per server."""

    def __init__(self, pages: Pages, services: Services, instances: InstancePages) -> None:
        self._pages = pages
        self._services = services
        self._instances = instances

    def routes(self) -> list[Route]:
        return [
            Route("/instances/events", self.of_list),
            Route("/instances/{id}/events", self.of_instance),
        ]

    async def of_list(self, request: Request) -> Response:
        """`rows` when the list that is on the page has changed."""
        query = request.query_params

        async def look(caller: Caller) -> State:
            return {
                "rows": await self._instances.rows_of(
                    caller, query.get("search", ""), query.get("start", "")
                )
            }

        return await self._stream(request, look)

    async def of_instance(self, request: Request) -> Response:
        """`settings`, `status` and `calls` of one instance."""
        id = str(request.path_params["id"])

        async def look(caller: Caller) -> State:
            instance, _ = await self._services.instances.get(caller, id)
            placed = await placement_of(self._services, id)
            calls = await calls_of(self._services, id)
            newest = [calls.all[0].time, calls.answered + calls.refused] if calls.all else []
            applied = placed and (placed.applied_revision, placed.fault, placed.address)
            reasons = (instance["status_reasons"], instance["health_state"])
            return {
                "settings": instance["metadata_service"],
                "status": [instance["status"], reasons, applied],
                "calls": newest,
            }

        return await self._stream(request, look)

    async def _stream(
        self, request: Request, look: Callable[[Caller], Awaitable[State]]
    ) -> Response:
        signed_in = await self._pages.signed_in(request)
        if signed_in is None:
            return Response(status_code=401, headers=HEADERS)

        async def lines() -> AsyncGenerator[str, None]:
            before: dict[str, str] | None = None
            quiet = 0
            while True:
                # Asked each time, so that a stream ends with its session and its rights.
                now = await self._pages.signed_in(request)
                if now is None:
                    return
                try:
                    state = await look(now.caller)
                except DomainError:
                    yield _event("status")
                    return
                marks = {name: _mark(value) for name, value in state.items()}
                if before is not None:
                    for name in marks:
                        if marks[name] != before[name]:
                            quiet = 0
                            yield _event(name)
                else:
                    yield ": here\n\n"
                before = marks
                quiet += 1
                if quiet >= ALIVE:
                    quiet = 0
                    yield ": alive\n\n"
                await asyncio.sleep(EVERY)

        headers = {**HEADERS, "X-Accel-Buffering": "no"}
        return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)


def _event(name: str) -> str:
    return f"event: {name}\ndata: changed\n\n"


def _mark(value: Any) -> str:
    text = json.dumps(value, default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
