"""The rules a catalogue keeps beyond the shape of its entries: ids, references, limits, and that targets agree."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pipeline.catalogue import model
from pipeline.catalogue.check_insights import check_insights
from pipeline.catalogue.check_measures import check_measure
from pipeline.catalogue.expressions import suggest
from pipeline.catalogue.reading import reference
from pipeline.errors import CatalogueError

Places = dict[tuple[str, str], str]

_ID = re.compile(r"[a-z][a-z0-9_]*")
_SERVICE_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_SCOPE = re.compile(r"org|(team|service):[a-z0-9][a-z0-9._-]{0,63}")
_WHOLE = 100.0


def check(catalogue: model.Catalogue, places: Places) -> None:
    """Raise CatalogueError at the first rule that is broken."""
    _organisation(catalogue.organisation, places.get(("organisation", ""), "organisation.yaml"))
    for what, ids in (
        ("csf", catalogue.csfs),
        ("goal", catalogue.goals),
        ("kpi", catalogue.kpis),
        ("insight", catalogue.insights),
    ):
        for name in ids:
            _pattern(name, _ID, places[what, name], "id", "lower-case letters, digits and _, a letter first")
    for kpi in catalogue.kpis.values():
        _kpi(kpi, catalogue, places["kpi", kpi.id])
    _services(catalogue, places)
    _targets(catalogue, places)
    check_insights(catalogue, places)


def _pattern(text: str, pattern: re.Pattern[str], place: str, key: str, allowed: str) -> None:
    if not pattern.fullmatch(text):
        raise CatalogueError(f"{place}: {key}: {text!r} is not allowed; allowed: {allowed}")


def _between(value: float, low: float, high: float, where: str) -> None:
    if not low <= value <= high:
        raise CatalogueError(f"{where}: is {value:g}; allowed: {low:g} to {high:g}")


def _organisation(organisation: model.Organisation, place: str) -> None:
    try:
        ZoneInfo(organisation.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = suggest(organisation.zone, available_timezones())
        raise CatalogueError(
            f"{place}: zone: unknown time zone {organisation.zone!r}{near}; "
            "allowed: IANA names such as Europe/Berlin or UTC"
        ) from None
    _pattern(organisation.currency, re.compile(r"[A-Z]{3}"), place, "currency", "an ISO 4217 code such as EUR")
    _pattern(organisation.close_time, _TIME, place, "close_time", "a time of day in quotes such as '06:00'")
    _between(organisation.session_gap_minutes, 1, 1440, f"{place}: session_gap_minutes")
    _between(organisation.close_day, 1, 28, f"{place}: close_day")
    _between(organisation.discovered_services, 0, 100_000, f"{place}: discovered_services")
    for name in ("remembered_ids", "open_sessions", "entities"):
        _between(getattr(organisation, name), 4, 1_000_000_000, f"{place}: {name}")
    _between(organisation.aligned_score, 0, 100, f"{place}: aligned_score")
    _between(organisation.at_risk_score, 0, 100, f"{place}: at_risk_score")
    if organisation.at_risk_score >= organisation.aligned_score:
        raise CatalogueError(f"{place}: at_risk_score: must be below aligned_score {organisation.aligned_score:g}")


def _kpi(kpi: model.Kpi, catalogue: model.Catalogue, place: str) -> None:
    reference(kpi.csf, catalogue.csfs, f"{place}: csf", "csf")
    if kpi.goal is not None:
        reference(kpi.goal, catalogue.goals, f"{place}: goal", "goal")
    _between(kpi.decimals, 0, 6, f"{place}: decimals")
    _between(kpi.weight, 0, 100, f"{place}: weight")
    _between(kpi.version, 1, 1_000_000, f"{place}: version")
    _between(kpi.min_sample, 0, 1_000_000_000, f"{place}: min_sample")
    for key in ("name", "definition", "unit", "owner"):
        if not getattr(kpi, key).strip():
            raise CatalogueError(f"{place}: {key}: is empty; say it in words")
    _limits(kpi, place)
    if kpi.target is not None:
        _possible_target(kpi, kpi.target, f"{place}: target")
    if kpi.breakdown is not None and not kpi.breakdown.values:
        raise CatalogueError(f"{place}: breakdown.values: is empty; list the values, or remove 'breakdown'")
    check_measure(kpi.measure, place)


def _limits(kpi: model.Kpi, place: str) -> None:
    """Raise where target, amber and red do not go from good to bad."""
    if kpi.thresholds is None:
        return
    amber, red = kpi.thresholds.amber, kpi.thresholds.red
    up = kpi.direction == "up"
    for key, value in (("amber", amber), ("red", red)):
        if not math.isfinite(value) or (kpi.direction == "zero" and value < 0):
            allowed = "a number" if kpi.direction != "zero" else "a number of 0 or more (a distance from 0)"
            raise CatalogueError(f"{place}: thresholds.{key}: is {value:g}; allowed: {allowed}")
    if (red > amber) if up else (red < amber):
        side = "at most" if up else "at least"
        raise CatalogueError(
            f"{place}: thresholds.red: is {red:g}; with direction {kpi.direction} it must be {side} amber {amber:g}"
        )
    if kpi.target is not None and ((amber > kpi.target) if up else (amber < kpi.target)):
        side = "at most" if up else "at least"
        raise CatalogueError(
            f"{place}: thresholds.amber: is {amber:g}; with direction {kpi.direction} it must be {side} "
            f"the target {kpi.target:g}"
        )


def _possible_target(kpi: model.Kpi, value: float, where: str) -> None:
    if not math.isfinite(value):
        raise CatalogueError(f"{where}: is {value}; allowed: a finite number")
    available = isinstance(kpi.measure, model.Availability) and kpi.measure.stat == "availability"
    if available and not 0 <= value < _WHOLE:
        raise CatalogueError(
            f"{where}: is {value:g}; an availability target must be below 100, as 100 leaves no error budget"
        )


def _services(catalogue: model.Catalogue, places: Places) -> None:
    owner: dict[str, str] = {}
    for service in catalogue.services.values():
        place = places["service", service.id]
        allowed = "lower-case letters, digits and . _ -, at most 64"
        _pattern(service.id, _SERVICE_ID, place, "id", allowed)
        _pattern(service.team, _SERVICE_ID, place, "team", allowed)
        _between(service.tier, 1, 5, f"{place}: tier")
        for vendor_id in service.vendor_ids:
            if vendor_id in catalogue.services and vendor_id != service.id:
                raise CatalogueError(f"{place}: vendor_ids: {vendor_id!r} is the id of another service")
            if owner.setdefault(vendor_id, service.id) != service.id:
                raise CatalogueError(
                    f"{place}: vendor_ids: {vendor_id!r} already means the service '{owner[vendor_id]}'"
                )
        if service.hours is not None:
            _hours(service.hours, f"{place}: hours")


def _hours(hours: model.Hours, where: str) -> None:
    if not hours.days or len(set(hours.days)) < len(hours.days) or not all(0 <= d <= 6 for d in hours.days):
        raise CatalogueError(f"{where}.days: is {hours.days}; allowed: each of 0 (Monday) to 6 (Sunday) once")
    for key, text in (("start", hours.start), ("end", hours.end)):
        if not _TIME.fullmatch(text) and not (key == "end" and text == "24:00"):
            raise CatalogueError(f"{where}.{key}: {text!r} is no time of day; allowed: in quotes, such as '08:00'")
    if hours.start >= hours.end:
        raise CatalogueError(f"{where}.end: {hours.end} is not after start {hours.start}")


def _targets(catalogue: model.Catalogue, places: Places) -> None:
    for i, target in enumerate(catalogue.targets):
        place = places["target", str(i)]
        reference(target.kpi, catalogue.kpis, f"{place}: kpi", "kpi")
        _pattern(target.scope, _SCOPE, place, "scope", "org, team:ID or service:ID")
        _possible_target(catalogue.kpis[target.kpi], target.value, f"{place}: value")
        if target.valid_from and target.valid_to and target.valid_to < target.valid_from:
            raise CatalogueError(f"{place}: valid_to: {target.valid_to} is before valid_from {target.valid_from}")
    for i, j in _overlaps(catalogue.targets):
        target = catalogue.targets[i]
        raise CatalogueError(
            f"{places['target', str(j)]}: overlaps the one of {places['target', str(i)]}: both hold for "
            f"'{target.kpi}' of {target.scope} on the same days; set valid_from and valid_to apart"
        )


def _overlaps(targets: list[model.Target]) -> Iterator[tuple[int, int]]:
    for j, b in enumerate(targets):
        for i, a in enumerate(targets[:j]):
            if (a.kpi, a.scope) != (b.kpi, b.scope):
                continue
            starts = max(a.valid_from or date.min, b.valid_from or date.min)
            if starts <= min(a.valid_to or date.max, b.valid_to or date.max):
                yield i, j
