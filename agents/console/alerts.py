"""Alerts as the API gives them: what fires, the most urgent first, and what changed lately."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.alerts.journal import (
    ChannelShown,
    SilenceShown,
    channel_states,
    held_back,
    is_routed,
    silenced_by,
    silences,
    taken_on_by,
)
from pipeline.alerts.links import filled
from pipeline.alerts.matching import in_words
from pipeline.catalogue.alerts import SEVERITIES
from pipeline.catalogue.directory import Directory
from pipeline.catalogue.model import Catalogue
from pipeline.evaluate.words import sample_unit
from pipeline.time.calendar import Calendar
from pipeline.values import AlertChange, AlertNote

#: Changes shown at most, newest first.
_CHANGES = 200


def alerts_document(
    changes: Sequence[AlertChange], notes: Sequence[AlertNote], names: Directory, scope: str, calendar: Calendar,
    now: float,
) -> dict[str, Any]:  # fmt: skip
    """Return alerts of a scope that are not over, its latest changes, the silences that run, and how channels are.

    Of the organisation these are all alerts, of a team its own and those of its services.

    Args:
        changes: in order of time, as far back as anything may still fire since.
        notes: of people and channels, of the time in which a silence may have begun that still runs.
        names: of scopes; what the catalogue no longer holds is shown by its id.
        scope: one of ``names``.
        calendar: of the organisation.
        now: epoch seconds.
    """
    catalogue = names.catalogue
    newest = {(c.rule, c.scope): c for c in changes}
    inside = {scope, *names.services(scope)}
    everything = [c for c in newest.values() if c.state != "resolved"]
    firing = [c for c in everything if scope == "org" or c.scope in inside]
    own = [c for c in changes if scope == "org" or c.scope in inside]
    firing.sort(key=lambda c: (SEVERITIES.index(c.severity), -c.since, c.rule, c.scope))
    running = [s for s in silences(notes, now) if s.state == "running"]
    described = []
    for c in firing:
        described.append(
            {**_described(c, catalogue, names, calendar), **_hands(c, notes, running, catalogue, calendar, now)}
        )
    return {
        "scope": {"scope": scope, "name": names.name(scope)},
        "firing": described,
        "elsewhere": len(everything) - len(firing),
        "changes": [_described(c, catalogue, names, calendar) for c in reversed(own[-_CHANGES:])],
        "silences": [_silence(s, calendar) for s in running],
        "channels": [_channel(c, calendar) for c in channel_states(notes, catalogue.channels)],
    }


def _hands(
    change: AlertChange, notes: Sequence[AlertNote], running: Sequence[SilenceShown], catalogue: Catalogue,
    calendar: Calendar, now: float,
) -> dict[str, Any]:  # fmt: skip
    """Return who has an alert in hand, and why nobody is told of it where that is so."""
    rule = catalogue.alerts.get(change.rule)
    silence, held = silenced_by(change, rule, running, catalogue), held_back(change, notes, now)
    return {
        "taken_on_by": taken_on_by(change, notes) or None,
        "silenced_by": silence.by if silence else None,
        "silenced_until": calendar.iso(silence.end) if silence else None,
        "held_back_by": held.why if held else None,
        "held_back_until": calendar.iso(held.until) if held and held.until is not None else None,
        "routed": is_routed(change, rule, catalogue),
    }


def _silence(silence: SilenceShown, calendar: Calendar) -> dict[str, Any]:
    return {
        "id": silence.id, "matches": in_words(silence.match), "from": calendar.iso(silence.start),
        "until": calendar.iso(silence.end), "by": silence.by, "via": silence.via, "why": silence.why,
    }  # fmt: skip


def _channel(channel: ChannelShown, calendar: Calendar) -> dict[str, Any]:
    return {
        "id": channel.id, "state": channel.state, "why": channel.why, "waiting": channel.waiting,
        "since": None if channel.since is None else calendar.iso(channel.since),
        "delivered_at": None if channel.delivered_at is None else calendar.iso(channel.delivered_at),
    }  # fmt: skip


def _described(change: AlertChange, catalogue: Catalogue, names: Directory, calendar: Calendar) -> dict[str, Any]:
    rule, csf = catalogue.alerts.get(change.rule), catalogue.csfs.get(change.csf)
    kpi, organisation = catalogue.kpis.get(change.kpi), catalogue.organisation
    about = {"rule": change.rule, "csf": change.csf, "kpi": change.kpi, "scope": change.scope}
    return {
        "rule": change.rule,
        "name": (rule.name if rule else "") or change.rule,
        "runbook": (rule.runbook if rule else None) or filled(organisation.runbook_url, **about) or None,
        "board": filled(organisation.board_url, **about) or None,
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
        "sample_unit": sample_unit(kpi) if kpi else "",
        "coverage": change.coverage,
        "note": change.note,
    }
