"""The register from the event loop: one thread, in which entries are made and programmes are judged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from pipeline.catalogue.model import Catalogue
from pipeline.evaluate.exits import clock_of
from pipeline.report.desk import Desk
from pipeline.report.model import SipReport
from pipeline.report.programmes import read_months, sip_reports
from pipeline.report.register import Sip
from pipeline.stores.port import KpiStore
from pipeline.stores.register import Register
from pipeline.stores.register_common import new_entry_id, new_sip_id, now_ms
from pipeline.time.calendar import Calendar

T = TypeVar("T")


@dataclass(frozen=True)
class Office:
    """What a question to the register may use, inside its thread."""

    catalogue: Catalogue
    calendar: Calendar
    register: Register
    store: KpiStore

    @property
    def desk(self) -> Desk:
        """Where entries are made."""
        return Desk(self.register, self.store, self.catalogue, now_ms=now_ms, new_id=new_entry_id, new_sip=new_sip_id)

    @property
    def today(self) -> date:
        """The local date."""
        return self.calendar.local(now_ms() / 1000).date()

    def local(self, at_ms: int) -> str:
        """Return an entry's time as local RFC 3339."""
        return self.calendar.iso(at_ms // 1000)

    def reported(self, sips: Sequence[Sip]) -> list[SipReport]:
        """Return programmes with how their KPIs have moved up to now."""
        clock = clock_of(self.store.exits()) or now_ms() / 1000
        months = read_months(self.store, sips, self.catalogue, self.today.isoformat()[:7], clock)
        return sip_reports(sips, months, self.catalogue, self.today)


class OfficeThread:
    """Opens register and store at the first question and answers one question after the other.

    Args:
        register_factory, store_factory: open them; called in the thread.
        catalogue: whose KPIs are improved.
    """

    def __init__(
        self, register_factory: Callable[[], Register], store_factory: Callable[[], KpiStore], catalogue: Catalogue
    ) -> None:
        self._register_factory, self._store_factory = register_factory, store_factory
        self._catalogue = catalogue
        self._office: Office | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="register")

    async def ask(self, question: Callable[[Office], T]) -> T:
        """Return what ``question`` finds or does.

        A viewer that leaves does not end it: what was begun is entered.

        Raises:
            EntryRefused, EntryConflict: as the desk says.
            StoreUnavailable, StoreRejected: as the register or the store says.
        """
        running = asyncio.get_running_loop().run_in_executor(self._thread, lambda: question(self._open()))
        return await asyncio.shield(running)

    def _open(self) -> Office:
        if self._office is None:
            register = self._register_factory()
            try:
                store = self._store_factory()
            except BaseException:
                register.close()
                raise
            calendar = Calendar(self._catalogue.organisation.zone)
            self._office = Office(self._catalogue, calendar, register, store)
        return self._office

    async def close(self) -> None:
        """Wait for what runs, then close register and store."""
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)
        if self._office is not None:
            await asyncio.to_thread(self._office.register.close)
            await asyncio.to_thread(self._office.store.close)
