"""Pages of what stands around instances: SSH keys, images, networks, nodes."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from starlette.responses import Response
from starlette.routing import Route

from linklocal.console.listing import Asked, Listing
from linklocal.console.pages import Pages, Said, Visit
from linklocal.console.services import Services
from linklocal.errors import DomainError
from linklocal.fleet import nodes as fleet_nodes
from linklocal.fleet import placement
from linklocal.fleet.tables import placements
from linklocal.vpc.images.service import ImageFilter
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.keys.model import KeyPrototype
from linklocal.vpc.network.subnets.service import SubnetFilter

OPERATE = "linklocal.node.operate"  # as the operator's routes of the API


class ResourcePages:
    """One per server."""

    def __init__(self, pages: Pages, services: Services) -> None:
        self._pages = pages
        self._services = services

    def routes(self) -> list[Route]:
        get, change = self._pages.get, self._pages.change
        return [
            Route("/ssh-keys", get(self.ssh_keys)),
            Route(
                "/ssh-keys",
                change(self.create_ssh_key, "POST /v1/keys", refill=self.ssh_keys),
                methods=["POST"],
            ),
            Route(
                "/ssh-keys/{id}/delete",
                change(self.delete_ssh_key, "DELETE /v1/keys/{id}"),
                methods=["POST"],
            ),
            Route("/images", get(self.images)),
            Route("/vpcs", get(self.vpcs)),
            Route("/subnets", get(self.subnets)),
            Route("/floating-ips", get(self.floating_ips)),
            Route("/security-groups", get(self.security_groups)),
            Route("/nodes", get(self.nodes)),
        ]

    async def ssh_keys(self, visit: Visit, said: Said | None = None) -> Response:
        asked, said = Asked.of(visit, "/console/ssh-keys"), said or Said()
        listing = asked.listing(await self._services.keys.list(visit.caller, asked.page()))
        return self._pages.render(
            "ssh_keys.html", visit, said.status, listing=listing, said=said, form=visit.form
        )

    async def create_ssh_key(self, visit: Visit) -> Response:
        body = {
            "name": visit.form.get("name").strip() or None,
            "public_key": visit.form.get("public_key").strip(),
        }
        try:
            try:
                prototype = KeyPrototype.model_validate(body)
            except ValidationError as error:
                raise self._pages.checked(error) from error
            visit.made(await self._services.keys.create(visit.caller, prototype))
        except DomainError as error:
            return await self.ssh_keys(visit, self._pages.said(error))
        return self._pages.to("/ssh-keys", "Created.")

    async def delete_ssh_key(self, visit: Visit) -> Response:
        await self._services.keys.delete(visit.caller, visit.path("id"))
        return self._pages.to("/ssh-keys", "Deleted.")

    async def images(self, visit: Visit) -> Response:
        asked = Asked.of(visit, "/console/images")
        listing = asked.listing(
            await self._services.images.list(visit.caller, asked.page(), ImageFilter())
        )
        rows = [
            [
                image["name"],
                image["operating_system"]["display_name"],
                image["operating_system"]["architecture"],
                image["visibility"],
                image["allowed_use"]["instance"],
            ]
            for image in listing.items
        ]
        heads = ["Name", "Operating system", "Architecture", "Visibility", "Allowed use"]
        return self._table(visit, listing, "Images", heads, rows)

    async def vpcs(self, visit: Visit) -> Response:
        asked = Asked.of(visit, "/console/vpcs")
        listing = asked.listing(await self._services.vpcs.list(visit.caller, asked.page()))
        rows = [
            [v["name"], v["status"], v["id"], v["resource_group"]["name"]] for v in listing.items
        ]
        return self._table(visit, listing, "VPCs", ["Name", "Status", "ID", "Resource group"], rows)

    async def subnets(self, visit: Visit) -> Response:
        asked = Asked.of(visit, "/console/subnets")
        listing = asked.listing(
            await self._services.subnets.list(visit.caller, asked.page(), SubnetFilter())
        )
        rows = [
            [
                s["name"],
                s["ipv4_cidr_block"],
                s["zone"]["name"],
                s["vpc"]["name"],
                f"{s['available_ipv4_address_count']} of {s['total_ipv4_address_count']}",
            ]
            for s in listing.items
        ]
        heads = ["Name", "IP range", "Zone", "VPC", "Free addresses"]
        return self._table(visit, listing, "Subnets", heads, rows)

    async def floating_ips(self, visit: Visit) -> Response:
        asked = Asked.of(visit, "/console/floating-ips")
        listing = asked.listing(await self._services.floating_ips.list(visit.caller, asked.page()))
        rows = [
            [f["name"], f["address"], f["zone"]["name"], f.get("target", {}).get("name", "-")]
            for f in listing.items
        ]
        return self._table(
            visit, listing, "Floating IPs", ["Name", "Address", "Zone", "Target"], rows
        )

    async def security_groups(self, visit: Visit) -> Response:
        asked = Asked.of(visit, "/console/security-groups")
        listing = asked.listing(
            await self._services.security_groups.list(visit.caller, asked.page())
        )
        rows = [
            [g["name"], g["vpc"]["name"], str(len(g["rules"])), str(len(g["targets"]))]
            for g in listing.items
        ]
        return self._table(
            visit, listing, "Security groups", ["Name", "VPC", "Rules", "Targets"], rows
        )

    def _table(
        self, visit: Visit, listing: Listing, title: str, heads: list[str], rows: list[list[str]]
    ) -> Response:
        return self._pages.render(
            "table.html", visit, listing=listing, title=title, heads=heads, rows=rows
        )

    async def nodes(self, visit: Visit) -> Response:
        """Nodes with what is placed on them, what they have applied, and how old that is."""
        context, caller = self._services.context, visit.caller
        async with context.database.read() as connection:
            await context.authorizer.require(connection, caller, OPERATE)
            found = await fleet_nodes.list_nodes(connection, context.region.name)
            p, i = placements.c, instances.c
            statement = (
                select(p.node_id, i.id, i.name)
                .join(instances, i.id == p.instance_id)
                .where(i.account_id == caller.account_id)
                .order_by(i.name)
            )
            rows = (await connection.execute(statement)).all()
            where = await placement.find(connection, [row.id for row in rows])
        placed: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            placed.setdefault(row.node_id, []).append(
                {"id": row.id, "name": row.name, "state": where[row.id]}
            )
        return self._pages.render("nodes.html", visit, nodes=found, placed=placed)
