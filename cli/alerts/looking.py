"""``csf alerts list``, ``show``, ``silences``, ``channels``: alerts, orders and channels as they stand by the store."""

from __future__ import annotations

import time
from pathlib import Path

import click

from cli.alerts.common import calendar_of, read
from cli.options import config_option, data_dir_option, format_option
from cli.output import print_rows, say
from cli.settings import load_settings
from pipeline.alerts.journal import (
    LOOK_BACK_S,
    ChannelShown,
    channel_states,
    deliveries,
    held_back,
    silenced_by,
    silences,
    taken_on_by,
)
from pipeline.alerts.matching import in_words
from pipeline.catalogue import alerts as a
from pipeline.catalogue.model import Catalogue
from pipeline.errors import ConfigError
from pipeline.time.calendar import Calendar
from pipeline.values import AlertChange, AlertNote

_DAY_S = 86_400
_LIST = [
    "severity", "rule", "scope", "state", "since", "value", "threshold", "unit", "sample", "coverage", "taken_on_by",
    "silenced_by", "held_back_by",
]  # fmt: skip
_SHOW = ["at", "what", "value", "threshold", "unit", "sample", "coverage", "by", "note"]
_SILENCES = ["id", "state", "matches", "from", "until", "by", "via", "why", "lifted_by"]
_CHANNELS = ["channel", "state", "since", "why", "waiting", "delivered_at"]
_WHAT = {"acknowledged": "taken on", "held": "held back", "freed": "no longer held"}

days_option = click.option(
    "--days", type=click.IntRange(1), default=45, show_default=True, help="How far back to look."
)


@click.command("list")
@config_option
@data_dir_option
@format_option
@click.option("--all", "everything", is_flag=True, help="Those that are over too, of the last --days.")
@days_option
def list_alerts(config: Path | None, data_dir: Path | None, fmt: str, everything: bool, days: int) -> None:
    """Print alerts as they stand by the store, the most urgent first; and channels that take nothing."""
    settings, now = load_settings(config, data_dir=data_dir), int(time.time())
    catalogue, calendar = settings.load_catalogue(), calendar_of(settings)
    changes, notes = read(
        settings,
        lambda store: (store.alerts(at_from=now - days * _DAY_S), store.alert_notes(at_from=now - LOOK_BACK_S)),
    )
    newest = {(change.rule, change.scope): change for change in changes}
    found = [c for c in newest.values() if everything or c.state != "resolved"]
    found.sort(key=lambda c: (c.state == "resolved", a.SEVERITIES.index(c.severity), c.since, c.rule, c.scope))
    running = silences(notes, now)
    rows = []
    for c in found:
        held = silenced_by(c, catalogue.alerts.get(c.rule), running, catalogue)
        fires = c.state != "resolved"
        taken = {
            "taken_on_by": taken_on_by(c, notes) or None,
            "silenced_by": f"{held.by} ({held.id})" if held else None,
            "held_back_by": _held(c, notes, now, calendar),
        }
        rows.append(_row(c, calendar, _decimals(c, catalogue, fmt)) | (taken if fires else {}))
    if rows or fmt != "table":
        print_rows(rows, _LIST, fmt)
    else:
        say("nothing fires")
    for channel in channel_states(notes, catalogue.channels):
        if channel.state in {"down", "refused"}:
            say(_complaint(channel, calendar), err=True)


def _held(change: AlertChange, notes: list[AlertNote], now: float, calendar: Calendar) -> str | None:
    held = held_back(change, notes, now)
    if held is None:
        return None
    return held.why + (f" until {calendar.iso(held.until)}" if held.until is not None else "")


def _complaint(channel: ChannelShown, calendar: Calendar) -> str:
    waiting = f", {channel.waiting}" if channel.waiting else ""
    return f"channel {channel.id} takes nothing since {calendar.iso(channel.since or 0)}{waiting}: {channel.why}"


