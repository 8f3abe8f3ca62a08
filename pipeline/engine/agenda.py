"""The agenda: which values are to be worked out again, the most urgent first.

A *card* is everything one CSF says of one scope over one period; a *live* entry is the same for a window.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.time.panes import LENGTH, SLIDE
from pipeline.values import WINDOWS

Card = tuple[str, str, str, int]  # (CSF, scope, period, start)
_ORDER = ("month", "day", "hour")
#: Cards of finished periods that are let through however much changes: late events of a living system are few.
_AT_LEAST = 64


class Agenda:
    """Dirty cards and live entries of one rollup partition."""

    def __init__(self) -> None:
        self._live: dict[str, set[tuple[str, str]]] = {w: set() for w in WINDOWS}
        self._running: set[Card] = set()
        #: cards of finished periods, by period and start
        self._cards: dict[str, dict[int, set[Card]]] = {p: {} for p in _ORDER}
        self._touched = False
        #: (CSF, scope) that have facts recent enough for windows
        self.lively: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        return sum(map(len, self._live.values())) + len(self._running) + self._finished()

    def _finished(self) -> int:
        return sum(len(cards) for by_start in self._cards.values() for cards in by_start.values())

    def live(self, csf: str, scope: str) -> None:
        """Ask for all windows of a CSF and scope."""
        self.lively.add((csf, scope))
        for entries in self._live.values():
            entries.add((csf, scope))

    def card(self, card: Card, *, running: bool) -> None:
        """Ask for a card; one of a running period is urgent."""
        if running:
            self._running.add(card)
            self._cards[card[2]].get(card[3], set()).discard(card)
        elif card not in self._running:
            self._cards[card[2]].setdefault(card[3], set()).add(card)
            self._touched = True

    def slide(self, before_s: float, now_s: float) -> None:
        """Ask for the windows whose end moved between two clock readings."""
        for window, level in SLIDE.items():
            if int(before_s) // LENGTH[level] != int(now_s) // LENGTH[level]:
                self._live[window] |= self.lively

    def next_live(self) -> Iterator[tuple[str, str, str]]:
        """Yield and clear what live entries are due: (window, CSF, scope)."""
        for window, entries in self._live.items():
            while entries:
                yield (window, *entries.pop())

    def next_cards(self, share: float) -> Iterator[Card]:
        """Yield and clear due cards: running periods, then months, days, hours, each in the order of time.

        So a month is told after the one before, whose value it carries.

        Args:
            share: while finished periods still change (a history is on its way), let only about this share of
                them through (or a few), so that each is not worked out again and again.
        """
        while self._running:
            yield self._running.pop()
        due = self._finished()
        allowed = due if not self._touched else max(_AT_LEAST, int(due * share))
        self._touched = False
        for period in _ORDER:
            by_start = self._cards[period]
            for start in sorted(by_start):
                cards = by_start[start]
                while cards and allowed > 0:
                    allowed -= 1
                    yield cards.pop()
                if not cards:
                    by_start.pop(start, None)
