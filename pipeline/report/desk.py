"""The desk where people enter what they decided: reads what holds, applies the rules, adds one entry.

It knows neither a clock nor where the register lies: the command line and the console bring both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date

from pipeline.catalogue.directory import Directory
from pipeline.catalogue.model import Catalogue
from pipeline.errors import EntryRefused
from pipeline.report.entering import Baseline, CommentDraft, Rules, Signature, SipChange, SipDraft
from pipeline.report.register import Entry, Sip, comment_subject, fold_sips, latest_id, stamp
from pipeline.stores.port import KpiStore
from pipeline.stores.register import Register
from pipeline.time.calendar import Calendar
from pipeline.values import KpiValue

_TRIES = 20


class Desk:
    """Enters for one person at a time; methods are synchronous.

    Args:
        register: where entries go.
        store: the KPI store, for baselines and scopes; None where there is none yet.
        catalogue: whose CSFs, KPIs and services there are.
        now_ms: epoch milliseconds now.
        new_id: makes an entry's id; new_sip: makes a SIP's id (both random).

    Raises:
        EntryRefused: a rule is broken, in a sentence.
        EntryConflict: somebody else was quicker.
        StoreUnavailable, StoreRejected: as the register or the store says.
    """

    def __init__(
        self,
        register: Register,
        store: KpiStore | None,
        catalogue: Catalogue,
        *,
        now_ms: Callable[[], int],
        new_id: Callable[[], str],
        new_sip: Callable[[], str],
    ) -> None:
        self._register, self._store, self._catalogue = register, store, catalogue
        self._now_ms, self._new_id, self._new_sip = now_ms, new_id, new_sip
        self._calendar = Calendar(catalogue.organisation.zone)

    def open(self, draft: SipDraft, who: str, via: str) -> Sip:
        """Open a SIP and return it."""
        rules = self.rules()
        kpi, scope = rules.kpi(draft.kpi), rules.scope(draft.scope)
        baseline = self.baseline(kpi.id, scope, rules.start(draft.start))
        ident, own = self._free_id()
        entry = rules.opened(draft, ident, baseline, self._signature(own, who, via))
        self._register.append(entry, after="")
        return fold_sips([entry])[ident]

    def update(self, ident: str, change: SipChange, who: str, via: str, seen: str | None = None) -> Sip:
        """Change a SIP and return it as it then stands.

        Args:
            ident: as ``sip_id`` takes it.
            change: what is to be different.
            who: whose it is.
            via: how it came.
            seen: id of the latest entry the author has seen; None: the one that is read now.
        """
        return self._changed(
            ident, seen, lambda sip, own: self.rules().updated(sip, change, self._signature(own, who, via))
        )

    def close(self, ident: str, why: str, who: str, via: str, seen: str | None = None) -> Sip:
        """Close a SIP and return it."""
        return self._changed(
            ident, seen, lambda sip, own: self.rules().closed(sip, why, self._signature(own, who, via))
        )

    def comment(self, draft: CommentDraft, who: str, via: str, seen: str | None = None) -> Entry:
        """Set or withdraw a comment and return the entry that does."""
        own = self._register.entries(subject=comment_subject(draft.month, draft.scope, draft.csf))
        entry = self.rules().commented(draft, self._signature(own, who, via))
        if draft.text is None and (not own or own[-1].kind == "comment.withdrawn"):
            raise EntryRefused(f"there is no comment on {draft.csf} of {draft.scope} in {draft.month} to withdraw")
        self._register.append(entry, after=latest_id(own, entry.subject) if seen is None else seen)
        return entry

    def baseline(self, kpi: str, scope: str, start: date) -> Baseline:
        """Return the KPI's value in the latest closed month before a day; unknown where there is none."""
        if self._store is None:
            return Baseline()
        values = self._store.periods(period="month", kpis=[kpi], scopes=[scope])
        found = latest_closed(values, min(self._calendar.start_of(start), self._now_ms() // 1000))
        return Baseline() if found is None else Baseline(found.value, self._calendar.iso(found.start)[:7])

    def rules(self) -> Rules:
        """Return the rules that hold today."""
        today = self._calendar.local(self._now_ms() / 1000).date()
        stored = tuple(self._store.scopes()) if self._store else ()
        return Rules(self._catalogue, Directory(self._catalogue, stored).scopes(), today)

    def _signature(self, own: Sequence[Entry], who: str, via: str) -> Signature:
        return Signature(who=who, via=via, at=stamp(self._now_ms(), own), id=self._new_id())

    def _free_id(self) -> tuple[str, list[Entry]]:
        for _ in range(_TRIES):
            ident = self._new_sip()
            own = self._register.entries(subject=ident)
            if not own:
                return ident, own
        raise EntryRefused("no free id was found for the SIP; try again")

    def _changed(self, ident: str, seen: str | None, make: Callable[[Sip, list[Entry]], Entry]) -> Sip:
        subject = sip_id(ident)
        own = self._register.entries(subject=subject)
        sip = fold_sips(own).get(subject)
        if sip is None:
            raise EntryRefused(f"there is no SIP {subject}; `csf sip list --all` names them")
        entry = make(sip, own)
        self._register.append(entry, after=sip.version if seen is None else seen)
        return fold_sips([*own, entry])[subject]


def latest_closed(values: Sequence[KpiValue], before: int) -> KpiValue | None:
    """Return the known value of the latest closed month that ended by a time, None where there is none.

    A value brought from elsewhere is final when its month is over: no event can still change it.
    """
    known = [v for v in values if v.end <= before and v.value is not None]
    closed = [v for v in known if v.reported or v.state in {"closed", "restated"}]
    return max(closed, key=lambda v: v.start, default=None)


def sip_id(given: str) -> str:
    """Return a SIP's id as people write it: ``k7q2f`` and ``sip-k7q2f`` are SIP-K7Q2F."""
    ident = given.strip().upper()
    return ident if re.match(r"SIP-", ident) else f"SIP-{ident}"
