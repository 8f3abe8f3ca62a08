"""The agenda: which values are to be worked out again, the most urgent first.

A *card* is everything one CSF says of one scope over one period; a *live* entry is the same for a window. Urgent are
the short windows of what an event has just changed. Then come, in the order in which they were asked for, the other
windows, windows that only moved on, and running periods; then finished periods.

Every entry carries the *mark* it was asked for under, so that one can tell when everything asked for up to a mark is done.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from pipeline.time.panes import LENGTH, MINUTE, SLIDE
from pipeline.values import WINDOWS

Card = tuple[str, str, str, int]  # (CSF, scope, period, start)
Live = tuple[str, str, str]  # (window, CSF, scope)
K = TypeVar("K")

_ORDER = ("month", "day", "hour")
#: Windows that move every minute: told at once when an event changes them.
SHORT = tuple(w for w in WINDOWS if SLIDE[w] == MINUTE)
_LONG = tuple(w for w in WINDOWS if SLIDE[w] != MINUTE)
#: Cards of finished periods that are let through however much changes: late events of a living system are few.
_AT_LEAST = 64


class Agenda:
    """Dirty cards and live entries of one rollup partition."""

    def __init__(self) -> None:
        #: (CSF, scope) whose short windows an event changed → mark
        self._urgent: OrderedDict[tuple[str, str], int] = OrderedDict()
        #: windows and cards of running periods → mark
        self._due: OrderedDict[Live | Card, int] = OrderedDict()
        #: cards of finished periods, by period and start → mark
        self._cards: dict[str, dict[int, dict[Card, int]]] = {p: {} for p in _ORDER}
        self._touched = False
        self._mark = 0
        self._cause: int | None = None
        #: mark → entries that carry it
        self._open: dict[int, int] = {}
        #: (CSF, scope) that have facts recent enough for windows
        self.lively: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        return sum(self._open.values())

    def _finished(self) -> int:
        return sum(len(cards) for by_start in self._cards.values() for cards in by_start.values())

    # --- marks ---

    @property
    def current(self) -> int:
        """The mark that is given to what is asked for now."""
        return self._mark if self._cause is None else self._cause

    def mark(self) -> int:
        """Return a mark that covers everything asked for so far; what is asked for from here on has a later one."""
        self._mark += 1
        return self._mark - 1

    def settled(self, mark: int) -> bool:
        """Return whether nothing is left that was asked for up to a mark."""
        return all(m > mark for m in self._open)

    @contextmanager
    def because_of(self, mark: int) -> Iterator[None]:
        """Give what is asked for inside an earlier mark: it is a consequence of what was asked for then."""
        before, self._cause = self._cause, mark
        try:
            yield
        finally:
            self._cause = before

    def _ask(self, entries: dict[K, int], entry: K, mark: int | None = None) -> None:
        mark = self.current if mark is None else min(mark, self.current)
        known = entries.get(entry)
        if known is None or mark < known:
            if known is not None:
                self._close(known)
            entries[entry] = mark
            self._open[mark] = self._open.get(mark, 0) + 1

    def _close(self, mark: int) -> None:
        left = self._open[mark] - 1
        if left:
            self._open[mark] = left
        else:
            del self._open[mark]

    # --- asking ---

    def live(self, csf: str, scope: str) -> None:
        """Ask for all windows of a CSF and scope that an event changed."""
        self.lively.add((csf, scope))
        self._ask(self._urgent, (csf, scope))
        for window in _LONG:
            self._ask(self._due, (window, csf, scope))

    def look_again(self, csf: str, scope: str) -> None:
        """Ask for all windows of a CSF and scope of which nothing new is known."""
        self.lively.add((csf, scope))
        for window in WINDOWS:
            self._ask(self._due, (window, csf, scope))

    def card(self, card: Card, *, running: bool) -> None:
        """Ask for a card; one of a running period comes before those of finished ones."""
        if running:
            waiting = self._cards[card[2]].get(card[3], {}).pop(card, None)
            self._ask(self._due, card, waiting)
            if waiting is not None:
                self._close(waiting)
        elif card not in self._due:
            self._ask(self._cards[card[2]].setdefault(card[3], {}), card)
            self._touched = True
        else:
            self._ask(self._due, card)

    def slide(self, before_s: float, now_s: float) -> None:
        """Ask for the windows whose end moved between two clock readings."""
        for window, level in SLIDE.items():
            if int(before_s) // LENGTH[level] != int(now_s) // LENGTH[level]:
                for csf, scope in self.lively:
                    self._ask(self._due, (window, csf, scope))

    # --- doing ---

    def next_urgent(self) -> Iterator[tuple[str, str]]:
        """Yield and clear (CSF, scope) whose short windows are due."""
        while self._urgent:
            entry, mark = self._urgent.popitem(last=False)
            for window in SHORT:  # they are worked out with it
                moved = self._due.pop((window, *entry), None)
                if moved is not None:
                    self._close(moved)
            self._close(mark)
            with self.because_of(mark):
                yield entry

    def next_due(self) -> Iterator[Live | Card]:
        """Yield and clear windows (three fields) and cards of running periods (four), oldest request first."""
        while self._due:
            entry, mark = self._due.popitem(last=False)
            self._close(mark)
            with self.because_of(mark):
                yield entry

    def next_cards(self, share: float) -> Iterator[Card]:
        """Yield and clear cards of finished periods: months, days, hours, each in the order of time.

        So a month is told after the one before, whose value it carries.

        Args:
            share: while finished periods still change (a history is on its way), let only about this share of
                them through (or a few), so that each is not worked out again and again.
        """
        due = self._finished()
        allowed = due if not self._touched else max(_AT_LEAST, int(due * share))
        self._touched = False
        for period in _ORDER:
            by_start = self._cards[period]
            for start in sorted(by_start):
                cards = by_start[start]
                while cards and allowed > 0:
                    allowed -= 1
                    card, mark = cards.popitem()
                    self._close(mark)
                    with self.because_of(mark):
                        yield card
                if not cards:
                    by_start.pop(start, None)
