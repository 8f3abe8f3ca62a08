"""What a viewer wants to see, from the parameters of a request: scope, and period or rolling window."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from aiohttp import web

from pipeline.time.calendar import Calendar
from pipeline.values import WINDOWS

PERIODS = ("hour", "day", "month")
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_HOUR = re.compile(r"\d{4}-\d\d-\d\dT\d\d", re.ASCII)
_SHOWN = 80
_LISTED = 40


class BadParameterError(Exception):
    """A parameter is wrong; the message says which, and what is allowed."""


def _clip(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def listed(allowed: Collection[str]) -> str:
    """Return allowed values as one enumeration, cut after some."""
    names = list(allowed)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def require_known(parameters: Mapping[str, str], allowed: Collection[str]) -> None:
    """Refuse parameters that a route does not have, for a misspelt one would silently select everything."""
    for name in parameters:
        if name not in allowed:
            raise BadParameterError(f"parameter '{_clip(name)}' is unknown; allowed: {listed(allowed)}")


def parameters_of(request: web.Request, allowed: tuple[str, ...]) -> dict[str, str]:
    """Return a request's parameters, each known and given once."""
    require_known(request.query, allowed)
    for name in set(request.query):
        if len(request.query.getall(name)) > 1:
            raise BadParameterError(
                f"parameter '{name}' is given twice; allowed: once, several values joined by commas"
            )
    return dict(request.query)


def one_of(name: str, value: str, allowed: Collection[str]) -> str:
    """Return a value that must be one of ``allowed``."""
    if value not in allowed:
        raise BadParameterError(f"{name} '{_clip(value)}' is unknown; allowed: {listed(allowed)}")
    return value


def several(name: str, text: str | None, allowed: Collection[str]) -> list[str] | None:
    """Return names separated by commas, each one of ``allowed``; None where the parameter is absent."""
    if text is None:
        return None
    return [one_of(name, part.strip(), allowed) for part in text.split(",")]


def _year(name: str, text: str) -> None:
    if not 1970 <= int(text[:4]) <= 2200:
        raise BadParameterError(f"{name} '{_clip(text)}' is out of range; allowed: years 1970 to 2200")


def parse_start(name: str, text: str, period: str, calendar: Calendar) -> int:
    """Return the start of the period that a parameter names.

    Accepts ``2026-10`` for months, ``2026-10-05`` for days, ``2026-10-05T13`` (local) for hours, and for all of
    them an RFC 3339 time with offset, which names the period that holds it.

    Raises:
        BadParameterError: it is none of these.
    """
    try:
        if period == "month" and _MONTH.fullmatch(text):
            _year(name, text)
            return calendar.parse_month(text)
        if period in {"month", "day"} and _DAY.fullmatch(text):
            _year(name, text)
            return calendar.period(period, calendar.start_of(date.fromisoformat(text)))[0]
        if _HOUR.fullmatch(text):
            text += ":00:00"
        at = datetime.fromisoformat(text.replace(" ", "+"))  # an unescaped + of an offset arrives as a space
        _year(name, text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=calendar.zone)
        return calendar.period(period, int(at.timestamp()))[0]
    except (ValueError, OverflowError):
        example = {"month": "2026-10", "day": "2026-10-05", "hour": "2026-10-05T13"}[period]
        raise BadParameterError(
            f"{name} '{_clip(text)}' is no {period}; allowed: {example}, or an RFC 3339 time with offset"
        ) from None


@dataclass(frozen=True)
class Selection:
    """Scope and time that a viewer chose.

    Attributes:
        scope: ``org``, ``team:ID`` or ``service:ID``.
        period: ``month`` or ``day``, or the name of a rolling window.
        start: start of the period, epoch seconds; None: the newest that has values (always None for windows).
    """

    scope: str = "org"
    period: str = "month"
    start: int | None = None

    @property
    def live(self) -> bool:
        """Whether a rolling window is meant."""
        return self.period in WINDOWS


SELECTION_PARAMETERS = ("scope", "period", "window", "month", "day")


def select(parameters: Mapping[str, str], scopes: Collection[str], calendar: Calendar) -> Selection:
    """Return the selection that a request's parameters make; the newest month of the organisation by default.

    Raises:
        BadParameterError: a value is not allowed, or two contradict each other.
    """
    scope = one_of("scope", parameters.get("scope", "org"), scopes)
    named = [n for n in ("window", "month", "day") if n in parameters]
    if len(named) > 1 or ("window" in named and "period" in parameters):
        given = [n for n in ("period", *named) if n in parameters]
        raise BadParameterError(f"{' and '.join(given)} exclude each other; allowed: one of window, month, day")
    if "window" in parameters:
        return Selection(scope, one_of("window", parameters["window"], WINDOWS))
    period = one_of("period", parameters.get("period", "day" if "day" in named else "month"), ("month", "day"))
    if named and named[0] != period:
        raise BadParameterError(f"period {period} and {named[0]} contradict each other; allowed: one of them")
    start = parse_start(period, parameters[period], period, calendar) if period in parameters else None
    return Selection(scope, period, start)
