"""What would have fired: rules played over values of the past, with nobody told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from pipeline.alerts.book import AlertBook
from pipeline.alerts.inputs import StatusTold, ValueTold
from pipeline.catalogue.model import Catalogue
from pipeline.values import AlertChange, CsfStatus, KpiValue

_Key = tuple[str, str]


@dataclass(frozen=True)
class Episode:
    """One time that a rule fired for a scope: from ``start`` to ``end``, epoch seconds; None: still at the end."""

    rule: str
    scope: str
    severity: str
    start: int
    end: int | None
    value: float | None
    threshold: float | None
    unit: str

    def lasted_s(self, until: int) -> int:
        """Return how long it fired, up to an instant where it still does."""
        return (until if self.end is None else self.end) - self.start


Was = tuple[int, KpiValue | CsfStatus]
"""When, epoch seconds, something was so; and what."""


def play(catalogue: Catalogue, past: Iterable[Was], until: int) -> list[Episode]:
    """Return what would have fired, in order of time.

    Args:
        catalogue: whose rules are played.
        past: values of rolling windows and statuses of CSFs over them, each at its end; months as they stood
            (``pipeline.alerts.past``).
        until: the end of the past, epoch seconds.
    """
    book = AlertBook(catalogue)
    csfs = list(catalogue.csfs)
    begun: dict[_Key, Episode] = {}
    done: list[Episode] = []
    for at, found in groupby(sorted(past, key=lambda told: told[0]), key=lambda told: told[0]):
        if at > until:
            break
        changes: list[AlertChange] = []
        for _, each in found:
            told = ValueTold(clock=at, value=each) if isinstance(each, KpiValue) else StatusTold(clock=at, status=each)
            changes += book.take(told)
        changes += book.pass_time(csfs, at)
        for change in changes:
            key = (change.rule, change.scope)
            if change.state == "firing":
                begun[key] = Episode(
                    *key, change.severity, change.at, None, change.value, change.threshold, change.unit
                )  # fmt: skip
            elif change.state == "resolved" and key in begun:
                first = begun.pop(key)
                done.append(
                    Episode(*key, first.severity, first.start, change.at, first.value, first.threshold, first.unit)
                )
    return sorted([*done, *begun.values()], key=lambda e: (e.start, e.rule, e.scope))
