"""``csf alerts``: what fires and fired, silences and acknowledgements, channels tried, rules played over the past."""

from __future__ import annotations

import asyncio
import getpass
import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import click
import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError

from agents.notifying import Channels
from cli.embedded.instance import running
from cli.options import bootstrap_option, config_option, data_dir_option, format_option
from cli.output import print_rows, say
from cli.settings import Settings, load_settings
from pipeline.alerts import inputs
from pipeline.alerts.conditions import MONTH, needs
from pipeline.alerts.engine import Delivery
from pipeline.alerts.messages import Message, Told
from pipeline.alerts.past import adds_up, months_to_date
from pipeline.alerts.replay import Episode, Was, play
from pipeline.catalogue import alerts as a
from pipeline.catalogue.model import Catalogue
from pipeline.errors import ConfigError, ServiceUnavailable
from pipeline.stores.port import KpiStore
from pipeline.time.calendar import Calendar
from pipeline.topics import ALERT_INPUTS
from pipeline.values import AlertChange, KpiValue

_T = TypeVar("_T")
_DAY_S = 86_400
_LIST = ["severity", "rule", "scope", "state", "since", "value", "threshold", "unit", "sample", "coverage"]
_SHOW = ["at", "state", "value", "threshold", "unit", "sample", "coverage", "note"]
_PLAYED = ["rule", "scope", "severity", "times", "longest", "total", "first", "last"]
_EPISODES = ["start", "end", "lasted", "rule", "scope", "severity", "value", "threshold", "unit"]


@click.group()
def alerts() -> None:
    """Alerts: list them, silence them, take them on, try channels, play rules over the past."""


@alerts.command("list")
@config_option
@data_dir_option
@format_option
@click.option("--all", "everything", is_flag=True, help="Those that are over too, of the last --days.")
@click.option("--days", type=click.IntRange(1), default=45, show_default=True, help="How far back to look.")
def list_alerts(config: Path | None, data_dir: Path | None, fmt: str, everything: bool, days: int) -> None:
    """Print alerts as they stand by the store: the most urgent first."""
    settings = load_settings(config, data_dir=data_dir)
    changes = _read(settings, lambda store: store.alerts(at_from=int(time.time()) - days * _DAY_S))
    newest: dict[tuple[str, str], AlertChange] = {}
    for change in changes:
        newest[change.rule, change.scope] = change
    found = [c for c in newest.values() if everything or c.state != "resolved"]
    found.sort(key=lambda c: (c.state == "resolved", a.SEVERITIES.index(c.severity), c.since, c.rule, c.scope))
    calendar = _calendar(settings)
    rows = [_row(c, calendar) for c in found]
    if not rows and fmt == "table":
        say("nothing fires")
        return
    print_rows(rows, _LIST, fmt)


@alerts.command()
@click.argument("rule")
@click.argument("scope", default="org")
@config_option
@data_dir_option
@format_option
@click.option("--days", type=click.IntRange(1), default=45, show_default=True, help="How far back to look.")
def show(rule: str, scope: str, config: Path | None, data_dir: Path | None, fmt: str, days: int) -> None:
    """Print what happened to a rule's alert of one scope, oldest first."""
    settings = load_settings(config, data_dir=data_dir)
    known = _rule(settings.load_catalogue(), rule)
    since = int(time.time()) - days * _DAY_S
    changes = _read(settings, lambda store: store.alerts(at_from=since, scopes=[scope]))
    calendar = _calendar(settings)
    if fmt == "table":
        for name, text in (
            ("Rule", known.name or known.id),
            ("Description", known.description),
            ("Runbook", known.runbook),
        ):
            if text:
                say(f"{name}: {text}")
    print_rows([_row(c, calendar) for c in changes if c.rule == rule], _SHOW, fmt)


@alerts.command()
@config_option
@data_dir_option
@bootstrap_option
@click.option("--for", "length", default="1h", show_default=True, help="How long: 30m, 4h, 2d.")
@click.option("--reason", required=True, help="Why; people read it.")
@click.option("--rule", "rules", multiple=True, help="Rule id; may be repeated.")
@click.option("--scope", "scopes", multiple=True, help="org, team:ID, service:ID; may be repeated.")
@click.option("--csf", "csfs", multiple=True, help="CSF; may be repeated.")
@click.option("--team", "teams", multiple=True, help="Team; may be repeated.")
@click.option("--severity", "severities", multiple=True, type=click.Choice(a.SEVERITIES))
@click.option("--lift", metavar="ID", help="End the silence of this id instead.")
@click.option("--by", default=getpass.getuser, help="Who [default: the user].")
def silence(
    config: Path | None, data_dir: Path | None, bootstrap: str | None, length: str, reason: str, rules: tuple[str, ...],
    scopes: tuple[str, ...], csfs: tuple[str, ...], teams: tuple[str, ...], severities: tuple[a.Severity, ...],
    lift: str | None, by: str,
) -> None:  # fmt: skip
    """Hold back raises that match for a while; what was raised is cleared all the same."""
    settings = load_settings(config, data_dir=data_dir, bootstrap=bootstrap)
    catalogue = settings.load_catalogue()
    for rule in rules:
        _rule(catalogue, rule)
    seconds = a.duration_s(length)
    if not seconds:
        raise ConfigError(f"--for {length}: is no duration; write a number with s, m, h or d, such as 4h")
    match = a.Match(
        rule=list(rules) or None, scope=list(scopes) or None, csf=list(csfs) or None, team=list(teams) or None,
        severity=list(severities) or None,
    )  # fmt: skip
    if match == a.Match() and lift is None:
        raise ConfigError("a silence of everything is none: say --rule, --scope, --csf, --team or --severity")
    now = time.time()
    name, end = lift or uuid4().hex[:8], now if lift else now + seconds
    _say(settings, inputs.Silence(id=name, match=match, start=now, end=end, by=by, reason=reason))
    say(f"silence {name} is lifted" if lift else f"silence {name} until {_calendar(settings).iso(int(end))}")


