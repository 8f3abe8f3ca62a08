"""What both stores share: how long live values are kept, and which values no store takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite

from pipeline.errors import StoreRejected
from pipeline.values import WINDOWS, AlertChange, CsfStatus, Exits, KpiRevision, KpiValue

#: Live values (and statuses of rolling windows) are kept this long; period values are kept for good.
LIVE_RETENTION_S = 45 * 86400

#: The fields of a value that may be unknown, in the order the stores write them.
OPTIONAL_FIELDS = ("value", "numerator", "denominator", "coverage", "target", "score", "previous")


def split_live(values: Sequence[KpiValue], oldest_end: float) -> tuple[list[KpiValue], list[KpiValue], int]:
    """Return (live values that end at ``oldest_end`` or later, period values, number of older live values)."""
    live: list[KpiValue] = []
    period: list[KpiValue] = []
    old = 0
    for value in values:
        if value.state != "live":
            period.append(value)
        elif value.end < oldest_end:
            old += 1
        else:
            live.append(value)
    return live, period, old


def split_statuses(statuses: Sequence[CsfStatus], oldest_end: float) -> tuple[list[CsfStatus], int]:
    """Return the statuses without those of rolling windows that end before ``oldest_end``, and their number."""
    kept = [s for s in statuses if s.period not in WINDOWS or s.end >= oldest_end]
    return kept, len(statuses) - len(kept)


def name_value(value: KpiValue | KpiRevision) -> str:
    """Return a short name of a value for messages."""
    return f"{value.kpi} of {value.scope} for {value.period} from {value.start}"


def require_finite(values: Iterable[KpiValue]) -> None:
    """Refuse NaN and infinity: a store would drop them or turn them into something else.

    Raises:
        StoreRejected: naming the value and the field.
    """
    for value in values:
        # One addition tells whether any is not finite; the fields are looked at singly only then.
        if isfinite(
            (value.value or 0.0)
            + (value.numerator or 0.0)
            + (value.denominator or 0.0)
            + (value.coverage or 0.0)
            + (value.target or 0.0)
            + (value.score or 0.0)
            + (value.previous or 0.0)
        ):
            continue
        for field in OPTIONAL_FIELDS:
            number = getattr(value, field)
            if number is not None and not isfinite(number):
                raise StoreRejected(
                    f"{name_value(value)}: {field} is {number}, not a finite number; write None for unknown"
                )


def require_finite_records(records: Iterable[CsfStatus | KpiRevision | Exits | AlertChange]) -> None:
    """The same for statuses, revisions and exits.

    Raises:
        StoreRejected: naming the record and the field.
    """
    for record in records:
        for field in record.__struct_fields__:
            number = getattr(record, field)
            if isinstance(number, float) and not isfinite(number):
                raise StoreRejected(f"{record!r}: {field} is {number}, not a finite number; write None for unknown")


def newest_definitions(values: Iterable[KpiValue], *, live: bool) -> list[KpiValue]:
    """Keep of each (time, KPI, scope) the value of the newest definition.

    Args:
        values: ordered by (time, kpi, scope, csf, definition_version).
        live: the time is the end of the window, otherwise the start of the period.
    """
    kept: list[KpiValue] = []
    last: tuple[int, str, str, str] | None = None
    for value in values:
        identity = (value.end if live else value.start, value.kpi, value.scope, value.csf)
        if identity == last:
            kept[-1] = value
        else:
            kept.append(value)
            last = identity
    return kept


def newest_only(values: Iterable[KpiValue]) -> list[KpiValue]:
    """Keep of each (KPI, scope) the last of values ordered by (end, kpi, scope), in that order."""
    last = {(v.csf, v.kpi, v.scope): v for v in values}
    return sorted(last.values(), key=lambda v: (v.end, v.kpi, v.scope, v.csf))


def latest_statuses(statuses: Iterable[CsfStatus]) -> list[CsfStatus]:
    """Keep of each (CSF, scope) the last of statuses ordered by start, ordered by (start, csf, scope)."""
    last = {(s.csf, s.scope): s for s in statuses}
    return sorted(last.values(), key=lambda s: (s.start, s.csf, s.scope))
