"""`/v1/images` and `/v1/operating_systems`: parses and answers; `service.py` decides."""

from __future__ import annotations

from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from linklocal.errors import NotFound
from linklocal.iam.caller import CurrentCaller
from linklocal.vpc.http import collection, no_content, reply, vpc_router
from linklocal.vpc.images import model
from linklocal.vpc.images.operating_systems import OPERATING_SYSTEMS, UserDataFormat, find
from linklocal.vpc.images.service import ImageFilter, ImageService
from linklocal.vpc.paging import Page, page_parameters, slice_page


def _one_or_more_of(known: tuple[str, ...]) -> tuple[AfterValidator, WithJsonSchema]:
    """Values separated by commas, as IBM's SDK sends a list."""

    def check(text: str | None) -> str | None:
        if text is not None and (strange := [v for v in text.split(",") if v not in known]):
            raise PydanticCustomError(
                "values",
                "there is no {strange!r}: separate one or more of {known} by commas",
                {"strange": strange[0][:100], "known": ", ".join(known)},
            )
        return text

    one = f"({'|'.join(known)})"
    schema = WithJsonSchema({"type": "string", "pattern": f"^{one}(,{one})*$"})
    return AfterValidator(check), schema


Statuses = Annotated[str | None, Query(), *_one_or_more_of(get_args(model.ImageStatus))]
Formats = Annotated[str | None, Query(), *_one_or_more_of(get_args(UserDataFormat))]


def image_filter(
    resource_group_id: Annotated[str | None, Query(alias="resource_group.id")] = None,
    name: str | None = None,
    status: Statuses = None,
    visibility: model.Visibility | None = None,
    user_data_format: Formats = None,
    remote_account_id: Annotated[
        str | None,
        Query(alias="remote.account.id", description="an account id, `null` or `not:null`"),
    ] = None,
) -> ImageFilter:
    """FastAPI dependency."""
    return ImageFilter(
        resource_group_id,
        name,
        None if status is None else status.split(","),
        visibility,
        None if user_data_format is None else user_data_format.split(","),
        remote_account_id,
    )


def image_routes(service: ImageService) -> APIRouter:
    """Operations on images (list, get, create, update, delete, their profiles), and the systems'."""
    router = vpc_router("images")

    @router.get("/images", operation_id="list_images", response_model=model.ImageCollection)
    async def list_(
        request: Request,
        caller: CurrentCaller,
        page: Annotated[Page, Depends(page_parameters)],
        wanted: Annotated[ImageFilter, Depends(image_filter)],
    ) -> JSONResponse:
        items, total, following = await service.list(caller, page, wanted)
        return collection(request, "/v1/images", "images", items, page, total, following)

    @router.post(
        "/images", operation_id="create_image", response_model=model.Image, status_code=201
    )
    async def create(
        request: Request, caller: CurrentCaller, body: model.ImagePrototype
    ) -> JSONResponse:
        version = request.query_params["version"]
        return reply(request, await service.create(caller, body, version), 201)

    @router.patch("/images/{id}", operation_id="update_image", response_model=model.Image)
    async def update(
        request: Request, caller: CurrentCaller, id: str, body: model.ImagePatch
    ) -> JSONResponse:
        return reply(request, await service.update(caller, id, body))

    @router.delete("/images/{id}", operation_id="delete_image", status_code=204)
    async def delete(caller: CurrentCaller, id: str) -> Response:
        await service.delete(caller, id)
        return no_content()

    @router.post("/images/{id}/deprecate", operation_id="deprecate_image", status_code=204)
    async def deprecate(caller: CurrentCaller, id: str) -> Response:
        await service.retire(caller, id, "deprecated")
        return no_content()

    @router.post("/images/{id}/obsolete", operation_id="obsolete_image", status_code=204)
    async def obsolete(caller: CurrentCaller, id: str) -> Response:
        await service.retire(caller, id, "obsolete")
        return no_content()

    @router.get("/images/{id}", operation_id="get_image", response_model=model.Image)
    async def get(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        return reply(request, await service.get(caller, id))

    @router.get(
        "/images/{id}/instance_profiles",
        operation_id="list_image_instance_profiles",
        response_model=model.ImageInstanceProfileCollection,
    )
    async def list_profiles(
        request: Request,
        caller: CurrentCaller,
        id: str,
        page: Annotated[Page, Depends(page_parameters)],
    ) -> JSONResponse:
        items, total, following = await service.instance_profiles(caller, id, page)
        path = f"/v1/images/{id}/instance_profiles"
        return collection(request, path, "instance_profiles", items, page, total, following)

    @router.get(
        "/operating_systems",
        operation_id="list_operating_systems",
        response_model=model.OperatingSystemCollection,
    )
    async def list_systems(
        request: Request, caller: CurrentCaller, page: Annotated[Page, Depends(page_parameters)]
    ) -> JSONResponse:
        shown, total, following = slice_page(OPERATING_SYSTEMS, lambda system: system.name, page)
        views = [system.view() for system in shown]
        path = "/v1/operating_systems"
        return collection(request, path, "operating_systems", views, page, total, following)

    @router.get(
        "/operating_systems/{name}",
        operation_id="get_operating_system",
        response_model=model.OperatingSystem,
    )
    async def get_system(request: Request, caller: CurrentCaller, name: str) -> JSONResponse:
        system = find(name)
        if system is None:
            raise NotFound("name", name)
        return reply(request, system.view())

    return router
