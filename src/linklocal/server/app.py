"""The control plane: every object is made here, top to bottom, and mounted into one ASGI app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from linklocal import __version__
from linklocal.clock import Clock
from linklocal.console.app import Console, build_console
from linklocal.console.services import Services
from linklocal.fleet import enrolment, nodes
from linklocal.fleet.enrolment import NodeAuthenticator
from linklocal.fleet.events import EventStore
from linklocal.fleet.feed import Feed
from linklocal.fleet.publish import FleetPublisher
from linklocal.fleet.routes import fleet_routes
from linklocal.iam.bootstrap import SetUp
from linklocal.iam.build import Iam, build_iam
from linklocal.server import routing
from linklocal.server.absent import AbsentRoute
from linklocal.server.audit import Audit
from linklocal.server.audit_routes import audit_routes
from linklocal.server.audit_sinks import AuditSinks, audit_sinks
from linklocal.server.errors import install_error_handlers, status_of
from linklocal.server.http import Bodies, RequestIds
from linklocal.server.metrics import CountCalls, Counts, install_metrics
from linklocal.server.nodes import operator_routes
from linklocal.server.openapi import install_openapi
from linklocal.server.report_routes import report_routes
from linklocal.server.traces import TraceCalls
from linklocal.server.validation import problems_of
from linklocal.server.vpc import Vpc, build_vpc, vpc_routes
from linklocal.settings import Region, ServerSettings
from linklocal.store import migrations
from linklocal.store.engine import Database, database_url, open_database
from linklocal.store.sqlite import sole_process
from linklocal.store.wake import Wake
from linklocal.tracing import Traces
from linklocal.vpc.context import VpcContext
from linklocal.vpc.images.stock import seed_images
from linklocal.vpc.report.service import ReportService


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A built server: the ASGI app, and the services behind it for whoever runs in the same process."""

    app: FastAPI
    database: Database
    context: VpcContext
    events: EventStore
    iam: Iam
    vpc: Vpc
    console: Console
    region: Region
    clock: Clock

    async def bootstrap(self, api_key: str | None) -> SetUp:
        """Account, user, keys, roots and stock images exist afterwards. Safe to repeat.

        `api_key` becomes a valid key of the administrator; without it the first start makes one.
        """
        async with self.database.transaction() as connection:
            made = await self.iam.bootstrap(connection, api_key=api_key)
            now = self.clock.now()
            await seed_images(connection, self.region, made.resource_group_id, now)
        return made

    async def join_token(self, node_name: str) -> str:
        """A token with which the node of this name can join."""
        async with self.database.transaction() as connection:
            made = await enrolment.create_join_token(
                connection, now=self.clock.now(), node_name=node_name
            )
        return made.token

    async def all_acknowledged(self) -> bool:
        """Whether every node has applied everything that was published."""
        async with self.database.read() as connection:
            known = await nodes.list_nodes(connection, self.region.name)
        return all(
            node.revoked_at is not None or node.applied_revision >= node.revision for node in known
        )


@asynccontextmanager
async def build(
    settings: ServerSettings, clock: Clock, *, url: str, dev: bool, traces: Traces | None = None
) -> AsyncIterator[ControlPlane]:
    """A control plane inside the block. `url` is where clients reach it; `traces` gets
    a span of each call.

    Raises OperatorError when the database cannot be used: another process has the SQLite file, the
    schema is of another version, the key file does not belong to it.
    """
    location = settings.resolved_database_url()
    with sole_process(database_url(location)):
        # A SQLite file belongs to this one process, so it may upgrade it; replicas share a database,
        # which an operator upgrades once.
        if database_url(location).get_backend_name() == "sqlite":
            migrations.upgrade(location)
        else:
            migrations.require_current(location)
        database = open_database(location)
        wake = Wake(database)
        await wake.start()
        try:
            async with audit_sinks(settings) as sinks:
                yield _compose(settings, clock, database, wake, sinks, traces, url=url, dev=dev)
        finally:
            await wake.close()
            await database.close()


def _compose(
    settings: ServerSettings,
    clock: Clock,
    database: Database,
    wake: Wake,
    sinks: AuditSinks,
    traces: Traces | None,
    *,
    url: str,
    dev: bool,
) -> ControlPlane:
    region = Region(settings.region)
    iam = build_iam(
        database,
        clock,
        region,
        key_file=settings.resolved_key_file(),
        create_key_file=database.is_sqlite,
        dev=dev,
    )
    events = EventStore(
        clock, most=settings.events_max, hours=settings.events_hours, stored=sinks.put
    )
    context = VpcContext(
        database=database,
        authorizer=iam.roles,
        publisher=FleetPublisher(wake, clock),
        clock=clock,
        region=region,
    )
    vpc = build_vpc(context, auto_place=dev)
    report = ReportService(context, events)
    app = FastAPI(title="linklocal", version=__version__, docs_url=None, redoc_url=None)
    app.state.authenticator = iam.authenticator
    app.state.node_authenticator = NodeAuthenticator(database, clock)
    app.state.public_url = settings.public_url
    install_error_handlers(app)
    install_openapi(app)
    routing.add(app, fleet_routes(database, clock, region, Feed(database, wake), events))
    for router in (*iam.routers, *vpc_routes(vpc, region)):
        routing.add(app, router)
    routing.add(app, audit_routes(database, iam.roles, events, region))
    routing.add(app, report_routes(report))
    routing.add(
        app,
        operator_routes(
            database,
            iam.roles,
            clock,
            region,
            vpc.instances,
            vpc.bare_metal_servers,
            iam.signing_keys,
            wake,
        ),
    )

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> JSONResponse:
        """The process lives: nothing else is asked, so that no outage elsewhere restarts it."""
        return JSONResponse({"status": "ok", "version": __version__})

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> JSONResponse:
        """Requests can be served; 503 while the database does not answer."""
        await database.ping()
        return JSONResponse({"status": "ready", "version": __version__})

    counts = Counts()
    install_metrics(
        app,
        counts,
        database,
        clock,
        region,
        dropped=lambda: sinks.dropped,
        token=settings.metrics_token,
    )
    console = build_console(
        Services(
            context=context,
            iam=iam,
            events=events,
            instances=vpc.instances,
            templates=vpc.templates,
            keys=vpc.keys,
            images=vpc.images,
            placement_groups=vpc.placement_groups,
            vpcs=vpc.vpcs,
            subnets=vpc.subnets,
            security_groups=vpc.security_groups,
            floating_ips=vpc.floating_ips,
            report=report,
        ),
        public_url=settings.public_url,
        status_of=status_of,
        problems_of=problems_of,
    )
    app.mount("/console", console.app)
    app.router.routes.append(AbsentRoute())  # the last: whatever is there comes first

    app.add_middleware(Bodies)
    app.add_middleware(
        Audit, database=database, events=events, clock=clock, routes=app.router.routes
    )
    app.add_middleware(CountCalls, counts=counts, clock=clock)
    if traces is not None:
        app.add_middleware(TraceCalls, traces=traces)
    app.add_middleware(RequestIds)  # the outermost: refusals of `Bodies` have ids too
    return ControlPlane(app, database, context, events, iam, vpc, console, region, clock)
