"""How commands print: rows as a table for people, as JSON or CSV for programs; nothing that a terminal or a spreadsheet obeys.

What is printed comes from events, files and other programs. A control character could hide or fake lines of a
terminal, a cell that begins with ``=`` is a formula to a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re

import click

#: C0 and C1 controls, DEL, what turns the direction of writing, line and paragraph separators, lone surrogates
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
#: what spreadsheets take for the beginning of a formula, also in their full-width forms
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


def printable(text: str, keep: str = "") -> str:
    """Return a text with everything a terminal would obey written as an escape, but for the characters in ``keep``."""
    return _OBEYED.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def _escape(character: str) -> str:
    return _SHORT.get(character) or (f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}")


def say(text: str, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(printable(text), err=err)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.10g}" if isinstance(value, float) else printable(str(value))


def _csv_cell(value: object) -> object:
    """Return a cell that a spreadsheet shows and does not work out: a text that looks like a formula gets a quote."""
    if not isinstance(value, str):
        return value if value is None or isinstance(value, bool | int | float) else _csv_cell(str(value))
    text = printable(value, keep="\n\t")  # the csv module leaves a lone \r without quotes: it would end the row
    return "'" + text if _FORMULA.match(value) else text


def _table(rows: list[dict[str, object]], columns: list[str]) -> str:
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join(lines)


def print_rows(rows: list[dict[str, object]], columns: list[str], fmt: str) -> None:
    """Print rows as ``table``, ``json`` (a list of objects) or ``csv``; None is -, null or empty."""
    if fmt == "json":
        picked = [{column: row.get(column) for column in columns} for row in rows]
        text = json.dumps(picked, indent=2, ensure_ascii=False)
        # still the same JSON: these stand in its strings only
        click.echo(_OBEYED.sub(lambda f: f[0] if f[0] == "\n" else f"\\u{ord(f[0]):04x}", text))
    elif fmt == "csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({column: _csv_cell(row.get(column)) for column in columns} for row in rows)
        click.echo(out.getvalue(), nl=False)
    else:
        click.echo(_table(rows, columns))


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
