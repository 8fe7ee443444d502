"""What the site shows and no file of docs/ holds: the OpenAPI documents, made by the code they describe."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from linklocal.clock import SystemClock
from linklocal.metadata import openapi as metadata
from linklocal.server.app import build
from linklocal.settings import ServerSettings


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add `openapi.json` and `metadata-openapi.json`."""
    for name, document in (("openapi", _server()), ("metadata-openapi", metadata.document())):
        files.append(File.generated(config, f"{name}.json", content=json.dumps(document)))
    return files


def _server() -> dict[str, Any]:
    async def described(state_dir: Path) -> dict[str, Any]:
        settings = ServerSettings(state_dir=state_dir, audit_sinks=[])
        async with build(settings, SystemClock(), url="http://127.0.0.1:8080", dev=False) as made:
            return made.app.openapi()

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(described(Path(folder)))
