"""Operator routes `/linklocal/v1/...`: join tokens, nodes, placements, key rotation.

They need IAM's Caller, so they are not in `fleet/`. No part of IBM's API has them.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from linklocal.clock import Clock, rfc3339_ms
from linklocal.errors import Conflict, Invalid, NotFound, not_found_field
from linklocal.fleet import enrolment, nodes
from linklocal.fleet.model import Node
from linklocal.iam.caller import CurrentCaller
from linklocal.iam.signing_keys import RETIRED_LIFE, SigningKeys
from linklocal.ids import InstanceId, NodeId
from linklocal.settings import Region
from linklocal.store.engine import Database
from linklocal.store.wake import Wake
from linklocal.vpc.bare_metal_servers.service import BareMetalServerService
from linklocal.vpc.context import Authorizer
from linklocal.vpc.instances.service import InstanceService
from linklocal.vpc.references import Name, Prototype

OPERATE = "linklocal.node.operate"  # Administrators only


class JoinTokenPrototype(Prototype):
    name: Name | None = None


class PlacementPrototype(Prototype):
    node: str


def operator_routes(
    database: Database,
    authorizer: Authorizer,
    clock: Clock,
    region: Region,
    instances: InstanceService,
    bare_metal_servers: BareMetalServerService,
    signing_keys: SigningKeys,
    wake: Wake,
) -> APIRouter:
    """`join_tokens`, `nodes`, `placements`, `signing_keys/rotate`."""
    router = APIRouter(prefix="/linklocal/v1", tags=["operator"])

    async def named(connection: Any, name: str) -> Node:
        node = await nodes.find(connection, region.name, name)
        if node is None:
            raise NotFound("node", name)
        return node

    @router.post("/join_tokens", status_code=201, operation_id="create_join_token")
    async def create_join_token(caller: CurrentCaller, body: JoinTokenPrototype) -> JSONResponse:
        async with database.transaction() as connection:
            await authorizer.require(connection, caller, OPERATE)
            made = await enrolment.create_join_token(
                connection, now=clock.now(), node_name=body.name
            )
        return JSONResponse({"token": made.token, "expires_at": rfc3339_ms(made.expires_at)}, 201)

    @router.get("/nodes", operation_id="list_nodes")
    async def list_nodes(caller: CurrentCaller) -> JSONResponse:
        async with database.read() as connection:
            await authorizer.require(connection, caller, OPERATE)
            found = await nodes.list_nodes(connection, region.name)
        return JSONResponse({"nodes": [node.to_json() for node in found]})

    @router.delete("/nodes/{node}", status_code=204, operation_id="revoke_node")
    async def revoke_node(caller: CurrentCaller, node: str) -> Response:
        async with database.transaction() as connection:
            await authorizer.require(connection, caller, OPERATE)
            found = await named(connection, node)
            if found.revoked_at is not None:
                raise Conflict(f"Node {found.name} is already revoked.")
            await nodes.revoke(connection, found.id, now=clock.now(), wake=wake)
        return Response(status_code=204)

    @router.put("/placements/{instance}", operation_id="place_instance")
    async def place(
        request: Request, caller: CurrentCaller, instance: str, body: PlacementPrototype
    ) -> JSONResponse:
        async with database.read() as connection:
            await authorizer.require(connection, caller, OPERATE)
            node = await nodes.find(connection, region.name, body.node)
        if node is None:
            message = "There is no node with this name or id: `linklocal node list` shows them."
            raise Invalid(not_found_field("node", message, body.node))
        try:
            await instances.place(caller, InstanceId(instance), NodeId(node.id))
        except NotFound:
            await bare_metal_servers.place(caller, InstanceId(instance), NodeId(node.id))
        return JSONResponse({"instance": instance, "node": node.name})

    @router.post("/signing_keys/rotate", status_code=201, operation_id="rotate_signing_keys")
    async def rotate(caller: CurrentCaller) -> JSONResponse:
        async with database.read() as connection:
            await authorizer.require(connection, caller, OPERATE)
        kid = await signing_keys.rotate()
        published_until = clock.now() + RETIRED_LIFE
        return JSONResponse(
            {"kid": kid, "old_key_published_until": rfc3339_ms(published_until)}, 201
        )

    return router
