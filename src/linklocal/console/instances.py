"""Pages of instances: the list, and details with the *Metadata* section. The services decide.

What the *Actions* menu of an instance does is in `instance_actions.py`.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from linklocal.console.calls import would_break
from linklocal.console.forms import metadata_patch, number
from linklocal.console.listing import Asked
from linklocal.console.live import calls_of, mark, placement_of
from linklocal.console.pages import Pages, Said, Visit, nothing
from linklocal.console.services import Services
from linklocal.document import MetadataService, Protocol
from linklocal.errors import DomainError, NotAuthorized, NotFound
from linklocal.ids import InstanceId
from linklocal.vpc.instances.model import InstancePatch
from linklocal.vpc.instances.queries import InstanceFilter
from linklocal.vpc.metadata_service import MAX_HOP_LIMIT, MIN_HOP_LIMIT


class InstancePages:
    """One per server."""

    def __init__(self, pages: Pages, services: Services) -> None:
        self._pages = pages
        self._services = services

    def routes(self) -> list[Route]:
        get, change = self._pages.get, self._pages.change
        one = "/instances/{id}"
        return [
            Route("/instances", get(self.list)),
            Route("/instances/rows", get(self.rows)),
            Route(one, get(self.details)),
            Route(f"{one}/metadata", get(self.metadata)),
            Route(
                f"{one}/metadata",
                change(self.set_metadata, "PATCH /v1/instances/{id}", refill=self.details),
                methods=["POST"],
            ),
            Route(f"{one}/preview", get(self.preview)),
            Route(f"{one}/status", get(self.status)),
            Route(f"{one}/calls", get(self.calls)),
        ]

    # The list

    async def _list(self, visit: Visit) -> dict[str, Any]:
        """One page of the list, and the mark that its stream compares with."""
        caller, asked = visit.caller, Asked.of(visit, "/console/instances")
        instances = self._services.instances
        seen = await instances.mark(caller, asked.page(), InstanceFilter())
        listing = asked.listing(await instances.list(caller, asked.page(), InstanceFilter()))
        floating = await instances.floating_ips(caller, [view["id"] for view in listing.items])
        return {"listing": listing, "floating": floating, "seen": mark(seen)}

    async def list(self, visit: Visit) -> Response:
        """Contract 6, rows 2 and 3."""
        return self._pages.render("instances.html", visit, **await self._list(visit))

    async def rows(self, visit: Visit) -> Response:
        """The table alone: when something changed."""
        return self._pages.render("part_instances.html", visit, **await self._list(visit))

    # One instance

    async def details(self, visit: Visit) -> Response:
        """Contract 6, rows 10 to 13; with a name or hop limit that was typed as the session ended.

        IBM's *Reservation* section and *Integrations* tab are of resources that are not offered here.
        """
        id = visit.path("id")
        instance, _ = await self._services.instances.get(visit.caller, id)
        values = await self._metadata_values(visit, instance)
        floating = await self._services.instances.floating_ips(visit.caller, [InstanceId(id)])
        return self._pages.render(
            "instance.html",
            visit,
            floating_ip=floating.get(id, "-"),
            typed_name=visit.form.get("name"),
            **{**values, "typed_limit": visit.form.get("hop_limit")},
        )

    async def _metadata_values(
        self, visit: Visit, instance: dict[str, Any], said: Said | None = None
    ) -> dict[str, Any]:
        """What the *Metadata* section and what hangs on it need."""
        services, id = self._services, instance["id"]
        default: dict[str, Any] = {}
        keys: list[dict[str, Any]] = []
        linked = False
        if instance["status"] != "deleting":
            start = await services.instances.initialization(visit.caller, id)
            keys, default = start["keys"], start.get("default_trusted_profile", {})
        if default:
            try:
                profile_id, crn = default["target"]["id"], instance["crn"]
                linked = bool(await services.iam.links.list(visit.caller, profile_id, crn=crn))
                profile = await services.iam.profiles.get(visit.caller, profile_id)
                default = {**default, "name": profile["name"]}
            except (NotAuthorized, NotFound):
                # A Viewer of `is` alone sees the profile's id; a deleted profile has nothing more.
                default = {**default, "name": default["target"]["id"]}
        settings = MetadataService(**instance["metadata_service"])
        calls = await calls_of(services, id)
        other: Protocol = "http" if settings.protocol == "https" else "https"
        return {
            "instance": instance,
            "settings": settings,
            "keys": keys,
            "default": default,
            "linked": linked,
            "calls": calls,
            "swapped": False,
            "flipped": would_break(
                calls.all, MetadataService(True, other, settings.response_hop_limit), calls.now
            ),
            "off": would_break(calls.all, MetadataService(False), calls.now),
            "preview": None,
            "typed_limit": "",
            "limits": (MIN_HOP_LIMIT, MAX_HOP_LIMIT),
            "placed": await placement_of(services, id),
            "said": said or Said(),
        }

    async def metadata(self, visit: Visit) -> Response:
        """The *Metadata* section alone: when somebody else changed it.

        Nothing when the page shows these settings already: it may hold a hop limit that is being typed.
        """
        try:
            instance, _ = await self._services.instances.get(visit.caller, visit.path("id"))
        except NotFound:
            return nothing()
        now = instance["metadata_service"]
        shown = f"{now['enabled']}-{now['protocol']}-{now['response_hop_limit']}"
        if visit.query("shown") == shown:
            return nothing()
        values = await self._metadata_values(visit, instance)
        return self._pages.render("part_metadata.html", visit, **values)

    async def set_metadata(self, visit: Visit) -> Response:
        """One control was changed. What is refused is said in place, and the control put back."""
        id = visit.path("id")
        said = Said()
        try:
            try:
                patch = InstancePatch.model_validate(metadata_patch(visit.form))
            except ValidationError as error:
                raise self._pages.checked(error) from error
            instance, _ = await self._services.instances.update(visit.caller, id, patch, None)
            visit.made(instance)
        except DomainError as error:
            said = self._pages.said(error)
            instance, _ = await self._services.instances.get(visit.caller, id)
        values = await self._metadata_values(visit, instance, said)
        return self._pages.render("part_metadata.html", visit, said.status, **values)

    async def preview(self, visit: Visit) -> Response:
        """The picture and *what would break* for a hop limit that is not applied yet."""
        instance, _ = await self._services.instances.get(visit.caller, visit.path("id"))
        settings = MetadataService(**instance["metadata_service"])
        limit = number(visit.query("hop_limit"))
        calls = await calls_of(self._services, instance["id"])
        preview = None
        if isinstance(limit, int) and MIN_HOP_LIMIT <= limit <= MAX_HOP_LIMIT:
            proposed = MetadataService(settings.enabled, settings.protocol, limit)
            if proposed != settings:
                preview = would_break(calls.all, proposed, calls.now)
                settings = proposed
        return self._pages.render(
            "part_path.html", visit, settings=settings, preview=preview, calls=calls
        )

    async def status(self, visit: Visit) -> Response:
        """Status and node alone; of an instance that is gone, that it is: the page stays as it was."""
        try:
            instance, _ = await self._services.instances.get(visit.caller, visit.path("id"))
        except NotFound:
            return self._pages.render("part_gone.html", visit)
        placed = await placement_of(self._services, instance["id"])
        return self._pages.render("part_status.html", visit, instance=instance, placed=placed)

    async def calls(self, visit: Visit) -> Response:
        """The live list and the chart alone."""
        try:
            instance, _ = await self._services.instances.get(visit.caller, visit.path("id"))
        except NotFound:
            return nothing()
        calls = await calls_of(self._services, instance["id"])
        return self._pages.render("part_calls.html", visit, calls=calls, swapped=True)