@click.command()
@click.argument("rule")
@click.argument("scope", default="org")
@config_option
@data_dir_option
@format_option
@days_option
def show(rule: str, scope: str, config: Path | None, data_dir: Path | None, fmt: str, days: int) -> None:
    """Print what happened to a rule's alert of one scope, oldest first: changes, notifications, who took it on."""
    settings, since = load_settings(config, data_dir=data_dir), int(time.time()) - days * _DAY_S
    catalogue, calendar = settings.load_catalogue(), calendar_of(settings)
    changes, notes = read(
        settings, lambda store: (store.alerts(at_from=since, scopes=[scope]), store.alert_notes(at_from=since))
    )
    own = [c for c in changes if c.rule == rule]
    known = catalogue.alerts.get(rule)
    if known is None and not own:
        raise ConfigError(
            f"rule '{rule}': is not in the catalogue, and nothing is known of it; docs/alerts.md says which rules there are"
        )
    if fmt == "table" and known is not None:
        for name, text in (
            ("Rule", known.name or rule),
            ("Description", known.description),
            ("Runbook", known.runbook),
        ):
            if text:
                say(f"{name}: {text}")
    about = [n for n in notes if n.kind in {"acknowledged", "held", "freed"} and f"{rule}|{scope}" in n.alerts]
    told = [*about, *deliveries(notes, rule, scope)]
    # what was told of a change comes after it, though both are of one second
    rows = [(c.at, 0, _row(c, calendar, _decimals(c, catalogue, fmt)) | {"what": c.state}) for c in own]
    rows += [(n.at, 1, _note(n, calendar)) for n in told]
    if rows or fmt != "table":
        print_rows([row for *_, row in sorted(rows, key=lambda r: r[:2])], _SHOW, fmt)
    else:
        say(f"nothing happened to {rule} of {scope} in the last {days} days")


@click.command("silences")
@config_option
@data_dir_option
@format_option
@click.option("--all", "everything", is_flag=True, help="Those that ended or were lifted too, of 90 days.")
def list_silences(config: Path | None, data_dir: Path | None, fmt: str, everything: bool) -> None:
    """Print the silences that run: what they match, until when, by whom and why."""
    settings, now = load_settings(config, data_dir=data_dir), int(time.time())
    calendar = calendar_of(settings)
    found = silences(read(settings, lambda store: store.alert_notes(at_from=now - LOOK_BACK_S)), now)
    rows: list[dict[str, object]] = [
        {
            "id": s.id, "state": s.state, "matches": in_words(s.match), "from": calendar.iso(s.start),
            "until": calendar.iso(s.end), "by": s.by, "via": s.via, "why": s.why, "lifted_by": s.lifted_by or None,
        }
        for s in found
        if everything or s.state == "running"
    ]  # fmt: skip
    if rows or fmt != "table":
        print_rows(rows, _SILENCES, fmt)
    else:
        say("no silence runs")


@click.command("channels")
@config_option
@data_dir_option
@format_option
def list_channels(config: Path | None, data_dir: Path | None, fmt: str) -> None:
    """Print how channels are, those that take nothing first: since when, why, how many wait."""
    settings = load_settings(config, data_dir=data_dir)
    catalogue, calendar = settings.load_catalogue(), calendar_of(settings)
    if not catalogue.channels:
        raise ConfigError("there are no channels; name some in channels.yaml of the catalogue directory")
    notes = read(settings, lambda store: store.alert_notes(at_from=int(time.time()) - LOOK_BACK_S))
    rows: list[dict[str, object]] = [
        {
            "channel": c.id, "state": c.state, "since": None if c.since is None else calendar.iso(c.since),
            "why": c.why or None, "waiting": c.waiting or None,
            "delivered_at": None if c.delivered_at is None else calendar.iso(c.delivered_at),
        }
        for c in channel_states(notes, catalogue.channels)
    ]  # fmt: skip
    print_rows(rows, _CHANNELS, fmt)


def _decimals(change: AlertChange, catalogue: Catalogue, fmt: str) -> int | None:
    """Return to how many decimals people read an alert's value, None for programs."""
    kpi = catalogue.kpis.get(change.kpi)
    if fmt != "table":
        return None
    return kpi.decimals if kpi is not None and kpi.unit == change.unit else 1


def _row(change: AlertChange, calendar: Calendar, decimals: int | None) -> dict[str, object]:
    found: dict[str, object] = {name: getattr(change, name) for name in change.__struct_fields__}
    if decimals is not None and change.value is not None:
        found["value"] = f"{change.value:.{decimals}f}"
    coverage = None if change.coverage is None else round(100 * change.coverage, 1)
    return found | {
        "at": calendar.iso(change.at), "since": calendar.iso(change.since), "sample": change.count, "coverage": coverage,
    }  # fmt: skip


def _note(note: AlertNote, calendar: Calendar) -> dict[str, object]:
    return {
        "at": calendar.iso(note.at), "what": _WHAT.get(note.kind, note.kind), "by": note.channel or note.who,
        "note": (note.why or ("" if note.kind == "freed" else note.about)) + (f" until {calendar.iso(note.until)}" if note.until is not None else "") or None,
    }  # fmt: skip
