"""Reads what the report is made of: three queries, whatever the number of instances."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from linklocal.fleet.events import EventStore
from linklocal.iam.caller import Caller
from linklocal.iam.links import VSI
from linklocal.iam.tables import profile_links, trusted_profiles
from linklocal.vpc.context import VpcContext
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.report.model import (
    EXCHANGE_ACTIONS,
    TOKEN_ACTIONS,
    Configured,
    Linked,
    Report,
    make_report,
)

READ = "linklocal.report.read"
CERTIFICATE = "is.metadata.certificate.create"


class ReportService:
    """Which instances have their metadata service on, how, and who still calls it in old ways."""

    def __init__(self, context: VpcContext, events: EventStore) -> None:
        self._context = context
        self._events = events

    async def report(self, caller: Caller, since: datetime | None = None) -> Report:
        """The caller's account in this region. Calls count from `since` on: default, and at most, as long
        as events are kept. Raises NotAuthorized when the caller is no Administrator."""
        context, i, link, profile = self._context, instances.c, profile_links.c, trusted_profiles.c
        now = context.clock.now()
        oldest = self._events.kept_since()
        since = oldest if since is None else max(since, oldest)
        async with context.database.read() as connection:
            await context.authorizer.require(connection, caller, READ)
            rows = await connection.execute(
                select(
                    i.id,
                    i.name,
                    i.crn,
                    i.metadata_enabled,
                    i.metadata_protocol,
                    i.metadata_response_hop_limit,
                )
                .where(i.account_id == caller.account_id, i.region == context.region.name)
                .order_by(i.name, i.id)
            )
            configured = [Configured(*row) for row in rows]
            linked = await connection.execute(
                select(link.crn, profile.id, profile.name, link.auto, link.created_at)
                .join_from(profile_links, trusted_profiles)
                .where(profile.account_id == caller.account_id, link.cr_type == VSI)
                .order_by(profile.name, profile.id)
            )
            links = [Linked(*row) for row in linked]
            actions = {*TOKEN_ACTIONS, *EXCHANGE_ACTIONS, CERTIFICATE}
            uses = await self._events.identity_use(connection, actions=actions, since=since)
        return make_report(configured, links, uses, now=now, since=since)
