"""Texts from elsewhere made harmless: nothing that a terminal, a page, a print or a spreadsheet would obey.

What is shown comes from events, files and other programs. A control character could hide or fake lines of a
terminal, one that turns the direction of writing could make a name read as another, a cell that begins with ``=`` is
a formula to a spreadsheet.
"""

from __future__ import annotations

import re

#: C0 and C1 controls, DEL, what turns the direction of writing, line and paragraph separators, lone surrogates
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
#: what spreadsheets take for the beginning of a formula, also in their full-width forms
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


def printable(text: str, keep: str = "") -> str:
    """Return a text with everything a terminal would obey written as an escape, but for the characters in ``keep``."""
    return OBEYED.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def _escape(character: str) -> str:
    return _SHORT.get(character) or (f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}")


def csv_cell(value: object) -> object:
    """Return a cell that a spreadsheet shows and does not work out: a text that looks like a formula gets a quote."""
    if not isinstance(value, str):
        return value if value is None or isinstance(value, bool | int | float) else csv_cell(str(value))
    text = printable(value, keep="\n\t")  # the csv module leaves a lone \r without quotes: it would end the row
    return "'" + text if _FORMULA.match(value) else text
