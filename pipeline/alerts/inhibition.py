"""Which alert is told in the place of another, so that one trouble is told once: a service's, or the organisation's.

What a service's alert explains of a wider scope is no news beside it; where many services fire at once the extent is
the news, and the wider alert stands for theirs (docs/decisions/0010). Whoever stands for another must reach everybody
whom the other would have reached, so that no page is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.alerts.book import AlertBook, Key
from pipeline.alerts.conditions import judge_rule
from pipeline.alerts.nesting import ORG, Nesting
from pipeline.catalogue import alerts as a
from pipeline.catalogue.model import Catalogue
from pipeline.evaluate.remainder import may_be_all, without
from pipeline.values import CsfStatus, KpiValue

#: Alerts that began so far apart, at most, are of the same trouble, seconds.
TOGETHER_S = 900


@dataclass(frozen=True)
class _Rest:
    """The values in force of a scope, without those of some scopes inside it, none of which is inside another."""

    book: AlertBook
    catalogue: Catalogue
    scope: str
    inner: Sequence[str]

    def value(self, kpi: str, period: str) -> KpiValue | None:
        """Return the value of the rest.

        Where it cannot be told it is unknown if the scopes left out are cases enough, else taken to be as the whole is.
        """
        series = self.book.series
        whole = series.get((kpi, period, self.scope))
        parts = [series.get((kpi, period, scope)) for scope in self.inner]
        known = [part for part in parts if isinstance(part, KpiValue)]
        if not isinstance(whole, KpiValue):
            return None
        if whole.value is None:
            return whole if self._has_more(kpi, period) else None
        about = self.catalogue.kpis[kpi]
        rest = without(about, whole, known)
        return whole if rest is None and not may_be_all(about, whole, known) else rest

    def _has_more(self, kpi: str, period: str) -> bool:
        """Return whether a service of the rest was heard of: where all fell silent, one that had done so explains nothing."""
        left_out = set(self.inner)
        for service in self.catalogue.services.values():
            scope, team = f"service:{service.id}", f"team:{service.team}"
            is_rest = self.scope in {team, ORG} and not left_out & {scope, team}
            if is_rest and (kpi, period, scope) in self.book.series:
                return True
        return False

    def status(self, csf: str, window: str) -> CsfStatus | None:
        """Return None: nobody works out the status of a rest, and rules about one are told by themselves."""


class Inhibition:
    """Looks, for one instant, for what stands for an alert.

    Args:
        catalogue: whose services and teams lie inside each other.
        book: what fires.
        reached: the channels that were, or are about to be, told of an alert that fires; none for one that is held back.
        channels: those that an alert is told by, if it is.
    """

    def __init__(
        self, catalogue: Catalogue, book: AlertBook, reached: Callable[[Key], frozenset[str]],
        channels: Callable[[Key], frozenset[str]],
    ) -> None:  # fmt: skip
        self._catalogue, self._book = catalogue, book
        self._reached, self._channels = reached, channels
        self._nesting = Nesting(catalogue, book)
        self._standing: dict[Key, Key | None] = {}

    def stands_for(self, key: Key) -> Key | None:
        """Return the alert that is told in the place of one that fires, None where none is."""
        if key not in self._standing:
            rule, scope = self._book.rules[key[0]], key[1]
            wider = [(rule.id, around) for around in self._nesting.around(scope)]
            found = next((wide for wide in wider if self._is_one_trouble(key, wide)), None)
            has_inside = not scope.startswith("service:")
            self._standing[key] = self._explained(rule, scope) if found is None and has_inside else found
        return self._standing[key]

    def _explained(self, rule: a.AnyRule, scope: str) -> Key | None:
        """Return the first of the narrower alerts by which a wider one is explained, None where it is not."""
        if isinstance(rule, a.StatusRule) or self._nesting.is_many(rule, scope):
            return None
        told: dict[str, Key] = {}
        reached: set[str] = set()
        for inner in self._nesting.inside(rule, scope):
            alerts = [(name, inner) for name in self._nesting.alike(rule)]
            for key in filter(self._nesting.fires, alerts):
                if self.stands_for(key) is None and (channels := self._reached(key)):
                    reached |= channels
                    told.setdefault(inner, key)
        if not told or not self._channels((rule.id, scope)) <= reached:
            return None
        rest = _Rest(self._book, self._catalogue, scope, list(told))
        if judge_rule(rule, self._catalogue, rest, self._book.clock_of((rule.id, scope))).holds:
            return None  # what is left is bad enough by itself
        return min(told.values(), key=lambda key: (self._book.instances[key].since, key))

    def _is_one_trouble(self, key: Key, wide: Key) -> bool:
        """Return whether a wider alert stands for a narrower one: many fire together, and all concerned are told of it."""
        instances = self._book.instances
        return (
            self._nesting.fires(wide)
            and abs(instances[key].since - instances[wide].since) <= TOGETHER_S
            and self._nesting.is_many(self._book.rules[wide[0]], wide[1])
            and self.stands_for(wide) is None
            and bool(reached := self._reached(wide))
            and self._channels(key) <= reached
        )
