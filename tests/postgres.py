"""A PostgreSQL server for one test session: unprivileged, on a Unix socket only, gone at the end.

Uses Debian's binaries (`apt-get install postgresql`) but none of its clusters. It must not be used to
test durability: fsync is off.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

PACKAGE = "postgresql"
START_SECONDS = 60.0
# Fast rather than durable; many connections, because tests run engines with pools side by side.
OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


_END_OTHERS = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
# Foreign keys are not looked at meanwhile; sequences begin anew, as in a fresh copy.
_EMPTY = """
    DO $$
    DECLARE name text;
    BEGIN
        SET LOCAL session_replication_role = replica;
        FOR name IN SELECT tablename FROM pg_tables
            WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        LOOP
            EXECUTE format('DELETE FROM %I', name);
        END LOOP;
        FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'
        LOOP
            EXECUTE format('ALTER SEQUENCE %I RESTART', name);
        END LOOP;
    END $$"""


def binaries() -> Path | None:
    """The folder with the newest installed `initdb` and `postgres`, or None."""
    found = [p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    found = [p for p in found if (p / "initdb").exists()]
    return max(found, key=lambda p: float(p.parent.name), default=None)


def _account() -> pwd.struct_passwd:
    """Whom the server runs as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("there is neither a user `postgres` nor `nobody` to run PostgreSQL as")


class PostgresServer:
    """A running server. `pid` is its postmaster's; `start` makes one."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.folder = folder
        self.pid = pid
        self._numbers = itertools.count(1)

    def url(self, database: str) -> str:
        """`postgresql://postgres@/NAME?host=SOCKET FOLDER`."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def execute(self, statement: sql.Composed | sql.SQL) -> None:
        """Run one statement outside a transaction, as the superuser."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def create(self, template: str = "template1") -> str:
        """A fresh database, a copy of `template`, to which nobody may be connected. Returns its name."""
        name = f"test_{next(self._numbers)}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def empty(self, name: str) -> None:
        """Every table as after the migration, whoever is still connected. Far cheaper than a new copy."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            connection.execute(_END_OTHERS)
            connection.execute(_EMPTY)

    def drop(self, name: str) -> None:
        """Remove a database and end whatever is still connected to it."""
        self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def start(where: Path) -> Iterator[PostgresServer]:
    """Run a server with the binaries in `where` until the block ends."""
    account = _account()
    # Not below pytest's folders: those are closed to the unprivileged user, and a socket's path is short.
    folder = Path(tempfile.mkdtemp(prefix="linklocal-pg-"))
    os.chown(folder, account.pw_uid, account.pw_gid)
    make = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    become = ["setpriv", "--pdeathsig=INT"]  # a killed test run leaves no server behind
    if os.geteuid() == 0:
        become += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    data, log = folder / "data", folder / "log"
    try:
        subprocess.run(
            [*become, where / "initdb", "-D", data, *make, "--no-instructions"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
        )
        settings = [f"-c{name}={value}" for name, value in OPTIONS.items()]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*become, where / "postgres", "-D", data, "-k", folder, *settings],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=folder,
            )
        try:
            server = PostgresServer(folder, process.pid)
            _wait_until_ready(server, process, log)
            yield server
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # fast shutdown: connections are ended
            try:
                process.wait(timeout=START_SECONDS)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait(timeout=START_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(server: PostgresServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.execute(sql.SQL("SELECT 1"))
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}") from error
            time.sleep(0.05)
        else:
            return
