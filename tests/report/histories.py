"""Histories of months for tests: values, counts, and months that are unknown."""

from collections.abc import Sequence

from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import Kpi
from pipeline.report.kpireport import Point

CATALOGUE = load_catalogue()


def kpi(name: str) -> Kpi:
    return CATALOGUE.kpis[name]


def months(last: str, how_many: int) -> list[str]:
    at = int(last[:4]) * 12 + int(last[5:]) - 1
    return [f"{m // 12:04d}-{m % 12 + 1:02d}" for m in range(at - how_many + 1, at + 1)]


def values(series: Sequence[float | None], last: str = "2026-10", count: int = 1000, **fields: object) -> list[Point]:
    """Months that were reported as values only."""
    named = zip(months(last, len(series)), series, strict=True)
    return [Point(month=m, value=v, count=count if v is not None else 0, reported=True, **fields) for m, v in named]


def shares(hits: Sequence[int], of: Sequence[int], last: str = "2026-10") -> list[Point]:
    """Months of a share with the counts it is made of."""
    named = zip(months(last, len(hits)), hits, of, strict=True)
    return [Point(month=m, value=100 * h / n, numerator=h, denominator=n, count=n) for m, h, n in named]


def counts(series: Sequence[int], last: str = "2026-10") -> list[Point]:
    """Months of a count."""
    return [
        Point(month=m, value=float(n), numerator=float(n), count=n)
        for m, n in zip(months(last, len(series)), series, strict=True)
    ]