@alerts.command()
@click.argument("rule")
@click.argument("scope", default="org")
@config_option
@data_dir_option
@bootstrap_option
@click.option("--by", default=getpass.getuser, help="Who [default: the user].")
def ack(rule: str, scope: str, config: Path | None, data_dir: Path | None, bootstrap: str | None, by: str) -> None:
    """Take an alert on: it is not told again until it is over."""
    settings = load_settings(config, data_dir=data_dir, bootstrap=bootstrap)
    _rule(settings.load_catalogue(), rule)
    _say(settings, inputs.Acknowledgement(rule=rule, scope=scope, by=by))
    say(f"{rule} of {scope} is taken on by {by}")


@alerts.command()
@config_option
@data_dir_option
@click.argument("channels", nargs=-1)
def test(config: Path | None, data_dir: Path | None, channels: tuple[str, ...]) -> None:
    """Send a test notification by the channels named, or by all; nothing needs to run for that."""
    catalogue = load_settings(config, data_dir=data_dir).load_catalogue()
    for name in channels:
        if name not in catalogue.channels:
            raise ConfigError(
                f"channel '{name}': is not in channels.yaml; known: {', '.join(catalogue.channels) or 'none'}"
            )
    wanted = [c for name, c in catalogue.channels.items() if not channels or name in channels]
    if not wanted:
        raise ConfigError("there are no channels; name some in channels.yaml of the catalogue directory")
    failed = asyncio.run(_try(Channels(wanted), [c.id for c in wanted]))
    if failed:
        raise ServiceUnavailable("; ".join(failed))


async def _try(channels: Channels, names: list[str]) -> list[str]:
    failed = []
    for name in names:
        outcome = await channels.deliver(Delivery(0, name, time.time(), _test_message()), time.time)
        if outcome is not None and outcome.state == "delivered":
            say(f"{name}: delivered")
        else:
            failed.append(channels.trouble(name) or (outcome.why if outcome else name))
    await channels.close()
    return failed


def _test_message() -> Message:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    text = "This is a test of csf-pulse: nothing is wrong, and nothing is to be done."
    told = Told(
        kind="clear", rule="test", name="Test", severity="info", csf="", kpi="", scope="org", scope_name="", team="",
        owner="", since=at, value=None, threshold=None, unit="", sample=0, coverage=None, note="", contributor="",
        runbook="", board="", text=text,
    )  # fmt: skip
    return Message(id=f"test-{uuid4().hex[:12]}", at=at, title="[TEST] csf-pulse", body=text, alerts=(told,))


@alerts.command()
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
    catalogue, calendar = settings.load_catalogue(), _calendar(settings)
    for rule in rules:
        _rule(catalogue, rule)
    wanted = {name: rule for name, rule in catalogue.alerts.items() if not rules or name in rules}
    left_out = [n for n, r in wanted.items() if isinstance(r, a.ForecastRule) and not adds_up(catalogue.kpis[r.kpi])]
    played = {name: rule for name, rule in wanted.items() if name not in left_out}
    if left_out:
        say(f"not played, as days do not add up to the month: {', '.join(left_out)}", err=True)
    now = int(time.time())
    start = now - 30 * _DAY_S if first is None else calendar.start_of(_day(first, "--from"))
    end = now if last is None else min(now, calendar.next_day(calendar.start_of(_day(last, "--to"))))
    past = _read(settings, lambda store: _past(store, played, start, catalogue))
    episodes = play(msgspec.structs.replace(catalogue, alerts=played), past, end)
    if each:
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


def _row(change: AlertChange, calendar: Calendar) -> dict[str, object]:
    found: dict[str, object] = {name: getattr(change, name) for name in change.__struct_fields__}
    coverage = None if change.coverage is None else round(100 * change.coverage, 1)
    return found | {
        "at": calendar.iso(change.at), "since": calendar.iso(change.since), "sample": change.count, "coverage": coverage,
    }  # fmt: skip


def _calendar(settings: Settings) -> Calendar:
    return Calendar(settings.load_catalogue().organisation.zone)


def _rule(catalogue: Catalogue, name: str) -> a.AnyRule:
    if name not in catalogue.alerts:
        raise ConfigError(
            f"rule '{name}': is not in the catalogue; `csf catalogue check` and docs/alerts.md say which are"
        )
    return catalogue.alerts[name]


def _read(settings: Settings, ask: Callable[[KpiStore], _T]) -> _T:
    if settings.store == "sqlite" and not settings.store_path.exists():
        raise ConfigError(f"there are no values in {settings.data_dir} yet: import something, or run `csf up`")
    store = settings.open_store(read_only=True)
    try:
        return ask(store)
    finally:
        store.close()


def _say(settings: Settings, message: inputs.AnyInput) -> None:
    """Append to what alerting hears; return when the brokers have it.

    Raises:
        ServiceUnavailable: they do not take it.
    """
    with running(settings, worker=False, say=partial(say, err=True)) as instance:
        try:
            producer = KafkaProducer(bootstrap_servers=instance.bootstrap, acks="all", **instance.kafka_settings)
            try:
                producer.send(ALERT_INPUTS, inputs.encode(message), key=b"order", partition=0).get(30)
            finally:
                producer.close()
        except KafkaError as e:
            raise ServiceUnavailable(f"Kafka at {instance.bootstrap} does not take the order: {e}") from None
