"""Numbers, months and states as the report writes them: one way for its sentences, tables, charts and files.

British English: a point before decimals, a comma between thousands, a proper minus sign, ``%`` close to its number
and other units after a space that no line breaks at. What is not known is the word *unknown*, never a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from pipeline.evaluate.duration import MEASURED_FROM_S, in_words, measured

UNKNOWN = "unknown"
MINUS = "\u2212"
#: keeps a number and its unit on one line
NO_BREAK = "\u00a0"

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
#: units as they follow a number, where that is not the catalogue's spelling; empty: the KPI's name says it
_AFTER = {
    "d": "days", "/day": "a day", "points (1-5)": "of 5", "points (1-7)": "of 7",
    "incidents": "", "outages": "", "users": "", "pages": "", "breaches": "", "vulnerabilities": "", "points": "",
}  # fmt: skip

VERDICTS = {"aligned": "Aligned", "at_risk": "At risk", "concern": "Concern", "unknown": "Unknown"}
STATUSES = {"on_target": "On target", "amber": "Amber", "red": "Red", "unknown": "Unknown"}
TARGET_STATES = {
    "on_track": "on track", "off_track": "off track", "too_early_to_track": "too early to track", "met": "met",
    "not_met": "not met", "no_target": "no target", "unknown": "unknown",
}  # fmt: skip
MOVEMENTS = {"improved": "improved", "worsened": "worsened", "steady": "no clear change", "unknown": "unknown"}
ACTIVITIES = {
    "engage": "engage", "plan": "plan", "design_and_transition": "design and transition",
    "obtain_build": "obtain/build", "deliver_and_support": "deliver and support", "improve": "improve",
}  # fmt: skip
SIP_RESULTS = {"working": "Working", "not_yet": "Not yet", "worse": "Worse", "met": "Met", "unknown": "Unknown"}
SIP_STATUSES = {"open": "open", "in_progress": "in progress", "on_hold": "on hold", "closed": "closed"}


def is_known(value: float | None) -> bool:
    """Return whether a value can be written as a number."""
    return value is not None and math.isfinite(value)


def number(value: float | None, decimals: int = 0, *, signed: bool = False) -> str:
    """Return a number with its decimals, ``unknown`` where it is none; ``signed`` also writes a plus.

    A value that rounds to nothing has no sign.
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{abs(value):,.{decimals}f}"
    if not any(digit in text for digit in "123456789"):
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def unit_after(unit: str) -> str:
    """Return a unit as it follows a number, with the space before it; empty where the KPI's name says it."""
    if unit == "%":
        return unit
    text = _AFTER.get(unit, unit)
    return NO_BREAK + text.replace(" ", NO_BREAK) if text else ""


def _length(value: float | None, unit: str, *, signed: bool = False) -> str | None:
    """Return many seconds in a unit that people think in; None for what is said as it is."""
    if unit != "s" or value is None or not MEASURED_FROM_S <= abs(value) < math.inf:
        return None
    text, better = measured(value)
    return (MINUS if value < 0 else "+" if signed else "") + text + NO_BREAK + better


def figure(value: float | None, unit: str, decimals: int) -> str:
    """Return a KPI's value without its unit; a percentage below 100 is cut, so that it never reads as 100.

    Many seconds are said in minutes, hours, days or years, with that.
    """
    if unit == "%" and value is not None and 100 - 10.0**-decimals < value < 100:
        value = math.floor(value * 10**decimals) / 10**decimals
    return _length(value, unit) or number(value, decimals)


def unit_of(value: float | None, unit: str) -> str:
    """Return the unit that follows ``figure``; empty where it has one already, or is unknown."""
    return "" if not is_known(value) or _length(value, unit) else unit_after(unit)


def quantity(value: float | None, unit: str, decimals: int) -> str:
    """Return a KPI's value with its unit."""
    return figure(value, unit, decimals) + unit_of(value, unit)


def between(low: float | None, high: float | None, unit: str, decimals: int) -> str:
    """Return a range of a KPI's values with their unit once where it is one: ``81.0 to 90.5%``, ``80 s to 12 min``."""
    first, last = quantity(low, unit, decimals), quantity(high, unit, decimals)
    if _length(low, unit) is None and _length(high, unit) is None:
        return f"{figure(low, unit, decimals)} to {last}"
    number, _, said = first.partition(NO_BREAK)
    return f"{number if last.endswith(NO_BREAK + said) else first} to {last}"


