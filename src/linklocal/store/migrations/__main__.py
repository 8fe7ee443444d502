"""`python -m linklocal.store.migrations MESSAGE`: write the next revision from how the tables changed.

Development only. Read and mend what it writes: Alembic sees neither renames nor what rows need.
`--replace` makes the newest revision anew instead; only for one that was never released.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

from linklocal.store.migrations import configuration, connect, import_tables


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m linklocal.store.migrations", description=__doc__
    )
    parser.add_argument("message")
    parser.add_argument("--replace", action="store_true")
    options = parser.parse_args()

    scripts = list(ScriptDirectory.from_config(configuration()).walk_revisions())
    if options.replace:
        Path(scripts.pop(0).path).unlink()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/empty.db"
        with connect(url) as connection:
            config = configuration(connection, import_tables())
            if scripts:
                command.upgrade(config, "head")
            made = command.revision(
                config, options.message, autogenerate=True, rev_id=f"{len(scripts) + 1:04d}"
            )
    assert made is not None
    assert not isinstance(made, list)
    path = Path(made.path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.lstrip().startswith("# ###")))
    subprocess.run([sys.executable, "-m", "ruff", "format", path], check=True)  # noqa: S603 - our own path


main()
