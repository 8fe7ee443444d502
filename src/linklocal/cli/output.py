"""How answers are printed: IBM's layouts (control-plane contract 5.1, 5.3), JSON on request.

Columns are separated by three spaces, nothing is `-`. A detail view has a label column and a value
column; a value may be a small table with its own header.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

GAP = "   "


@dataclass(frozen=True, slots=True)
class SubTable:
    """A table in the value column of a detail view. Without rows it shows one row of `-`."""

    header: Sequence[str]
    rows: Sequence[Sequence[object]]


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def cell(value: object) -> str:
    """`-` for nothing, `true`/`false`, and no control characters: names come from other people."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))


def table_lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table, header first."""
    table = [list(header)] + [[cell(value) for value in row] for row in rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    return [
        GAP.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    for line in table_lines(header, rows):
        click.echo(line)


def detail_lines(rows: Sequence[tuple[str, object]]) -> list[str]:
    """The lines of a detail view."""
    width = max(len(label) for label, _ in rows) + len(GAP)
    lines: list[str] = []
    for label, value in rows:
        if not isinstance(value, SubTable):
            lines.append(f"{label.ljust(width)}{cell(value)}")
            continue
        head, *body = table_lines(value.header, value.rows or [["-"] * len(value.header)])
        lines.append(f"{label.ljust(width)}{head}")
        lines += [f"{' ' * width}{line}" for line in body]
        lines.append("")
    return lines


def print_details(rows: Sequence[tuple[str, object]]) -> None:
    for line in detail_lines(rows):
        click.echo(line)


def moment(value: str) -> str:
    """An API time as IBM's command line has it: `2026-11-24T21:10:16+00:00`."""
    return datetime.fromisoformat(value.replace("Z", "+00:00")).isoformat(timespec="seconds")
