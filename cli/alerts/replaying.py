"""``csf alerts replay``: what would have fired."""

from __future__ import annotations

import re
import time
from datetime import date
from pathlib import Path

import click
import msgspec

from cli.alerts.common import calendar_of, read, rule_of
from cli.options import config_option, data_dir_option, format_option
from cli.output import print_rows, say
from cli.settings import load_settings
from pipeline.alerts.conditions import MONTH, needs
from pipeline.alerts.past import adds_up, months_to_date
from pipeline.alerts.replay import Episode, Was, play
from pipeline.catalogue import alerts as a
from pipeline.catalogue.model import Catalogue
from pipeline.errors import ConfigError
from pipeline.stores.port import KpiStore
from pipeline.time.calendar import Calendar
from pipeline.values import KpiValue

_DAY_S = 86_400
_PLAYED = ["rule", "scope", "severity", "times", "longest", "total", "first", "last"]
_EPISODES = ["start", "end", "lasted", "rule", "scope", "severity", "value", "threshold", "unit"]


@click.command()
@config_option
@data_dir_option
@format_option
@click.option("--from", "first", metavar="DAY", help="First day, 2026-10-01 [default: 30 days ago].")
@click.option("--to", "last", metavar="DAY", help="Last day, inclusive [default: today].")
@click.option("--rule", "rules", multiple=True, help="Only this rule; may be repeated.")
@click.option("--each", is_flag=True, help="Every time it would have fired, instead of a line a rule and scope.")
def replay(
    config: Path | None, data_dir: Path | None, fmt: str, first: str | None, last: str | None, rules: tuple[str, ...],
    each: bool,
) -> None:  # fmt: skip
    """Play today's rules over the stored values of rolling windows (45 days): what would have fired, how long, how often.

    Nobody is told. For rules about the month's target, how the month stood is put together from its days, at the end of
    each; rules over what days do not add up to (medians, distinct users, busiest hours) are left out, and named.
    """
    settings = load_settings(config, data_dir=data_dir)
    catalogue, calendar = settings.load_catalogue(), calendar_of(settings)
    settings.check_values()
    for rule in rules:
        rule_of(catalogue, rule)
    wanted = {name: rule for name, rule in catalogue.alerts.items() if not rules or name in rules}
    left_out = [n for n, r in wanted.items() if isinstance(r, a.ForecastRule) and not adds_up(catalogue.kpis[r.kpi])]
    played = {name: rule for name, rule in wanted.items() if name not in left_out}
    if left_out:
        say(f"not played, as days do not add up to the month: {', '.join(left_out)}", err=True)
    now = int(time.time())
    start = now - 30 * _DAY_S if first is None else calendar.start_of(_day(first, "--from"))
    end = now if last is None else min(now, calendar.next_day(calendar.start_of(_day(last, "--to"))))
    if end <= start:
        raise ConfigError(
            f"--from {calendar.iso(start)[:10]}: lies not before the end of --to, or of today; give an earlier day"
        )
    past = read(settings, lambda store: _past(store, played, start, catalogue))
    episodes = play(msgspec.structs.replace(catalogue, alerts=played), past, end)
    if not episodes and fmt == "table":
        say("nothing would have fired")
    elif each:
        print_rows([_episode(e, end, calendar) for e in episodes], _EPISODES, fmt)
    else:
        print_rows(_summary(episodes, end, calendar), _PLAYED, fmt)


def _past(store: KpiStore, rules: dict[str, a.AnyRule], start: int, catalogue: Catalogue) -> list[Was]:
    """Return what the rules read, from an instant on."""
    kpis: dict[str, set[str]] = {}
    windows: set[str] = set()
    for rule in rules.values():
        for what, window in needs(rule):
            if isinstance(rule, a.StatusRule):
                windows.add(window)
            else:
                kpis.setdefault(window, set()).add(what)
    calendar = Calendar(catalogue.organisation.zone)
    found: list[Was] = []
    for name in sorted(kpis.pop(MONTH, ())):
        first = calendar.month_start(start)
        by_scope: dict[str, list[KpiValue]] = {}
        for day in store.periods(period="day", kpis=[name], start_from=first):
            by_scope.setdefault(day.scope, []).append(day)
        for days in by_scope.values():
            months = months_to_date(catalogue.kpis[name], days, calendar)
            found += [(at, month) for at, month in months if at >= start]
    for window, names in kpis.items():
        found += [(v.end, v) for v in store.live(window=window, kpis=sorted(names), end_from=start)]
    for window in windows:
        found += [(s.end, s) for s in store.statuses(period=window) if s.end >= start]
    return found


def _summary(episodes: list[Episode], end: int, calendar: Calendar) -> list[dict[str, object]]:
    by: dict[tuple[str, str], list[Episode]] = {}
    for episode in episodes:
        by.setdefault((episode.rule, episode.scope), []).append(episode)
    rows: list[dict[str, object]] = []
    for (rule, scope), found in sorted(by.items(), key=lambda item: (-len(item[1]), item[0])):
        lengths = [e.lasted_s(end) for e in found]
        rows.append(
            {
                "rule": rule, "scope": scope, "severity": found[0].severity, "times": len(found),
                "longest": _length(max(lengths)), "total": _length(sum(lengths)),
                "first": calendar.iso(found[0].start), "last": calendar.iso(found[-1].start),
            }
        )  # fmt: skip
    return rows


def _episode(episode: Episode, end: int, calendar: Calendar) -> dict[str, object]:
    return {
        "start": calendar.iso(episode.start), "end": None if episode.end is None else calendar.iso(episode.end),
        "lasted": _length(episode.lasted_s(end)), "rule": episode.rule, "scope": episode.scope,
        "severity": episode.severity, "value": episode.value, "threshold": episode.threshold, "unit": episode.unit,
    }  # fmt: skip


def _length(seconds: int) -> str:
    """Return a length of time such as ``2d 03:15``."""
    days, rest = divmod(seconds, _DAY_S)
    return (f"{days}d " if days else "") + f"{rest // 3600:02}:{rest % 3600 // 60:02}"


def _day(text: str, option: str) -> date:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ConfigError(f"{option} {text}: is no day; write it like 2026-10-01")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} {text}: is no day; write it like 2026-10-01") from None
