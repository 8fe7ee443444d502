"""`/v1/bare_metal_servers` and `/v1/bare_metal_server/profiles`: parses and answers; `service.py` decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from linklocal.errors import NotFound, Target, Unsupported
from linklocal.iam.caller import CurrentCaller
from linklocal.settings import Region
from linklocal.vpc.bare_metal_servers import answers, views
from linklocal.vpc.bare_metal_servers.catalog import PROFILES, BareMetalProfile, find
from linklocal.vpc.bare_metal_servers.load import BareMetalServerRecord
from linklocal.vpc.bare_metal_servers.model import (
    BareMetalServerPatch,
    BareMetalServerPrototype,
    InitializationPrototype,
    StopPrototype,
)
from linklocal.vpc.bare_metal_servers.queries import ServerFilter, server_filter
from linklocal.vpc.bare_metal_servers.service import BareMetalServerService
from linklocal.vpc.http import collection, no_content, reply, vpc_router
from linklocal.vpc.instances.model import ConsoleAccessTokenPrototype
from linklocal.vpc.network.loaded import LoadedInterface
from linklocal.vpc.paging import Page, page_parameters, slice_page

PageOf = Annotated[Page, Depends(page_parameters)]
_PATH = "/bare_metal_servers"
_ONE = f"{_PATH}/{{id}}"
_BELOW = f"{_PATH}/{{bare_metal_server_id}}"


def bare_metal_server_routes(service: BareMetalServerService, region: Region) -> APIRouter:
    """Operations on bare metal servers and their profiles."""
    router = vpc_router("bare metal servers")
    _add_servers(router, service)
    _add_life_cycle(router, service)
    _add_disks(router, service)
    _add_network(router, service)
    _add_profiles(router, region)
    return router


def _add_servers(router: APIRouter, service: BareMetalServerService) -> None:
    @router.post(
        _PATH,
        operation_id="create_bare_metal_server",
        response_model=answers.BareMetalServer,
        status_code=201,
    )
    async def create(
        request: Request, caller: CurrentCaller, body: BareMetalServerPrototype
    ) -> JSONResponse:
        return reply(request, await service.create(caller, body), 201)

    @router.get(
        _PATH,
        operation_id="list_bare_metal_servers",
        response_model=answers.BareMetalServerCollection,
    )
    async def list_(
        request: Request,
        caller: CurrentCaller,
        page: PageOf,
        asked: Annotated[ServerFilter, Depends(server_filter)],
    ) -> JSONResponse:
        items, total, following = await service.list(caller, page, asked)
        path, name = "/v1/bare_metal_servers", "bare_metal_servers"
        return collection(request, path, name, items, page, total, following)

    @router.get(_ONE, operation_id="get_bare_metal_server", response_model=answers.BareMetalServer)
    async def get(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        return reply(request, await service.get(caller, id))

    @router.patch(
        _ONE, operation_id="update_bare_metal_server", response_model=answers.BareMetalServer
    )
    async def update(
        request: Request, caller: CurrentCaller, id: str, body: BareMetalServerPatch
    ) -> JSONResponse:
        return reply(request, await service.update(caller, id, body))

    @router.delete(_ONE, operation_id="delete_bare_metal_server", status_code=204)
    async def delete(caller: CurrentCaller, id: str) -> Response:
        await service.delete(caller, id)
        return no_content()


def _add_life_cycle(router: APIRouter, service: BareMetalServerService) -> None:
    @router.get(
        f"{_ONE}/initialization",
        operation_id="get_bare_metal_server_initialization",
        response_model=answers.BareMetalServerInitialization,
    )
    async def initialization(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        return reply(request, await service.initialization(caller, id))

    @router.put(
        f"{_ONE}/initialization",
        operation_id="replace_bare_metal_server_initialization",
        response_model=answers.BareMetalServerInitialization,
    )
    async def reinitialize(
        request: Request, caller: CurrentCaller, id: str, body: InitializationPrototype
    ) -> JSONResponse:
        return reply(request, await service.reinitialize(caller, id, body))

    @router.post(f"{_ONE}/start", operation_id="start_bare_metal_server", status_code=204)
    async def start(caller: CurrentCaller, id: str) -> Response:
        await service.act(caller, id, "start")
        return no_content()

    @router.post(f"{_ONE}/stop", operation_id="stop_bare_metal_server", status_code=204)
    async def stop(caller: CurrentCaller, id: str, body: StopPrototype) -> Response:
        await service.act(caller, id, "stop")
        return no_content()

    @router.post(f"{_ONE}/restart", operation_id="restart_bare_metal_server", status_code=204)
    async def restart(caller: CurrentCaller, id: str) -> Response:
        await service.act(caller, id, "restart")
        return no_content()

    @router.post(
        f"{_BELOW}/console_access_token",
        operation_id="create_bare_metal_server_console_access_token",
        status_code=501,
    )
    async def console_access_token(
        caller: CurrentCaller, bare_metal_server_id: str, body: ConsoleAccessTokenPrototype
    ) -> Response:
        await service.record(caller, bare_metal_server_id)
        raise Unsupported(
            "linklocal runs no consoles: use the server's own.",
            Target("console_type", value=body.console_type),
        )


def _add_disks(router: APIRouter, service: BareMetalServerService) -> None:
    @router.get(
        f"{_BELOW}/disks",
        operation_id="list_bare_metal_server_disks",
        response_model=answers.DiskCollection,
    )
    async def disks(
        request: Request, caller: CurrentCaller, bare_metal_server_id: str
    ) -> JSONResponse:
        record = await service.record(caller, bare_metal_server_id)
        return reply(request, {"disks": [views.disk_view(record)]})

    @router.get(
        f"{_BELOW}/disks/{{id}}",
        operation_id="get_bare_metal_server_disk",
        response_model=answers.Disk,
    )
    async def disk(
        request: Request, caller: CurrentCaller, bare_metal_server_id: str, id: str
    ) -> JSONResponse:
        record = await service.record(caller, bare_metal_server_id)
        return reply(request, _one([views.disk_view(record)], id))


def _add_network(router: APIRouter, service: BareMetalServerService) -> None:
    """What a server is attached by, and the read-only interfaces that picture it for older clients."""

    @router.get(
        f"{_BELOW}/network_attachments",
        operation_id="list_bare_metal_server_network_attachments",
        response_model=answers.NetworkAttachmentCollection,
    )
    async def attachments(
        request: Request, caller: CurrentCaller, bare_metal_server_id: str, page: PageOf
    ) -> JSONResponse:
        record = await service.record(caller, bare_metal_server_id)
        found = _views(record, views.attachment_view)
        shown, total, following = slice_page(found, lambda view: str(view["id"]), page)
        path = f"/v1/bare_metal_servers/{record.id}/network_attachments"
        return collection(request, path, "network_attachments", list(shown), page, total, following)

    @router.get(
        f"{_BELOW}/network_attachments/{{id}}",
        operation_id="get_bare_metal_server_network_attachment",
        response_model=answers.NetworkAttachment,
    )
    async def attachment(
        request: Request, caller: CurrentCaller, bare_metal_server_id: str, id: str
    ) -> JSONResponse:
        record = await service.record(caller, bare_metal_server_id)
        return reply(request, _one(_views(record, views.attachment_view), id))

    @router.get(
        f"{_BELOW}/network_interfaces",
        operation_id="list_bare_metal_server_network_interfaces",
        response_model=answers.NetworkInterfaceCollection,
    )
    async def interfaces(
        request: Request, caller: CurrentCaller, bare_metal_server_id: str, page: PageOf
    ) -> JSONResponse:
        record = await service.record(caller, bare_metal_server_id)
        found = _views(record, views.interface_view)
        shown, total, following = slice_page(found, lambda view: str(view["id"]), page)
        path = f"/v1/bare_metal_servers/{record.id}/network_interfaces"
        return collection(request, path, "network_interfaces", list(shown), page, total, following)

    @router.get(
        f"{_BELOW}/network_interfaces/{{id}}",
        operation_id="get_bare_metal_server_network_interface",
        response_model=answers.NetworkInterface,
    )
    async def interface(
        request: Request, caller: CurrentCaller, bare_metal_server_id: str, id: str
    ) -> JSONResponse:
        record = await service.record(caller, bare_metal_server_id)
        return reply(request, _one(_views(record, views.interface_view), id))


def _views(
    record: BareMetalServerRecord,
    view: Callable[[LoadedInterface, BareMetalProfile], dict[str, Any]],
) -> list[dict[str, Any]]:
    return [view(one, record.profile) for one in record.interfaces]


def _one(found: list[dict[str, Any]], id: str) -> dict[str, Any]:
    """The view with that id. Raises NotFound."""
    for view in found:
        if view["id"] == id:
            return view
    raise NotFound("id", id)


def _add_profiles(router: APIRouter, region: Region) -> None:
    @router.get(
        "/bare_metal_server/profiles",
        operation_id="list_bare_metal_server_profiles",
        response_model=answers.BareMetalServerProfileCollection,
    )
    async def profiles(request: Request, caller: CurrentCaller, page: PageOf) -> JSONResponse:
        shown, total, following = slice_page(PROFILES, lambda profile: profile.name, page)
        items = [views.profile_view(profile, region) for profile in shown]
        path = "/v1/bare_metal_server/profiles"
        return collection(request, path, "profiles", items, page, total, following)

    @router.get(
        "/bare_metal_server/profiles/{name}",
        operation_id="get_bare_metal_server_profile",
        response_model=answers.BareMetalServerProfile,
    )
    async def profile(request: Request, caller: CurrentCaller, name: str) -> JSONResponse:
        found = find(name)
        if found is None:
            raise NotFound("name", name)
        return reply(request, views.profile_view(found, region))
