"""The rules that alert rules and channels keep: references, durations, limits that can be reached."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pipeline.catalogue import alerts as a
from pipeline.catalogue.derived_alerts import allowed_share, best_value, is_share, room_to_beat, targets_of
from pipeline.catalogue.expressions import suggest
from pipeline.catalogue.model import Catalogue, Kpi
from pipeline.errors import CatalogueError
from pipeline.evaluate.judge import badness
from pipeline.evaluate.words import is_offered
from pipeline.values import WINDOWS

Places = Mapping[tuple[str, str], str]
_ID = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_SCOPE = re.compile(r"org|(team|service):(\*|[a-z0-9][a-z0-9._-]{0,63})")


def check_alerts(catalogue: Catalogue, places: Places) -> None:
    """Raise CatalogueError at the first rule or channel that is wrong.

    Derived rules keep these rules by the way they are made; they are checked all the same.
    """
    for key in ("board_url", "runbook_url"):
        _address(getattr(catalogue.organisation, key), f"{places.get(('organisation', ''), 'organisation')}: {key}")
    for rule in catalogue.alerts.values():
        _rule(rule, catalogue, places.get(("rule", rule.id), f"rule '{rule.id}' (from thresholds)"))
    for channel in catalogue.channels.values():
        _channel(channel, places["channel", channel.id])


def _address(template: str | None, where: str) -> None:
    for name in re.findall(r"\{(.*?)\}", template or ""):
        check_name(name, ("rule", "csf", "kpi", "scope"), where, "placeholder")


def check_name(name: str, known: Collection[str], where: str, what: str) -> None:
    """Raise CatalogueError where a name is none of those known."""
    if name not in known:
        near = suggest(name, known) or f"; allowed: {', '.join(sorted(known)) or 'none'}"
        raise CatalogueError(f"{where}: unknown {what} {name!r}{near}")


def check_duration(text: str, where: str, least_s: int = 0) -> None:
    """Raise CatalogueError where a text is no duration, or one of less than ``least_s`` seconds."""
    seconds = a.duration_s(text)
    if seconds is None or seconds < least_s:
        least = f" of {least_s} s or more" if least_s else ""
        raise CatalogueError(
            f"{where}: {text!r} is no duration{least}; allowed: a number with s, m, h or d, such as 5m"
        )


def _percent(value: float, where: str) -> None:
    if not 0 <= value <= 100:
        raise CatalogueError(f"{where}: is {value:g}; allowed: a percentage, 0 to 100")


def _above_0(value: float, where: str) -> None:
    if not (math.isfinite(value) and value > 0):
        raise CatalogueError(f"{where}: is {value:g}; allowed: a number above 0")


def check_id(name: str, where: str) -> None:
    """Raise CatalogueError where a text is no id of a rule, channel or route."""
    if not _ID.fullmatch(name):
        raise CatalogueError(
            f"{where}: id: {name!r} is not allowed; allowed: lower-case letters, digits, _ and -, at most 64"
        )


# --- rules ---


def _rule(rule: a.AnyRule, catalogue: Catalogue, place: str) -> None:
    check_id(rule.id, place)
    check_duration(rule.hold, f"{place}: for")
    check_duration(rule.clear_for, f"{place}: clear_for")
    _percent(rule.min_coverage, f"{place}: min_coverage")
    if rule.min_sample is not None and rule.min_sample < 0:
        raise CatalogueError(f"{place}: min_sample: is {rule.min_sample}; allowed: 0 or more")
    if not rule.scopes:
        raise CatalogueError(f"{place}: scopes: is empty; allowed: org, team:ID, service:ID, team:*, service:*")
    for scope in rule.scopes:
        check_scope(scope, catalogue, f"{place}: scopes")
    for other in rule.quiet_while:
        check_name(other, catalogue.alerts, f"{place}: quiet_while", "rule")
        if other == rule.id:
            raise CatalogueError(f"{place}: quiet_while: names the rule itself; remove it")
    if ring := _ring(rule.id, catalogue):
        raise CatalogueError(
            f"{place}: quiet_while: {' → '.join(ring)} silence each other, so nobody would be told; remove one of them"
        )
    if isinstance(rule, a.StatusRule):
        check_name(rule.csf, catalogue.csfs, f"{place}: csf", "csf")
        _window(rule.window, None, f"{place}: window")
        if not rule.states:
            raise CatalogueError(f"{place}: states: is empty; allowed: at_risk, concern, unknown")
        _clear_score(rule, catalogue, place)
        return
    check_name(rule.kpi, catalogue.kpis, f"{place}: kpi", "kpi")
    _KINDS[type(rule)](rule, catalogue.kpis[rule.kpi], catalogue, place)


def _clear_score(rule: a.StatusRule, catalogue: Catalogue, place: str) -> None:
    if rule.clear is None:
        return
    organisation = catalogue.organisation
    least = {"concern": organisation.at_risk_score, "at_risk": organisation.aligned_score}
    scores = [least[state] for state in rule.states if state in least]
    if not scores:
        raise CatalogueError(
            f"{place}: clear: is a score, and what is unknown has none; use clear_for, or name other states"
        )
    if not max(scores) <= rule.clear <= 100:
        raise CatalogueError(
            f"{place}: clear: is {rule.clear:g}; allowed: a score from {max(scores):g}, where {' and '.join(rule.states)} end, to 100"
        )


def _ring(name: str, catalogue: Catalogue) -> list[str]:
    """Return the rules by which a rule makes itself hold its tongue, from itself to itself; empty for none."""
    found: list[list[str]] = [[name]]
    seen: set[str] = set()
    while found:
        path = found.pop()
        for other in catalogue.alerts[path[-1]].quiet_while:
            if other == name:
                return [*path, other]
            if other in catalogue.alerts and other not in seen:
                seen.add(other)
                found.append([*path, other])
    return []


def known_scope(scope: str) -> bool:
    """Return whether a text is a scope, or stands for all of a kind."""
    return _SCOPE.fullmatch(scope) is not None


def check_scope(scope: str, catalogue: Catalogue, where: str) -> None:
    """Raise CatalogueError where a text is no scope, or a team that has no service."""
    if not known_scope(scope):
        raise CatalogueError(f"{where}: {scope!r} is not allowed; allowed: org, team:ID, service:ID, team:*, service:*")
    kind, _, name = scope.partition(":")
    if kind == "team" and name != "*":
        check_name(name, {s.team for s in catalogue.services.values()}, where, "team")


def _window(window: str, kpi: Kpi | None, where: str) -> None:
    check_name(window, WINDOWS, where, "window")
    if kpi is not None and not is_offered(kpi, window):
        offered = ", ".join(w for w in WINDOWS if is_offered(kpi, w))
        raise CatalogueError(
            f"{where}: {kpi.id!r} has no value over {window}, so it can never fire; allowed: {offered}"
        )


def _threshold(rule: a.ThresholdRule, kpi: Kpi, _catalogue: Catalogue, place: str) -> None:
    _window(rule.window, kpi, f"{place}: window")
    if not math.isfinite(rule.limit) or (kpi.direction == "zero" and rule.limit < 0):
        raise CatalogueError(f"{place}: limit: is {rule.limit:g}; allowed: a number (direction zero: 0 or more)")
    if is_share(kpi) and not 0 <= rule.limit <= 100:
        raise CatalogueError(
            f"{place}: limit: is {rule.limit:g}; {kpi.id!r} is a share in percent, so only 0 to 100 can ever be crossed"
        )
    if (best := best_value(kpi)) is not None and badness(kpi, rule.limit) <= badness(kpi, best):
        raise CatalogueError(
            f"{place}: limit: is {rule.limit:g}; {kpi.id!r} is never better than {best:g}, so it would always fire; "
            "name a limit that a good value does not reach"
        )
    clear = rule.clear
    if clear is not None and (not math.isfinite(clear) or badness(kpi, clear) > badness(kpi, rule.limit)):
        side = "at least" if kpi.direction == "up" else "at most"
        raise CatalogueError(
            f"{place}: clear: is {clear:g}; with direction {kpi.direction} it must be {side} the limit {rule.limit:g}"
        )


def _absence(rule: a.AbsenceRule, kpi: Kpi, catalogue: Catalogue, place: str) -> None:
    _window(rule.window, kpi, f"{place}: window")
    _percent(rule.below_coverage, f"{place}: below_coverage")
    _above_0(rule.below_coverage, f"{place}: below_coverage")
    _above_0(rule.budget_share, f"{place}: budget_share")
    _percent(rule.budget_share, f"{place}: budget_share")
    if not rule.hold_s and not _objectives(kpi, catalogue):
        raise CatalogueError(
            f"{place}: for: is missing, and {kpi.id!r} has no ratio target by which the delay could be computed; say 'for'"
        )


def _objectives(kpi: Kpi, catalogue: Catalogue) -> list[tuple[float, float]]:
    """Return (target, share of bad events allowed) of every target a KPI has."""
    shares = [(t, allowed_share(kpi, t)) for t in targets_of(kpi, catalogue)]
    return [(t, s) for t, s in shares if s is not None]


def _burn(rule: a.BurnRateRule, kpi: Kpi, catalogue: Catalogue, place: str) -> None:
    _window(rule.long, kpi, f"{place}: long")
    _window(rule.short, kpi, f"{place}: short")
    if WINDOWS[rule.short] >= WINDOWS[rule.long]:
        raise CatalogueError(f"{place}: short: {rule.short} is not shorter than long {rule.long}")
    _above_0(rule.factor, f"{place}: factor")
    objectives = _objectives(kpi, catalogue)
    if not objectives:
        raise CatalogueError(
            f"{place}: kpi: {kpi.id!r} has no ratio objective, a share in percent with a target between 0 and 100; "
            "use kind threshold"
        )
    target, share = min(objectives, key=lambda o: o[1])
    if rule.factor * share >= 1 - 1e-9:
        raise CatalogueError(
            f"{place}: factor: {rule.factor:g} can never be exceeded: with the target {target:g} a burn rate is at most "
            f"{1 / share:g}; allowed: below that"
        )


def _forecast(rule: a.ForecastRule, kpi: Kpi, catalogue: Catalogue, place: str) -> None:
    _window(rule.recent, kpi, f"{place}: recent")
    _percent(rule.after, f"{place}: after")
    if rule.after == 100:
        raise CatalogueError(
            f"{place}: after: is 100, when nothing is left to forecast, so it can never fire; allowed: below 100"
        )
    if kpi.target is None and not any(t.kpi == kpi.id for t in catalogue.targets):
        raise CatalogueError(f"{place}: kpi: {kpi.id!r} has no target to miss, so it can never fire; set a target")
    if not (math.isfinite(rule.clear_by) and rule.clear_by >= 0):
        raise CatalogueError(f"{place}: clear_by: is {rule.clear_by:g}; allowed: 0 or more, in the KPI's unit")
    room = room_to_beat(kpi, targets_of(kpi, catalogue))
    if room is not None and rule.clear_by > room:
        raise CatalogueError(
            f"{place}: clear_by: is {rule.clear_by:g}; {kpi.id!r} can beat its target by {room:g} at most, so it would never be over; "
            "allowed: at most that"
        )


def _trend(rule: a.TrendRule, kpi: Kpi, _catalogue: Catalogue, place: str) -> None:
    _window(rule.recent, kpi, f"{place}: recent")
    _window(rule.baseline, kpi, f"{place}: baseline")
    if WINDOWS[rule.recent] >= WINDOWS[rule.baseline]:
        raise CatalogueError(f"{place}: baseline: {rule.baseline} is not longer than recent {rule.recent}")
    _above_0(rule.worse_by, f"{place}: worse_by")
    if kpi.direction == "up" and is_share(kpi) and rule.worse_by > 100:
        raise CatalogueError(f"{place}: worse_by: is {rule.worse_by:g}; a share can't fall by more than 100 percent")
    if rule.clear_below is not None and not 0 <= rule.clear_below <= rule.worse_by:
        raise CatalogueError(f"{place}: clear_below: is {rule.clear_below:g}; allowed: 0 to worse_by {rule.worse_by:g}")


_KINDS: dict[type[a.Rule], Callable[[Any, Kpi, Catalogue, str], None]] = {
    a.ThresholdRule: _threshold,
    a.AbsenceRule: _absence,
    a.BurnRateRule: _burn,
    a.ForecastRule: _forecast,
    a.TrendRule: _trend,
}


# --- channels ---


def _channel(channel: a.Channel, place: str) -> None:
    check_id(channel.id, place)
    check_duration(channel.expire_after, f"{place}: expire_after", 1)
    if sum(x is not None for x in (channel.url, channel.url_env, channel.url_file)) != 1:
        raise CatalogueError(f"{place}: url: give exactly one of url, url_env and url_file")
    if channel.kind == "apprise" and channel.url is not None:
        raise CatalogueError(f"{place}: url: an Apprise URL holds secrets; name where it is with url_env or url_file")
    if channel.secret_env is not None and channel.secret_file is not None:
        raise CatalogueError(f"{place}: secret_env: give one of secret_env and secret_file")
    if channel.kind != "webhook" and (channel.secret_env or channel.secret_file):
        raise CatalogueError(f"{place}: secret_env: only a webhook is signed; remove it")
