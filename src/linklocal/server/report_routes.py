"""`GET /report/v1/metadata`: linklocal's own, for Administrators; no part of IBM's API has it."""

from __future__ import annotations

from fastapi import APIRouter

from linklocal.iam.caller import CurrentCaller
from linklocal.server.audit_routes import Since
from linklocal.vpc.report.model import Report
from linklocal.vpc.report.service import ReportService

PATH = "/report/v1/metadata"


def report_routes(service: ReportService) -> APIRouter:
    """Operation `get_metadata_report`; calls count from `since` on."""
    router = APIRouter(tags=["report"])

    @router.get(PATH, operation_id="get_metadata_report", response_model=Report)
    async def get(caller: CurrentCaller, since: Since | None = None) -> Report:
        return await service.report(caller, since)

    return router
