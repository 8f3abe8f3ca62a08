"""Addresses that an organisation gives for all its alerts: ``{rule}``, ``{csf}``, ``{kpi}``, ``{scope}`` are filled in."""

from __future__ import annotations

_PLAIN = "-._~"


def filled(template: str | None, *, rule: str, csf: str, kpi: str, scope: str) -> str:
    """Return an address for an alert; empty where the organisation gives none."""
    address = template or ""
    for name, text in (("rule", rule), ("csf", csf), ("kpi", kpi), ("scope", scope)):
        address = address.replace(f"{{{name}}}", _quoted(text))
    return address


def _quoted(text: str) -> str:
    """Return a text as a part of an address."""
    return "".join(
        c if (c.isascii() and c.isalnum()) or c in _PLAIN else f"%{c.encode().hex('%').upper()}" for c in text
    )
