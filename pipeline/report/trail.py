"""An entry of the register in words, as audit trails show it."""

from __future__ import annotations

from pipeline.catalogue.model import Kpi
from pipeline.report.register import Entry, Sip, Value
from pipeline.report.words import SIP_STATUSES, quantity

_DID = {
    "sip.opened": "opened",
    "sip.updated": "changed",
    "sip.closed": "closed",
    "comment.set": "commented",
    "comment.withdrawn": "withdrew the comment",
}
_NAMES = {"kpi": "KPI", "baseline_month": "baseline of", "closed_on": "closed on"}


def did(entry: Entry) -> str:
    """Return what somebody did, in a word or two."""
    return _DID[entry.kind]


def changes(entry: Entry, sip: Sip | None, kpi: Kpi | None = None) -> list[str]:
    """Return what an entry changed, a phrase each.

    Args:
        entry: the entry.
        sip: the SIP as it stands, for the texts of its actions.
        kpi: its KPI, for the unit of its values; None where the catalogue has it no more.
    """
    texts = {action.key: action.text for action in sip.actions} if sip else {}
    found = []
    for field, value in entry.changes.items():
        kind, _, rest = field.partition(":")
        if kind != "action":
            said = SIP_STATUSES.get(str(value), _said(value)) if field == "status" else _said(value)
            if kpi is not None and field in ("baseline", "goal") and isinstance(value, int | float):
                said = quantity(value, kpi.unit, kpi.decimals)
            found.append(f"{_NAMES.get(field, field)}: {said}")
            continue
        key, _, part = rest.partition(":")
        if part == "text":
            found.append(f"action: {_said(value)}")
        elif value is True or f"action:{key}:text" not in entry.changes:
            found.append(f"{'done' if value is True else 'not done'}: {texts.get(key, key)}")
    return found


def _said(value: Value) -> str:
    if value is None:
        return "none"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
