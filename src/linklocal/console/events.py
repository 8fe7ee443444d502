"""Server-sent events of the console: names of what has changed. Pages then ask for the part anew.

A stream looks once a second; it holds no database connection in between, and ends with the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from linklocal.console.listing import Asked, searched
from linklocal.console.live import calls_mark, mark, placement_of
from linklocal.console.pages import HEADERS, Pages
from linklocal.console.services import Services
from linklocal.console.sessions import Ended
from linklocal.errors import DomainError
from linklocal.iam.caller import Caller
from linklocal.vpc.instances.queries import InstanceFilter

EVERY = 1.0  # seconds
ALIVE = 15  # a comment after so many looks without news

# Event name -> what it stands for; the event is sent when that is another than before.
State = dict[str, Any]


class EventPages:
    """The streams. One per server."""

    def __init__(self, pages: Pages, services: Services) -> None:
        self._pages = pages
        self._services = services

    def routes(self) -> list[Route]:
        return [
            Route("/instances/events", self.of_list),
            Route("/instances/{id}/events", self.of_instance),
        ]

    async def of_list(self, request: Request) -> Response:
        """`rows` when the list that is on the page has changed."""
        query = request.query_params
        asked = Asked("", searched(query.get("search", "")), query.get("start", ""))

        async def look(caller: Caller) -> State:
            instances = self._services.instances
            return {"rows": await instances.mark(caller, asked.page(), InstanceFilter())}

        return await self._stream(request, look, {"rows": query.get("seen", "")})

    async def of_instance(self, request: Request) -> Response:
        """`settings`, `status` and `calls` of one instance."""
        id = str(request.path_params["id"])

        async def look(caller: Caller) -> State:
            instance, _ = await self._services.instances.get(caller, id)
            placed = await placement_of(self._services, id)
            applied = placed and (placed.applied_revision, placed.fault, placed.address)
            reasons = (instance["status_reasons"], instance["health_state"])
            return {
                "settings": instance["metadata_service"],
                "status": [instance["status"], reasons, applied],
                "calls": await calls_mark(self._services, id),
            }

        return await self._stream(request, look)

    async def _stream(
        self,
        request: Request,
        look: Callable[[Caller], Awaitable[State]],
        seen: dict[str, str] | None = None,
    ) -> Response:
        """`seen`: the marks of what the page shows; without it, the first look is what it shows."""
        signed_in = await self._pages.signed_in(request)
        if isinstance(signed_in, Ended):
            return Response(status_code=401, headers=HEADERS)
        sessions = self._pages.sessions
        cookie = sessions.cookie(signed_in.session)

        async def lines() -> AsyncGenerator[str, None]:
            before = seen
            quiet = 0
            yield ": here\n\n"
            while True:
                # Asked each time, so that a stream ends with its session and its rights. It also ends
                # when the session has to be renewed: the browser comes back, and gets the cookie.
                caller = await sessions.current(cookie)
                if caller is None:
                    return
                try:
                    state = await look(caller)
                except DomainError:
                    yield _event("status")
                    return
                marks = {name: mark(value) for name, value in state.items()}
                if before is not None:
                    for name in marks:
                        if marks[name] != before[name]:
                            quiet = 0
                            yield _event(name)
                before = marks
                quiet += 1
                if quiet >= ALIVE:
                    quiet = 0
                    yield ": alive\n\n"
                await asyncio.sleep(EVERY)

        headers = {**HEADERS, "X-Accel-Buffering": "no"}
        response = StreamingResponse(lines(), media_type="text/event-stream", headers=headers)
        if signed_in.renewed:
            self._pages.set_session(response, request, signed_in.session)
        return response


def _event(name: str) -> str:
    return f"event: {name}\ndata: changed\n\n"
