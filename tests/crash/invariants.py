"""What must be true of a stopped server's database, whatever happened to the process before."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

from linklocal.clock import SystemClock
from linklocal.document import InstanceDocument
from linklocal.server.app import build
from linklocal.settings import ServerSettings
from linklocal.vpc.render import render_documents

# Each query lists rows that must not exist.
ORPHANS = {
    "an address of nothing": """
        SELECT address FROM reserved_ips WHERE owner = 'user' AND target_id IS NOT NULL
        AND target_id NOT IN (SELECT id FROM virtual_network_interfaces)
        AND target_id NOT IN (SELECT id FROM network_interfaces)""",
    "an address that should have gone with its interface": """
        SELECT address FROM reserved_ips WHERE owner = 'user' AND auto_delete AND target_id IS NULL""",
    "an interface that should have gone with its instance": """
        SELECT id FROM virtual_network_interfaces WHERE auto_delete
        AND id NOT IN (SELECT virtual_network_interface_id FROM network_attachments)""",
    "an attachment of no instance": """
        SELECT id FROM network_attachments WHERE instance_id NOT IN (
            SELECT id FROM instances UNION ALL SELECT id FROM bare_metal_servers)""",
    "a volume attachment of no instance": """
        SELECT id FROM volume_attachments WHERE instance_id NOT IN (SELECT id FROM instances)""",
    "a boot volume of no instance": """
        SELECT id FROM volumes WHERE source_image_id IS NOT NULL
        AND id NOT IN (SELECT volume_id FROM volume_attachments)""",
    "an instance without a boot volume": """
        SELECT id FROM instances WHERE id NOT IN
        (SELECT instance_id FROM volume_attachments WHERE type = 'boot')""",
    "an instance without an interface": """
        SELECT id FROM instances WHERE id NOT IN (SELECT instance_id FROM network_attachments)
        AND id NOT IN (SELECT instance_id FROM network_interfaces)""",
    "a placement of no instance": """
        SELECT instance_id FROM placements WHERE instance_id NOT IN (
            SELECT id FROM instances UNION ALL SELECT id FROM bare_metal_servers)""",
    "a document of no placement": """
        SELECT instance_id FROM documents
        WHERE instance_id NOT IN (SELECT instance_id FROM placements)""",
    "a placed instance without a document": """
        SELECT instance_id FROM placements
        WHERE instance_id NOT IN (SELECT instance_id FROM documents)""",
    "a revision beyond the node's": """
        SELECT instance_id FROM documents d JOIN nodes n ON n.id = d.node_id
        WHERE d.revision > n.revision""",
    "two changes of one node with one revision": """
        SELECT node_id, revision FROM
        (SELECT node_id, revision, instance_id FROM documents UNION ALL
         SELECT node_id, revision, instance_id FROM tombstones)
        GROUP BY node_id, revision, instance_id HAVING count(*) > 1""",
    "an automatic link of no instance": """
        SELECT id FROM profile_links WHERE auto AND crn NOT IN (SELECT crn FROM instances)""",
    "an instance that lacks its automatic link": """
        SELECT id FROM instances WHERE json_extract(default_trusted_profile, '$.auto_link')
        AND crn NOT IN (SELECT crn FROM profile_links WHERE auto)""",
}


def check_database(state_dir: Path) -> None:
    """Raises AssertionError that names the first broken invariant."""
    path = state_dir / "linklocal.db"
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        for what, query in ORPHANS.items():
            rows = connection.execute(query).fetchall()
            assert rows == [], f"{what}: {rows[:3]}"
    asyncio.run(_documents_are_fresh(state_dir))


def node_revision(state_dir: Path) -> int:
    """The revision of the only node's newest change."""
    with sqlite3.connect(state_dir / "linklocal.db") as connection:
        return int(connection.execute("SELECT revision FROM nodes").fetchone()[0])


async def _documents_are_fresh(state_dir: Path) -> None:
    """Every published document equals a fresh rendering of the rows."""
    settings = ServerSettings(state_dir=state_dir)
    async with (
        build(settings, SystemClock(), url="http://127.0.0.1:1", dev=True) as control,
        control.context.database.read() as connection,
    ):
        rows = await connection.exec_driver_sql("SELECT instance_id, document FROM documents")
        published = {row[0]: row[1] for row in rows.all()}
        rendered = await render_documents(connection, control.context, list(published))
        for instance_id, text in published.items():
            fresh = rendered[instance_id].dumps()
            assert InstanceDocument.from_json(json.loads(text)).dumps() == text
            assert fresh == text