def bound(value: float | None, unit: str, decimals: int) -> str:
    """Return a target with its unit, without decimals it does not need."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if length := _length(value, unit):
        return length
    text = number(value, max(decimals, 3))
    return (text.rstrip("0").rstrip(".") if "." in text else text) + unit_after(unit)


def difference(value: float | None, unit: str, decimals: int) -> str:
    """Return a change in the KPI's unit with its sign; of percentages and scales (5.2 of 7) in points."""
    if not is_known(value):
        return UNKNOWN
    if length := _length(value, unit, signed=True):
        return length
    text = number(value, decimals, signed=True)
    return text + (NO_BREAK + "points" if unit == "%" or unit.startswith("points (") else unit_after(unit))


def percent(value: float | None, *, signed: bool = False) -> str:
    """Return a percentage (0-100) with a decimal below ten, without one above."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return number(value, 1 if abs(value) < 9.95 else 0, signed=signed) + "%"


def share(value: float | None) -> str:
    """Return a share (0-1) as a percentage that is 100 % only where it is the whole, 0 % only where it is nothing."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if 0.999 < value < 1:
        return "99.9%"
    if 0 < value < 0.001:
        return "under 0.1%"
    return number(100 * value, 1).removesuffix(".0") + "%"


def score(value: float | None) -> str:
    """Return a score of 100 without decimals; it is 100 only where nothing is short of its target."""
    return number(math.floor(value) if value is not None and 99 < value < 100 else value)


def month(text: str) -> str:
    """Return ``2026-10`` as ``October 2026``; what is no month as it is."""
    year, _, rest = text.partition("-")
    place = rest[:2]
    if not (year.isdecimal() and place.isdecimal() and 1 <= int(place) <= 12):
        return text
    return f"{_MONTHS[int(place) - 1]} {year}"


def short_month(text: str) -> str:
    """Return ``2026-10`` as ``Oct 2026``."""
    name, _, year = month(text).partition(" ")
    return f"{name[:3]} {year}" if year else text


def periods(months: Sequence[str]) -> str:
    """Return months in order, three and more that follow each other as one: ``July to October 2026 and December 2026``."""
    runs: list[list[str]] = []
    for text in months:
        if runs and _index(text) == _index(runs[-1][-1]) + 1:
            runs[-1].append(text)
        else:
            runs.append([text])
    return listing([said for run in runs for said in ([_span(run)] if len(run) > 2 else map(month, run))])


def _index(text: str) -> int:
    return int(text[:4]) * 12 + int(text[5:7])


def _span(run: Sequence[str]) -> str:
    first, last = run[0], run[-1]
    begins = month(first) if first[:4] != last[:4] else _MONTHS[int(first[5:7]) - 1]
    return f"{begins} to {month(last)}"


def moment(text: str | None) -> str:
    """Return an RFC 3339 time as ``3 November 2026, 06:00``; a day without its time; what is neither as it is."""
    if text is None:
        return UNKNOWN
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    day = f"{found.day} {_MONTHS[found.month - 1]} {found.year}"
    return day if len(text) <= len("2026-11-03") else f"{day}, {found:%H:%M}"


def sample(amount: int, unit: str) -> str:
    """Return how much a value is made of: records, or with the unit ``s`` the time that was checked."""
    return in_words(amount).replace(" ", NO_BREAK) if unit == "s" and amount else number(amount)


def count(amount: int, one: str, many: str | None = None) -> str:
    """Return ``1 service`` or ``2 services``."""
    return f"{number(amount)} {one if amount == 1 else many or one + 's'}"


def inside(name: str) -> str:
    """Return a KPI's name as it stands inside a sentence: lower case, unless its first word is an abbreviation."""
    return name if name[1:2].isupper() else name[:1].lower() + name[1:]


def listing(names: list[str]) -> str:
    """Return ``a, b and c``; semicolons part what has commas of its own."""
    apart = "; " if any(", " in name for name in names) else ", "
    return names[0] if len(names) == 1 else " and ".join(filter(None, (apart.join(names[:-1]), *names[-1:])))
