"""The listeners' certificate: asked for when needed, renewed under open listeners, kept."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fakes.clock import FakeClock
from fakes.server import JOIN_TOKEN, FakeServer, Refused, pem

from linklocal.clock import SystemClock
from linklocal.node.backoff import Backoff
from linklocal.node.control_client import ControlClient
from linklocal.node.identity import IdentityStore
from linklocal.node.sockets import NotAttached
from linklocal.node.tls import ListenerTls


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer() as server:
        yield server


@pytest.fixture
async def client(server: FakeServer, tmp_path: Path) -> AsyncIterator[ControlClient]:
    client = ControlClient(server.url, IdentityStore(tmp_path).keys(), SystemClock())
    client.enrolment = await client.enrol(JOIN_TOKEN, "host-1")
    yield client
    await client.close()


def make(
    folder: Path, client: ControlClient | None, clock: FakeClock, *, localhost: bool = False
) -> tuple[ListenerTls, asyncio.Event]:
    backoff = Backoff(lambda: 0.0, first=0.01, most=0.01)
    tls = ListenerTls(folder, client, clock, backoff, localhost=localhost, look_seconds=0.01)
    changed = asyncio.Event()
    tls.on_change = changed.set
    return tls, changed


@asynccontextmanager
async def renewing(tls: ListenerTls) -> AsyncIterator[None]:
    task = asyncio.create_task(tls.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def now() -> FakeClock:
    return FakeClock(datetime.now(UTC))


@asynccontextmanager
async def listening(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def certificate(port: int, trust: ssl.SSLContext, name: str) -> x509.Certificate:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=name)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(der)


async def test_nothing_is_asked_until_https_is_wanted(
    server: FakeServer, client: ControlClient, tmp_path: Path
) -> None:
    tls, changed = make(tmp_path, client, now())
    async with renewing(tls):
        assert not any("tls_certificate" in path for path in server.asked)
        with pytest.raises(NotAttached, match="being asked"):
            tls.context()
        await asyncio.wait_for(changed.wait(), 5)

    assert isinstance(tls.context(), ssl.SSLContext)
    assert tls.fault is None


async def test_a_renewed_certificate_is_served_by_the_open_listener(
    server: FakeServer, client: ControlClient, tmp_path: Path
) -> None:
    clock = now()
    file = tmp_path / "tls" / "listener.pem"
    server.certificate_life = timedelta(hours=3)
    tls, changed = make(tmp_path, client, clock, localhost=True)
    trust = ssl.create_default_context(cadata=pem(server.ca))
    async with renewing(tls):
        with suppress(NotAttached):
            tls.context()
        await asyncio.wait_for(changed.wait(), 5)
        async with listening(tls.context()) as port:
            first = await certificate(port, trust, "localhost")
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=trust, server_hostname="localhost"
            )
            clock.advance(3 * 3600 * 2 / 3 - 60)
            assert tls.fault is None
            server.certificate_life = timedelta(hours=30)
            clock.advance(120)
            await server.until(lambda: server.asked.count("/internal/v1/tls_certificate") == 2)
            async with asyncio.timeout(5):
                while (await certificate(port, trust, "localhost")) == first:
                    await asyncio.sleep(0.01)
                while first.public_bytes(Encoding.PEM) in file.read_bytes():
                    await asyncio.sleep(0.01)
            writer.write(b"still here\n")
            assert await asyncio.wait_for(reader.readline(), 5) == b"still here\n"
            writer.close()


async def test_an_overdue_certificate_is_served_and_told(
    server: FakeServer, client: ControlClient, tmp_path: Path
) -> None:
    clock = now()
    tls, changed = make(tmp_path, client, clock)
    async with renewing(tls):
        with suppress(NotAttached):
            tls.context()
        await asyncio.wait_for(changed.wait(), 5)
        server.refusals["tls_certificate"] = Refused(503, "service_error", "Not now.")
        clock.advance(20 * 3600)
        asked = len(server.asked)
        await server.until(lambda: len(server.asked) > asked + 1)
        assert "is due for renewal" in str(tls.fault)
        clock.advance(5 * 3600)
        assert "has expired" in str(tls.fault)
        assert "Not now" in str(tls.fault)
        assert isinstance(tls.context(), ssl.SSLContext)


async def test_it_is_kept_for_the_next_start(
    server: FakeServer, client: ControlClient, tmp_path: Path
) -> None:
    tls, changed = make(tmp_path, client, now())
    async with renewing(tls):
        with suppress(NotAttached):
            tls.context()
        await asyncio.wait_for(changed.wait(), 5)
    again, _ = make(tmp_path, None, now())

    assert again.load() is None
    assert isinstance(again.context(), ssl.SSLContext)
    assert [p.name for p in (tmp_path / "tls").iterdir()] == ["listener.pem"]
    assert (tmp_path / "tls" / "listener.pem").stat().st_mode & 0o777 == 0o600

    late = now()
    late.advance(25 * 3600)
    expired, _ = make(tmp_path, None, late)
    assert "expired" in str(expired.load())


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_torn_file_is_told_and_not_used(tmp_path: Path, content: bytes) -> None:
    tls, _ = make(tmp_path, None, now())
    (tmp_path / "tls" / "listener.pem").write_bytes(content)

    assert tls.load()
    with pytest.raises(NotAttached):
        tls.context()


@pytest.mark.differs(
    "Metadata: names in the certificate of secure access",
    "`api.metadata.cloud.ibm.com`",
    "`localhost` too under `linklocal dev`",
)
async def test_localhost_is_in_it_where_the_server_allows_that(
    server: FakeServer, client: ControlClient, tmp_path: Path
) -> None:
    trust = ssl.create_default_context(cadata=pem(server.ca))
    for allowed in (True, False):
        server.allows_localhost = allowed
        tls, changed = make(tmp_path / str(allowed), client, now(), localhost=True)
        async with renewing(tls):
            with suppress(NotAttached):
                tls.context()
            await asyncio.wait_for(changed.wait(), 5)
        async with listening(tls.context()) as port:
            made = await certificate(port, trust, "api.metadata.cloud.ibm.com")
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert ("localhost" in names.get_values_for_type(x509.DNSName)) is allowed


async def test_old_protocol_versions_are_refused(
    server: FakeServer, client: ControlClient, tmp_path: Path
) -> None:
    tls, changed = make(tmp_path, client, now())
    async with renewing(tls):
        with suppress(NotAttached):
            tls.context()
        await asyncio.wait_for(changed.wait(), 5)
    old = ssl.create_default_context(cadata=pem(server.ca))
    async with listening(tls.context()) as port:
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await certificate(port, old, "api.metadata.cloud.ibm.com")
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        await certificate(port, old, "api.metadata.cloud.ibm.com")
