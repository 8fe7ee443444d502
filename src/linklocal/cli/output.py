"""How answers are printed: tables with three spaces between columns, `-` for nothing, JSON on request."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """IBM's table layout (control-plane contract 5.1)."""
    table = [list(header)] + [
        ["-" if cell in (None, "") else str(cell) for cell in row] for row in rows
    ]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        line = "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())
