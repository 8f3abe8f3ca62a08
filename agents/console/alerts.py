"""Alerts as the API gives them: what fires, the most urgent first, and what changed lately."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.catalogue.alerts import SEVERITIES
from pipeline.catalogue.directory import Directory
from pipeline.catalogue.model import Catalogue
from pipeline.time.calendar import Calendar
from pipeline.values import AlertChange

#: Changes shown at most, newest first.
_CHANGES = 200


def alerts_document(changes: Sequence[AlertChange], catalogue: Catalogue, calendar: Calendar) -> dict[str, Any]:
    """Return alerts that are not over, and the latest changes.

    Args:
        changes: in order of time, as far back as anything may still fire since.
        catalogue: for names; what it no longer holds is shown by its id.
        calendar: of the organisation.
    """
    names = Directory(catalogue)
    newest = {(c.rule, c.scope): c for c in changes}
    firing = [c for c in newest.values() if c.state != "resolved"]
    firing.sort(key=lambda c: (SEVERITIES.index(c.severity), -c.since, c.rule, c.scope))
    return {
        "firing": [_described(c, catalogue, names, calendar) for c in firing],
        "changes": [_described(c, catalogue, names, calendar) for c in reversed(changes[-_CHANGES:])],
    }


def _described(change: AlertChange, catalogue: Catalogue, names: Directory, calendar: Calendar) -> dict[str, Any]:
    rule, csf = catalogue.alerts.get(change.rule), catalogue.csfs.get(change.csf)
    kpi = catalogue.kpis.get(change.kpi)
    return {
        "rule": change.rule,
        "name": (rule.name if rule else "") or change.rule,
        "runbook": rule.runbook if rule else None,
        "severity": change.severity,
        "state": change.state,
        "csf": change.csf,
        "csf_name": csf.name if csf else change.csf,
        "kpi": change.kpi or None,
        "scope": change.scope,
        "scope_name": names.name(change.scope),
        "at": calendar.iso(change.at),
        "since": calendar.iso(change.since),
        "value": change.value,
        "threshold": change.threshold,
        "unit": change.unit,
        "decimals": kpi.decimals if kpi and kpi.unit == change.unit else 1,
        "sample": change.count,
        "coverage": change.coverage,
        "note": change.note,
    }
