"""Audit events of the control plane: every change, every login, every refusal. Contract 7.1.

One mechanism for all of them: an ASGI middleware that knows the operation (method and path), reads what
the routes and error handlers left in `scope["state"]` (caller, login, problems) and records one event in
a transaction of its own, *before the answer is sent*. So a new route is audited without a line in its
service, refusals (whose transaction rolled back) are recorded like changes, and whoever has an answer finds
its event. The price: a server killed between the two commits has made a change without an event.

Of bodies it reads only `id`, `crn` and `type` of answers. It must never look at request bodies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from starlette.routing import BaseRoute, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from linklocal.clock import Clock
from linklocal.errors import DomainError, Problem
from linklocal.events import Effect, Event, collected
from linklocal.fleet.events import EventStore
from linklocal.iam.access_tokens import GRANT_API_KEY
from linklocal.iam.caller import Caller
from linklocal.iam.login import Login
from linklocal.server.audit_actions import API_KEY_LOGIN, PROFILE_LOGIN, action_of
from linklocal.server.routing import documented
from linklocal.store.engine import Database

EXCHANGE = "/internal/v1/iam_tokens"  # a login too, but not in the OpenAPI document: nodes call it
MESSAGE_SHOWN = 300
_USER_GRANTS = (GRANT_API_KEY, "refresh_token")
# Messages quote what was sent; somebody who puts a token into the wrong field must not find it here.
_SECRET = re.compile(r"eyJ[A-Za-z0-9_-]{8}[A-Za-z0-9_.-]*|[A-Za-z0-9_-]{40,}")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API; `action` is None where calls of it are no events."""

    id: str
    method: str
    template: str
    action: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """One answered request, as the recorder saw it. `answer` holds `id`, `crn` and `type` at most."""

    operation: Operation
    parameters: Mapping[str, str]
    status: int
    trace: str
    correlation_id: str
    caller: Caller | None
    login: Login | None
    problems: tuple[Problem, ...]
    answer: Mapping[str, str]


class Operations:
    """Method and path -> operation, from the routes that the OpenAPI document has."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        found = [
            Operation(
                route.operation_id or route.unique_id,
                method,
                route.path_format,
                action_of(method, route.path_format),
            )
            for route, method in documented(routes)
        ]
        found.append(Operation("exchange_identity_token", "POST", EXCHANGE, PROFILE_LOGIN))
        # A literal path (`/v1/apikeys/details`) before the template that would match it too.
        found.sort(key=lambda one: one.template.count("{"))
        self._found = [(one, compile_path(one.template)[0]) for one in found]

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation and its path parameters; None when the API has nothing there."""
        for operation, pattern in self._found:
            if operation.method == method and (match := pattern.match(path)):
                return operation, match.groupdict()
        return None


def events_of(call: Call, clock: Clock, effects: Sequence[Effect] = ()) -> list[Event]:
    """The events of a call: none for a successful read, two for an action (asked for, and begun), and one
    for each effect that it had besides (`linklocal.events.also`)."""
    operation, failed = call.operation, call.status >= 400
    action, login = operation.action, call.login
    if operation.id == "create_token":
        user = login is None or login.grant in _USER_GRANTS
        action = API_KEY_LOGIN if user else PROFILE_LOGIN
    if action is None or (operation.method == "GET" and not failed):
        return []
    problem = call.problems[0] if call.problems else None
    caller = call.caller
    event = Event(
        time=clock.now(),
        action=action,
        outcome="failure" if failed else "success",
        status=call.status,
        trace=call.trace,
        instance_id=_instance_of(call),
        target=_target_of(call),
        initiator=caller.iam_id if caller else login.iam_id if login else None,
        reason=problem.code if problem else None,
        message=_shown(problem.message) if problem else None,
        rule=(problem.rule or problem.code) if problem else None,
        detail=_detail(call),
    )
    kind = call.answer.get("type")
    if operation.id == "create_instance_action" and not failed and kind:
        begun = replace(event, action=f"is.instance.instance.{kind}", target=event.instance_id)
        return [event, begun]
    if failed or call.login is not None:
        return [event]
    return [event, *(_effect(event, one) for one in effects if not _same(event, one))]


def _effect(event: Event, effect: Effect) -> Event:
    detail = {**event.detail, **effect.detail, "of": event.action}
    detail.pop("crn", None)
    return replace(event, action=effect.action, target=effect.target, detail=detail)


def _same(event: Event, effect: Effect) -> bool:
    return (event.action, event.target) == (effect.action, effect.target)


def _detail(call: Call) -> dict[str, Any]:
    caller, login = call.caller, call.login
    found: dict[str, Any] = {
        "operation": call.operation.id,
        "correlation_id": call.correlation_id,
        "crn": call.answer.get("crn"),
        "account_id": caller.account_id if caller else None,
        "api_key_id": caller.api_key_id if caller else login.api_key_id if login else None,
        "profile_id": caller.profile_id if caller else login.profile_id if login else None,
        "on_instance": caller.instance_crn if caller else None,
        "grant_type": login.grant if login else None,
        "problems": [problem.code for problem in call.problems[1:]] or None,
        "field": _field(call.problems),
    }
    return {name: value for name, value in found.items() if value is not None}


def _field(problems: tuple[Problem, ...]) -> str | None:
    target = problems[0].target if problems else None
    return _shown(target.name) if target else None


def _target_of(call: Call) -> str | None:
    if call.login is not None:
        return call.login.profile_id or call.login.api_key_id
    if (made := call.answer.get("id")) is not None:
        return made
    given = list(call.parameters.values())
    return _shown(given[-1]) if given else None


