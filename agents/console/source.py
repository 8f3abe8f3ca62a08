"""What viewers share: documents of the board, read at most twice a second however many look at them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from agents.console.board import Board, Facts, read_facts, read_revisions, read_services
from agents.console.history import History, live_history, period_history, ttl
from agents.console.reader import StoreReader
from agents.console.selection import Selection
from pipeline.alerts.journal import LOOK_BACK_S
from pipeline.catalogue.directory import Directory
from pipeline.catalogue.model import Catalogue
from pipeline.evaluate.exits import clock_of, totals
from pipeline.stores.common import LIVE_RETENTION_S
from pipeline.time.calendar import Calendar
from pipeline.values import AlertChange, AlertNote, Exits

Document = dict[str, Any]
T = TypeVar("T")

#: Built documents kept; what was not asked for longest goes first.
_MOST_BUILT = 128
#: How long an answer is shared, seconds.
FRESH_S = 0.5
_SCOPES_S = 5.0
_MONTHS_S = 5.0
#: The clock of the data moves every few seconds even where nothing happens; older than this, pages warn.
STALE_S = 60.0


@dataclass(frozen=True)
class Clock:
    """How fresh the data is.

    Attributes:
        at: newest arrival time worked through, local RFC 3339; None before the first event.
        age_s: seconds since then.
    """

    at: str | None
    age_s: float | None

    def fields(self) -> dict[str, Any]:
        """Return the fields that every document carries."""
        age = None if self.age_s is None else round(self.age_s, 1)
        return {"clock": self.at, "clock_age_s": age, "stale": age is None or age > STALE_S}


class Source:
    """Answers of the board.

    Args:
        reader: of the store.
        catalogue: whose CSFs, KPIs and services are shown.
        now: epoch seconds, to say how old the data is.
    """

    def __init__(self, reader: StoreReader, catalogue: Catalogue, now: Callable[[], float] = time.time) -> None:
        self.reader = reader
        self.catalogue = catalogue
        self.calendar = Calendar(catalogue.organisation.zone)
        self.board = Board(catalogue, self.calendar)
        self.now = now
        self._built: dict[Any, tuple[tuple[object, ...], Any]] = {}

    def _once(self, key: object, inputs: tuple[object, ...], build: Callable[[], T]) -> T:
        """Return what was built from the very same inputs before, or build it: many viewers cost one build."""
        held = self._built.pop(key, None)
        if held is None or len(held[0]) != len(inputs) or any(a is not b for a, b in zip(held[0], inputs, strict=True)):
            held = (inputs, build())
        self._built[key] = held
        if len(self._built) > _MOST_BUILT:
            del self._built[next(iter(self._built))]
        result: T = held[1]
        return result

    async def directory(self) -> Directory:
        """Return the scopes and services there are."""
        stored = await self.reader.shared("scopes", _SCOPES_S, lambda store: tuple(store.scopes()), patient=True)
        return Directory(self.catalogue, stored)

    async def alerts(self) -> list[AlertChange]:
        """Return the changes of alerts of the time for which live values are kept."""
        since = int(self.now() - LIVE_RETENTION_S)
        return await self.reader.shared("alerts", FRESH_S, lambda store: store.alerts(at_from=since))

    async def alert_notes(self) -> list[AlertNote]:
        """Return what people and channels did about alerts, as far back as a silence that runs may have begun."""
        since = int(self.now() - LOOK_BACK_S)
        return await self.reader.shared("notes", FRESH_S, lambda store: store.alert_notes(at_from=since))

    async def exits(self) -> list[Exits]:
        """Return the exits of all partitions."""
        return await self.reader.shared("exits", FRESH_S, lambda store: store.exits())

    async def clock(self) -> Clock:
        """Return how fresh the data is."""
        at = clock_of(await self.exits())
        if at is None:
            return Clock(None, None)
        return Clock(self.calendar.iso(int(at)), max(0.0, self.now() - at))

    async def data_now(self) -> float:
        """Return the time the data has come to; this machine's time before the first event."""
        at = clock_of(await self.exits())
        return self.now() if at is None else at

    async def totals(self) -> dict[str, Any]:
        """Return the exits of all partitions together."""
        return totals(await self.exits())

    async def months(self) -> list[str]:
        """Return the months that have statuses, newest first, as ``2026-10``."""
        found = await self.reader.shared(
            "months", _MONTHS_S, lambda store: sorted({s.start for s in store.statuses(period="month", scopes=["org"])})
        )
        return [self.calendar.iso(start)[:7] for start in reversed(found)]

    async def _facts(self, selection: Selection) -> Facts:
        return await self.reader.shared(("facts", selection), FRESH_S, lambda store: read_facts(store, selection))

    async def _months_until(self, scope: str, start: int) -> History:
        question = period_history(scope, "month", start, self.calendar)
        return await self.reader.shared(("months", scope, start), ttl("month"), question, patient=True)

    async def _history(self, selection: Selection, facts: Facts, kpis: list[str]) -> History:
        """Return the series behind the sparklines of a selection."""
        if facts.start is None or facts.end is None:
            return History({}, {})
        if selection.live:
            question = live_history(selection, kpis, facts.end)
            return await self.reader.shared(
                ("live", selection, tuple(kpis)), ttl(selection.period), question, patient=True
            )
        if selection.period == "month":
            return await self._months_until(selection.scope, facts.start)
        question = period_history(selection.scope, selection.period, facts.start, self.calendar)
        key = ("days", selection.scope, facts.start)
        return await self.reader.shared(key, ttl(selection.period), question, patient=True)

    def _span(self, selection: Selection, facts: Facts) -> dict[str, Any]:
        """Return what the selection came to."""
        iso = self.calendar.iso
        return {
            "scope": selection.scope,
            "period": selection.period,
            "start": iso(facts.start) if facts.start is not None else None,
            "end": iso(facts.end) if facts.end is not None else None,
        }

    async def overview(self, selection: Selection) -> tuple[Document, list[msgspec.Raw]]:
        """Return what a selection came to, without the clock, and its tiles as JSON in the catalogue's order."""
        directory, facts = await self.directory(), await self._facts(selection)
        history = await self._history(selection, facts, self.board.all_main(selection.period))

        def build() -> list[msgspec.Raw]:
            tiles = self.board.tiles(selection, facts, history, directory)
            return [msgspec.Raw(msgspec.json.encode(tile)) for tile in tiles]

        raw = self._once(selection, (facts, history, directory.stored), build)
        return {**self._span(selection, facts), "scope_name": directory.name(selection.scope)}, raw

    async def page(self, csf: str, selection: Selection) -> Document:
        """Return one CSF with all its KPIs and services, without the clock."""
        directory, facts = await self.directory(), await self._facts(selection)
        kpis = self.board.kpi_ids(csf)
        history = await self._history(selection, facts, kpis)
        services = await self.reader.shared(
            ("services", csf, selection, facts.start),
            FRESH_S,
            lambda store: read_services(store, selection, facts.start, kpis, directory.services(selection.scope)),
            patient=True,
        )
        revisions = await self.reader.shared(
            ("revisions", csf, selection, facts.start),
            FRESH_S,
            lambda store: read_revisions(store, selection, facts.start, set(kpis)),
            patient=True,
        )
        months = await self._page_months(selection, facts)

        def build() -> msgspec.Raw:
            found = self.catalogue.csfs[csf]
            page = self.board.page(found, selection, facts, history, months, services, revisions, directory)
            return msgspec.Raw(msgspec.json.encode(page))

        inputs = (facts, history, months, services, revisions, directory.stored)
        raw = self._once((csf, selection), inputs, build)
        return {**self._span(selection, facts), "scope_name": directory.name(selection.scope), "csf": raw}

    async def _page_months(self, selection: Selection, facts: Facts) -> History:
        """Return the 13 months that end with the one the selection lies in."""
        if facts.end is None:
            return History({}, {})
        last = facts.start if facts.start is not None and not selection.live else facts.end - 1
        return await self._months_until(selection.scope, self.calendar.month_start(last))
