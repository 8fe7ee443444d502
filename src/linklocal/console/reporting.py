"""The report on how instances have their metadata service, as a page: the same that the API gives."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from linklocal.console.listing import Asked, Listing
from linklocal.console.pages import Pages, Visit
from linklocal.console.services import Services
from linklocal.vpc.report.model import FINDINGS

PATH = "/console/report"
# What a finding is called where its sentence has no room.
SHORT = {
    "http": "HTTP",
    "hop_limit": "Hop limit above 1",
    "unused_profile": "Unused profile",
    "legacy_path": "Old paths",
    "no_nonce": "No nonce",
}


class ReportPages:
    """One per server."""

    def __init__(self, pages: Pages, services: Services) -> None:
        self._pages = pages
        self._services = services

    def routes(self) -> list[Route]:
        return [Route("/report", self._pages.get(self.report))]

    async def report(self, visit: Visit) -> Response:
        """How many instances have which finding, and those instances: all, or those with one finding."""
        finding = visit.query("finding")
        finding = finding if finding in FINDINGS else ""
        asked = Asked.of(visit, PATH, (("finding", finding),))
        page = asked.iam_page(sort="name")
        report = await self._services.report.report(visit.caller)
        found = [
            one
            for one in report.instances
            if (not finding or finding in one.findings) and asked.search.lower() in one.name.lower()
        ]
        end = page.offset + page.size
        shown = [one.model_dump() for one in found[page.offset : end]]
        listing = Listing(asked, shown, len(found), str(end) if end < len(found) else "")
        return self._pages.render(
            "report.html",
            visit,
            report=report,
            counts=report.summary.model_dump(),
            findings=FINDINGS,
            short=SHORT,
            finding=finding,
            listing=listing,
        )