def _instance_of(call: Call) -> str | None:
    template, p = call.operation.template, call.parameters
    if call.operation.id in ("create_instance", "create_bare_metal_server"):
        return call.answer.get("id")
    if template.startswith("/v1/instances/"):
        found = p.get("instance_id") or p.get("id")
    elif template.startswith("/v1/bare_metal_servers/"):
        found = p.get("bare_metal_server_id") or p.get("id")
    else:
        found = p.get("instance") if template.startswith("/linklocal/v1/placements") else None
    return _shown(found)[:64] if found else None


def _shown(text: str) -> str:
    kept = _SECRET.sub(_unless_id, text)[:MESSAGE_SHOWN]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in kept)


# Ids of ours that are as long as a secret: `0717_<uuid>`, `Profile-<uuid>`, `ApiKey-<uuid>`, an account.
_ID = re.compile(r"[A-Za-z0-9]{1,12}[_-][0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _unless_id(match: re.Match[str]) -> str:
    return match[0] if _ID.fullmatch(match[0]) else "<hidden>"


class Audit:
    """The middleware. Must stand inside `RequestIds` and around everything that can refuse."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        database: Database,
        events: EventStore,
        clock: Clock,
        routes: Sequence[BaseRoute],
    ) -> None:
        """`routes` are looked at with the first call, when all are there."""
        self.app = app
        self._database = database
        self._events = events
        self._clock = clock
        self._routes = routes
        self._operations: Operations | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = None
        if scope["type"] == "http":
            if self._operations is None:
                self._operations = Operations(self._routes)
            found = self._operations.find(scope["method"], scope["path"])
        if found is None:
            with collected() as effects:
                await self.app(scope, receive, self._console(scope, send, effects))
            return
        operation, parameters = found
        held: list[Message] = []

        async def hold(message: Message) -> None:
            """Keep the answer back until it is whole, record, then send it. Answers here are small."""
            held.append(message)
            if message["type"] != "http.response.body" or message.get("more_body", False):
                return
            call = _call(operation, parameters, scope, held)
            await self._record(events_of(call, self._clock, effects))
            for one in held:
                await send(one)

        with collected() as effects:
            await self.app(scope, receive, hold)

    def _console(self, scope: Scope, send: Send, effects: list[Effect]) -> Send:
        """Records a change through the console as the API's operation that does the same.

        The console leaves in `scope["state"]` which one (`performed`: method and path) and what would be
        read of the API's answer (`made`); for the login that renewed its session, or failed to, `renewal`
        and `renewal_problems`. Its pages and streams pass as they come.
        """

        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start" and self._operations:
                state = scope.get("state", {})
                for call in _of_console(self._operations, state, int(message["status"])):
                    await self._record(events_of(call, self._clock, effects))
            await send(message)

        return send_recorded

    async def _record(self, new: list[Event]) -> None:
        if not new:
            return
        try:
            async with self._database.transaction() as connection:
                await self._events.record(connection, *new)
        except DomainError as error:
            # The answer is true and must go out; the log is then the only record.
            for event in new:
                log.warning("Event not recorded", error=str(error), **_logged(event))


def _logged(event: Event) -> dict[str, Any]:
    return {
        "action": event.action,
        "outcome": event.outcome,
        "status": event.status,
        "trace": event.trace,
        "target": event.target,
        "initiator": event.initiator,
    }


def _call(
    operation: Operation, parameters: Mapping[str, str], scope: Scope, held: list[Message]
) -> Call:
    state = scope["state"]
    status = int(held[0]["status"])
    body = b"".join(message.get("body", b"") for message in held[1:])
    changed = operation.method != "GET" and status < 400 and operation.action is not None
    return Call(
        operation=operation,
        parameters=parameters,
        status=status,
        trace=state["request_id"],
        correlation_id=state["correlation_id"],
        caller=state.get("caller"),
        login=state.get("login"),
        problems=state.get("problems", ()),
        answer=_facts(body) if changed else {},
    )


_SUCCESS = {"GET": 200, "POST": 201, "PATCH": 200, "DELETE": 204}
_LOGIN = "POST /identity/token"


def _of_console(operations: Operations, state: Mapping[str, Any], status: int) -> Iterator[Call]:
    """What a request of the console did of what the API can do: renewed its session, and its own."""
    renewal: Login | None = state.get("renewal")
    if renewal is not None:
        problems = state.get("renewal_problems", ())
        login = {**state, "login": renewal, "caller": None, "problems": problems, "made": {}}
        yield from _performed(operations, _LOGIN, login, 400 if problems else 200)
    performed: str | None = state.get("performed")
    if performed is not None:
        yield from _performed(operations, performed, state, status)


def _performed(
    operations: Operations, performed: str, state: Mapping[str, Any], status: int
) -> Iterator[Call]:
    """The operation's call, with the status that the API would have answered."""
    method, _, path = performed.partition(" ")
    if (found := operations.find(method, path)) is None:
        return
    operation, parameters = found
    success = 200 if performed == _LOGIN else _SUCCESS[operation.method]
    yield Call(
        operation=operation,
        parameters=parameters,
        status=status if status >= 400 else success,
        trace=state["request_id"],
        correlation_id=state["correlation_id"],
        caller=state.get("caller"),
        login=state.get("login") if performed == _LOGIN else None,
        problems=state.get("problems", ()),
        answer=state.get("made", {}) if status < 400 else {},
    )


def _facts(body: bytes) -> dict[str, str]:
    """`id`, `crn` and `type` of an answer; nothing else of it is looked at."""
    try:
        value = json.loads(body) if body else None
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    named = {name: value.get(name) for name in ("id", "crn", "type")}
    return {name: fact for name, fact in named.items() if isinstance(fact, str)}
