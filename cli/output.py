"""How commands print: rows as a table for people, as JSON or CSV for programs; nothing that a terminal or a spreadsheet obeys."""

from __future__ import annotations

import csv
import io
import json
import logging

import click

from pipeline.plain import OBEYED, csv_cell, printable


def say(text: str, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(printable(text), err=err)


def counted(number: int, noun: str) -> str:
    """Return so many of something: 1 service, 2,000 services."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.10g}" if isinstance(value, float) else printable(str(value))


def _table(rows: list[dict[str, object]], columns: list[str]) -> str:
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join(lines)


def rows_text(rows: list[dict[str, object]], columns: list[str], fmt: str) -> str:
    """Return rows as ``table``, ``json`` (a list of objects) or ``csv``, ended by a line break; None is -, null or empty."""
    if fmt == "json":
        return json_text([{column: row.get(column) for column in columns} for row in rows])
    if fmt == "csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({column: csv_cell(row.get(column)) for column in columns} for row in rows)
        return out.getvalue()
    return _table(rows, columns) + "\n"


def json_text(document: object) -> str:
    """Return a document as JSON for people and programs, ended by a line break."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    # still the same JSON: these stand in its strings only
    return OBEYED.sub(lambda f: f[0] if f[0] == "\n" else f"\\u{ord(f[0]):04x}", text) + "\n"


def print_rows(rows: list[dict[str, object]], columns: list[str], fmt: str) -> None:
    """Print rows as ``table``, ``json`` (a list of objects) or ``csv``; None is -, null or empty."""
    click.echo(rows_text(rows, columns, fmt), nl=False)


class OneLineFormatter(logging.Formatter):
    """Writes a log record so that nothing in it can look like another record: controls as escapes, traces indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the record's line."""
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        """Return a stack trace, indented."""
        return _indented(super().formatException(ei))  # type: ignore[arg-type] # as logging passes it

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's name
        """Return a stack, indented."""
        return _indented(super().formatStack(stack_info))


def _indented(text: str) -> str:
    return "\n".join("    " + printable(line) for line in text.split("\n"))
