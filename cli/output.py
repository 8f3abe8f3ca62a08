"""How commands print rows: as a table for people, as JSON or CSV for programs."""

from __future__ import annotations

import csv
import io
import json

import click


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _table(rows: list[dict[str, object]], columns: list[str]) -> str:
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join(lines)


def print_rows(rows: list[dict[str, object]], columns: list[str], fmt: str) -> None:
    """Print rows as ``table``, ``json`` (a list of objects) or ``csv``; None is -, null or empty."""
    if fmt == "json":
        picked = [{column: row.get(column) for column in columns} for row in rows]
        click.echo(json.dumps(picked, indent=2, ensure_ascii=False))
    elif fmt == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        click.echo(text.getvalue(), nl=False)
    else:
        click.echo(_table(rows, columns))
