"""Whether a measure fits the records it reads: event types, fields, words, times."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.catalogue import model
from pipeline.catalogue.expressions import check_fields, compared_words, suggest
from pipeline.catalogue.records import ENTITY_TYPES, RECORD_TYPES, SESSION, literal_values, record_fields
from pipeline.errors import CatalogueError

#: Measures whose state cannot take a record back: sessions and entities change, so they cannot be read.
_ADDITIVE_ONLY = (model.Distinct, model.Stickiness, model.Peak)
#: Fields of each kind of measure that hold expressions, besides ``where`` and ``at``.
_EXPRESSIONS = (
    *("value", "of", "numerator", "denominator", "weight", "predicted", "actual"),
    *("latency", "count", "error", "enter", "leave", "completed"),
)


def check_measure(measure: model.AnyMeasure, place: str) -> None:
    """Raise CatalogueError where a measure cannot be worked out from the records it names."""
    if isinstance(measure, model.Availability):
        return
    events = list(measure.events)
    _check_events(events, f"{place}: measure.events")
    for key, text in _expressions(measure):
        _check_expression(text, events, f"{place}: measure.{key}")
    if isinstance(measure, model.PerUserDay):
        _check_events(measure.user_events, f"{place}: measure.user_events")
        _check_expression(measure.user, measure.user_events, f"{place}: measure.user")
        _refuse_changing(measure.user_events, f"{place}: measure.user_events")
    if isinstance(measure, _ADDITIVE_ONLY):
        _refuse_changing(events, f"{place}: measure.events")
    if isinstance(measure, model.Records):
        _check_dating(measure.at, events, place)
    _check_rest(measure, events, place)


def _check_rest(measure: model.AnyMeasure, events: list[str], place: str) -> None:
    match measure:
        case model.Quantile() if not 0 < measure.q < 1:
            raise CatalogueError(f"{place}: measure.q: is {measure.q:g}; allowed: between 0 and 1, such as 0.95")
        case model.Stock():
            for key in ("enter", "leave"):
                _check_time(getattr(measure, key), events, f"{place}: measure.{key}")
        case model.Freshness():
            _check_time(measure.completed, events, f"{place}: measure.completed")
            for event in events:
                if not {"from_", "to"} <= set(record_fields(event)):
                    raise CatalogueError(
                        f"{place}: measure.events: '{event}' has no fields from_ and to; allowed: record.synced"
                    )
        case model.Forecast():
            for name in measure.group:
                _check_expression(name, events, f"{place}: measure.group")


def _check_events(events: list[str], where: str) -> None:
    if not events:
        raise CatalogueError(f"{where}: names no event type; allowed: {', '.join(RECORD_TYPES)}")
    for event in events:
        if event not in RECORD_TYPES:
            raise CatalogueError(
                f"{where}: unknown event type {event!r}{suggest(event, RECORD_TYPES)}; "
                f"allowed: {', '.join(RECORD_TYPES)}"
            )
    if len(set(events)) < len(events):
        raise CatalogueError(f"{where}: names an event type twice; each of its records would count twice")


def _expressions(measure: model.AnyMeasure) -> Iterator[tuple[str, str]]:
    for key in ("where", "at", *_EXPRESSIONS):
        text = getattr(measure, key, None)
        if isinstance(text, str):
            yield key, text


def _each_event(events: list[str], where: str, check: Callable[[str], None]) -> None:
    for event in events:
        try:
            check(event)
        except CatalogueError as error:
            raise CatalogueError(f"{where}: {event}: {error}") from None


def _check_expression(text: str, events: list[str], where: str) -> None:
    _each_event(events, where, lambda event: check_fields(text, record_fields(event)))
    _each_event(events, where, lambda event: _check_words(text, literal_values(event)))


def _check_words(text: str, words: dict[str, frozenset[str]]) -> None:
    """Raise where a field that holds one of a few words is compared with another one: it would never be true."""
    for field, constant in compared_words(text):
        allowed = words.get(field)
        if allowed is not None and constant not in allowed:
            raise CatalogueError(
                f"expression {text!r}: {field!r} is never {constant!r}{suggest(str(constant), allowed)}; "
                f"allowed: {', '.join(sorted(allowed))}"
            )


def _check_time(text: str, events: list[str], where: str) -> None:
    for event in events:
        times = sorted(name for name, kind in record_fields(event).items() if kind == "time")
        if text.strip() not in times:
            raise CatalogueError(
                f"{where}: {text!r} is no time of {event}{suggest(text, times)}; allowed: {', '.join(times)}"
            )


def _check_dating(at: str | None, events: list[str], place: str) -> None:
    where = f"{place}: measure.at"
    if at is not None:
        _check_time(at, events, where)
        return
    for event in events:
        # an answer happens once, at its event time; other entities have a life of many times
        if event in ENTITY_TYPES and event != "survey.answered":
            times = sorted(name for name, kind in record_fields(event).items() if kind == "time")
            raise CatalogueError(
                f"{where}: is missing: {event} is updated over time, so name the time that dates it; "
                f"allowed: {', '.join(times)}"
            )


def _refuse_changing(events: list[str], where: str) -> None:
    for event in events:
        if event in ENTITY_TYPES or event == SESSION:
            allowed = ", ".join(e for e in RECORD_TYPES if e not in ENTITY_TYPES and e != SESSION)
            raise CatalogueError(
                f"{where}: {event!r} records are corrected later, which this kind of measure cannot take back; "
                f"allowed: {allowed}"
            )
