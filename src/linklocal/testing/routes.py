"""Routes of a test double, `/linklocal/v1/faults` and `/linklocal/v1/checkpoint`: `linklocal dev` only.

For Administrators, and audited as all operator routes are. Any language can use them; the pytest plugin
and the command line do.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import or_, select

from linklocal.errors import Invalid, Problem, bad_field, missing_field, not_found_field
from linklocal.iam.caller import Caller, CurrentCaller
from linklocal.iam.signing_keys import published_jwks
from linklocal.ids import InstanceId
from linklocal.server.app import ControlPlane
from linklocal.testing.checkpoint import Checkpoint
from linklocal.testing.faults import OPERATIONS, Faults, Kind
from linklocal.tokens import SigningKey, identity_kid
from linklocal.vpc.bare_metal_servers.tables import bare_metal_servers
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.references import Prototype, Text

OPERATE = "linklocal.fault.operate"  # Administrators only
LATENCY_MOST = 300.0  # seconds
OFFSET_MOST = 10 * 366 * 86_400.0  # seconds


def _known(operation: str) -> str:
    if operation not in OPERATIONS:
        raise PydanticCustomError("operation", f"must be one of {', '.join(OPERATIONS)}")
    return operation


Operation = Annotated[
    str, AfterValidator(_known), Field(json_schema_extra={"enum": list(OPERATIONS)})
]


class FaultPrototype(Prototype):
    """`instance`: id or name; `operation`: of the metadata API; without them every call meets the fault.

    `count`: how many calls do, without it until it is removed.
    """

    kind: Kind
    instance: Text | None = None
    operation: Operation | None = None
    count: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    seconds: (
        Annotated[float, Field(ge=-OFFSET_MOST, le=OFFSET_MOST, allow_inf_nan=False)] | None
    ) = None
    retry_after: Annotated[int, Field(ge=0, le=3600)] | None = None


def testing_routes(control: ControlPlane, faults: Faults) -> APIRouter:
    """Faults, and the checkpoint of this control plane."""
    router = APIRouter(prefix="/linklocal/v1", tags=["testing"])
    checkpoint = Checkpoint(control)
    database, authorizer = control.database, control.iam.roles

    async def require(caller: Caller) -> None:
        async with database.read() as connection:
            await authorizer.require(connection, caller, OPERATE)

    async def instance_of(caller: Caller, given: str) -> InstanceId:
        async with database.read() as connection:
            for table in (instances, bare_metal_servers):
                statement = select(table.c.id).where(
                    table.c.account_id == caller.account_id,
                    or_(table.c.id == given, table.c.name == given),
                )
                if (found := await connection.scalar(statement)) is not None:
                    return InstanceId(found)
        message = "There is no instance with this name or id: `linklocal is instances` shows them."
        raise Invalid(not_found_field("instance", message, given))

    @router.post("/faults", status_code=201, operation_id="create_fault")
    async def create_fault(caller: CurrentCaller, body: FaultPrototype) -> JSONResponse:
        await require(caller)
        if problems := _problems(body):
            raise Invalid(problems)
        members: dict[str, Any] = {"operation": body.operation, "count": body.count}
        if body.instance is not None:
            members["instance_id"] = await instance_of(caller, body.instance)
        if body.seconds is not None:
            members["seconds"] = body.seconds
        if body.retry_after is not None:
            members["retry_after"] = body.retry_after
        if body.kind == "key-rotated":
            members["key"] = await asyncio.to_thread(_new_key, control.region.name)
        return JSONResponse(faults.add(body.kind, **members).to_json(), 201)

    @router.get("/faults", operation_id="list_faults")
    async def list_faults(caller: CurrentCaller) -> JSONResponse:
        await require(caller)
        return JSONResponse({"faults": [fault.to_json() for fault in faults.all()]})

    @router.delete("/faults/{id}", status_code=204, operation_id="delete_fault")
    async def delete_fault(caller: CurrentCaller, id: str) -> Response:
        await require(caller)
        faults.remove(id)
        return Response(status_code=204)

    @router.delete("/faults", status_code=204, operation_id="delete_faults")
    async def delete_faults(caller: CurrentCaller) -> Response:
        await require(caller)
        faults.clear()
        return Response(status_code=204)

    @router.put("/checkpoint", status_code=204, operation_id="take_checkpoint")
    async def take_checkpoint(caller: CurrentCaller) -> Response:
        await require(caller)
        await checkpoint.take()
        return Response(status_code=204)

    @router.post("/checkpoint/restore", status_code=204, operation_id="restore_checkpoint")
    async def restore_checkpoint(caller: CurrentCaller) -> Response:
        """Brings the state back and removes all faults."""
        await require(caller)
        faults.clear()
        await checkpoint.restore()
        return Response(status_code=204)

    return router


def keys_routes(control: ControlPlane, faults: Faults) -> APIRouter:
    """`GET /identity/keys` in place of the server's: its answer, and the keys of `key-rotated`."""
    router = APIRouter()

    @router.get("/identity/keys", include_in_schema=False)
    async def keys() -> JSONResponse:
        async with control.database.read() as connection:
            published = await published_jwks(connection, control.iam.signing_keys)
        return JSONResponse({"keys": [*published["keys"], *faults.keys()]})

    return router


def _new_key(region: str) -> SigningKey:
    key = SigningKey.generate_rsa()
    return SigningKey(identity_kid(region, key.kid), key.private_pem())


def _problems(body: FaultPrototype) -> list[Problem]:
    """What the type of the body does not say."""
    problems: list[Problem] = []
    takes_seconds = body.kind in ("latency", "clock-offset")
    if takes_seconds and body.seconds is None:
        problems.append(missing_field("seconds", f"`{body.kind}` needs `seconds`."))
    elif not takes_seconds and body.seconds is not None:
        message = "Only `latency` and `clock-offset` have `seconds`: leave it out."
        problems.append(bad_field("seconds", message, body.seconds))
    elif body.kind == "latency" and not 0 < (body.seconds or 0) <= LATENCY_MOST:
        message = f"`latency` is more than 0 and at most {LATENCY_MOST:g} seconds."
        problems.append(bad_field("seconds", message, body.seconds))
    if body.kind != "429" and body.retry_after is not None:
        message = "Only `429` has `retry_after`: leave it out."
        problems.append(bad_field("retry_after", message, body.retry_after))
    return problems
