"""The rules that routes keep: channels and names that exist, and alerts that can come to them.

A route that no alert can come to is a mistake that shows only when nobody is called; it is refused when the catalogue is
loaded. Routes of a directory may take everything before those of the ones under it: that is what overlaying is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pipeline.alerts.matching import in_words, matches
from pipeline.catalogue import alerts as a
from pipeline.catalogue.check_alerts import Places, check_duration, check_id, check_name, check_scope
from pipeline.catalogue.model import Catalogue
from pipeline.errors import CatalogueError

_KEYS = ("severity", "tier", "team", "csf", "rule", "scope")
#: stands for services that the catalogue does not name
_UNNAMED = "service:*"

Alert = tuple[a.AnyRule, str, str]
"""Rule, its CSF, scope."""


def check_routes(catalogue: Catalogue, places: Places) -> None:
    """Raise CatalogueError at the first route that is wrong, or that no alert can come to."""
    for route in catalogue.routes:
        _route(route, catalogue, places["route", route.id])
    if not (catalogue.alerts and catalogue.routes):  # without rules there is nothing that could come to any
        return
    alerts = list(_alerts(catalogue))
    earlier: list[a.Route] = []
    for route in catalogue.routes:
        place = places["route", route.id]
        _is_reached(
            route, [r for r in earlier if _file(places["route", r.id]) == _file(place)], alerts, catalogue, place
        )
        earlier.append(route)


def _route(route: a.Route, catalogue: Catalogue, place: str) -> None:
    check_id(route.id, place)
    for channel in route.channels:
        check_name(channel, catalogue.channels, f"{place}: channels", "channel")
    for key in ("group_wait", "group_interval", "repeat"):
        if (text := getattr(route, key)) is not None:
            check_duration(text, f"{place}: {key}")
    match = route.match
    for rule in match.rule or ():
        check_name(rule, catalogue.alerts, f"{place}: match.rule", "rule")
    for csf in match.csf or ():
        check_name(csf, catalogue.csfs, f"{place}: match.csf", "csf")
    for team in match.team or ():
        check_name(team, {s.team for s in catalogue.services.values()}, f"{place}: match.team", "team")
    for tier in match.tier or ():
        if not 1 <= tier <= 5:
            raise CatalogueError(f"{place}: match.tier: is {tier}; allowed: 1 to 5")
    for scope in match.scope or ():
        check_scope(scope, catalogue, f"{place}: match.scope")


def _file(place: str) -> str:
    return place.rpartition(": ")[0]


# --- what can come to a route ---


def _alerts(catalogue: Catalogue) -> Iterator[Alert]:
    """Yield alerts that stand for all there can be: routes tell services apart by team, tier and name only."""
    services = catalogue.services.values()
    named = {s for route in catalogue.routes for s in route.match.scope or () if s.startswith("service:")}
    alike = {(s.team, s.tier): f"service:{s.id}" for s in services}
    every = {
        "team:*": sorted({f"team:{s.team}" for s in services}),
        "service:*": sorted({*alike.values(), *named, _UNNAMED}),
    }
    for rule in catalogue.alerts.values():
        csf = rule.csf if isinstance(rule, a.StatusRule) else catalogue.kpis[rule.kpi].csf
        for scope in dict.fromkeys(s for own in rule.scopes for s in every.get(own, [own])):
            yield rule, csf, scope


def _taken(match: a.Match, alerts: Sequence[Alert], catalogue: Catalogue) -> list[Alert]:
    return [alert for alert in alerts if matches(match, *alert, catalogue)]


def _is_reached(
    route: a.Route, before: Sequence[a.Route], alerts: Sequence[Alert], catalogue: Catalogue, place: str
) -> None:
    left = _taken(route.match, alerts, catalogue)
    if not left:
        raise CatalogueError(
            f"{place}: match: no alert can match ({_impossible(route.match, alerts, catalogue)}), so nobody would be told"
            " by it; mend it, or remove the route"
        )
    takers: list[str] = []
    for other in before:
        kept = [alert for alert in left if not matches(other.match, *alert, catalogue)]
        if len(kept) < len(left):
            takers.append(other.id)
        left = kept
    if not left:
        raise CatalogueError(
            f"{place}: {' and '.join(repr(t) for t in takers)} before it in the file takes every alert that it matches, so"
            " nobody would be told by it; put it first, or remove it"
        )


def _impossible(match: a.Match, alerts: Sequence[Alert], catalogue: Catalogue) -> str:
    """Return the part of a match that no alert has, or that the parts exclude each other."""
    for key in _KEYS:
        values: Any = getattr(match, key)
        alone = msgspec.structs.replace(a.Match(), **{key: values})
        if values is not None and not _taken(alone, alerts, catalogue):
            return f"of no alert {in_words(alone)}" if values else f"{key} is an empty list"
    return f"of no alert all of {in_words(match)}"
