"""The board: eight CSF tiles of a scope and time, and the page of one CSF, read from the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agents.console.describe import definition, kpi_entry
from agents.console.history import History, line, previous_start
from agents.console.selection import Selection
from pipeline.catalogue.directory import Directory
from pipeline.catalogue.model import Catalogue, Csf, Kpi
from pipeline.evaluate.words import is_offered
from pipeline.stores.port import KpiStore
from pipeline.time.calendar import Calendar
from pipeline.values import WINDOWS, CsfStatus, KpiRevision, KpiValue

#: KPIs on a tile.
_MAIN = 4
_RANK = {"concern": 0, "at_risk": 1, "unknown": 2, "aligned": 3}
_KPI_RANK = {"red": 0, "amber": 1, "unknown": 2, "on_target": 3}


@dataclass(frozen=True)
class Facts:
    """What the store says of a selection: values of the scope, CSF statuses of all scopes.

    Attributes:
        start, end: of the period or newest window; None where the store has nothing yet.
    """

    values: dict[str, KpiValue]
    statuses: dict[tuple[str, str], CsfStatus]
    start: int | None
    end: int | None


def _current(ends: Iterable[int], window: str) -> int:
    """Return the end a value must exceed to say something about now: older windows do not touch the newest."""
    return max(ends, default=0) - WINDOWS[window]


def newest_start(store: KpiStore, selection: Selection) -> int | None:
    """Return the start of the newest month or day that has statuses: of the scope, else of the organisation."""
    for scope in dict.fromkeys((selection.scope, "org")):
        found = store.statuses(period=selection.period, scopes=[scope], latest=True)
        if found:
            return max(s.start for s in found)
    values = store.periods(period=selection.period, scopes=[selection.scope])
    return max((v.start for v in values), default=None)


def read_facts(store: KpiStore, selection: Selection) -> Facts:
    """Read values and statuses of a selection."""
    if selection.live:
        statuses = store.statuses(period=selection.period, latest=True)
        values = store.live(window=selection.period, scopes=[selection.scope])
        oldest = _current([*(s.end for s in statuses), *(v.end for v in values)], selection.period)
        statuses = [s for s in statuses if s.end > oldest]
        values = [v for v in values if v.end > oldest]
        start = max((v.start for v in values), default=max((s.start for s in statuses), default=None))
        end = start + WINDOWS[selection.period] if start is not None else None
    else:
        start = selection.start if selection.start is not None else newest_start(store, selection)
        if start is None:
            return Facts({}, {}, None, None)
        statuses = store.statuses(period=selection.period, start_from=start, start_to=start)
        values = store.periods(period=selection.period, scopes=[selection.scope], start_from=start, start_to=start)
        end = max((v.end for v in values), default=max((s.end for s in statuses), default=None))
    return Facts({v.kpi: v for v in values}, {(s.csf, s.scope): s for s in statuses}, start, end)


def read_services(
    store: KpiStore, selection: Selection, start: int | None, kpis: Sequence[str], scopes: Sequence[str]
) -> dict[str, dict[str, KpiValue]]:
    """Read values of some KPIs of services: scope → KPI → value."""
    if selection.live:
        values = store.live(window=selection.period, kpis=list(kpis))
        oldest = _current((v.end for v in values), selection.period)
        values = [v for v in values if v.end > oldest]
    elif start is None:
        values = []
    else:
        values = store.periods(period=selection.period, kpis=list(kpis), start_from=start, start_to=start)
    wanted = set(scopes)
    found: dict[str, dict[str, KpiValue]] = {}
    for v in values:
        if v.scope in wanted:
            found.setdefault(v.scope, {})[v.kpi] = v
    return found


def read_revisions(store: KpiStore, selection: Selection, start: int | None, kpis: set[str]) -> list[KpiRevision]:
    """Read superseded values of a closed period of the scope."""
    if selection.live or start is None:
        return []
    found = store.revisions(period=selection.period, start=start)
    return [r for r in found if r.scope == selection.scope and r.kpi in kpis]


class Board:
    """Builds what pages show from what was read; reads nothing itself."""

    def __init__(self, catalogue: Catalogue, calendar: Calendar) -> None:
        self._catalogue = catalogue
        self._calendar = calendar
        self._kpis = {c: [k for k in catalogue.kpis.values() if k.csf == c] for c in catalogue.csfs}

    def main_kpis(self, csf: str, period: str) -> list[Kpi]:
        """Return the KPIs of a tile: the heaviest that the period offers, in the catalogue's order."""
        offered = [k for k in self._kpis[csf] if is_offered(k, period) and k.weight > 0]
        heaviest = sorted(offered, key=lambda k: -k.weight)[:_MAIN]
        return [k for k in offered if k in heaviest]

    def all_main(self, period: str) -> list[str]:
        """Return the ids of all tiles' KPIs."""
        return [k.id for csf in self._catalogue.csfs for k in self.main_kpis(csf, period)]

    def kpi_ids(self, csf: str) -> list[str]:
        """Return the ids of a CSF's KPIs."""
        return [k.id for k in self._kpis[csf]]

    def _before(self, kpi: str, selection: Selection, facts: Facts, history: History) -> float | None:
        """Return the value of the period before; of live values there is none."""
        value = facts.values.get(kpi)
        if selection.live or facts.start is None:
            return None
        if value is not None and value.previous is not None:
            return value.previous
        at = previous_start(selection.period, facts.start, self._calendar)
        return next((v.value for v in history.values.get(kpi, ()) if v.start == at), None)

    def _kpi_line(self, kpi: str, selection: Selection, facts: Facts, history: History) -> list[list[float | None]]:
        """Return a KPI's sparkline: its history, and the newest value."""
        held = {(v.end if selection.live else v.start): v.value for v in history.values.get(kpi, ())}
        now = facts.values.get(kpi)
        if now is not None:
            held[now.end if selection.live else now.start] = now.value
        return line(sorted(held.items()), selection, facts.start, self._calendar)

    def _score_line(self, csf: str, selection: Selection, facts: Facts, history: History) -> list[list[float | None]]:
        held = {(s.end if selection.live else s.start): s.score for s in history.statuses.get(csf, ())}
        now = facts.statuses.get((csf, selection.scope))
        if now is not None:
            held[now.end if selection.live else now.start] = now.score
        return line(sorted(held.items()), selection, facts.start, self._calendar)

    def _entry(self, kpi: Kpi, selection: Selection, facts: Facts, history: History) -> dict[str, Any]:
        value = facts.values.get(kpi.id)
        entry = kpi_entry(kpi, selection.period, value, self._before(kpi.id, selection, facts, history))
        entry["sparkline"] = self._kpi_line(kpi.id, selection, facts, history)
        return entry

    def _coverage(self, csf: str, facts: Facts) -> float | None:
        """Return the mean coverage of the KPIs that count, over those whose coverage is known."""
        found = [facts.values[k.id].coverage for k in self._kpis[csf] if k.weight > 0 and k.id in facts.values]
        known = [c for c in found if c is not None]
        return sum(known) / len(known) if known else None

    def _worst(self, csf: str, selection: Selection, facts: Facts, directory: Directory) -> dict[str, Any] | None:
        """Return the service with the lowest score, where there is more than one to compare."""
        inside = [(s, facts.statuses.get((csf, s))) for s in directory.services(selection.scope)]
        known = [(s.score, scope, s) for scope, s in inside if s is not None and s.score is not None]
        if not known:
            return None
        score, scope, status = min(known, key=lambda found: (found[0], found[1]))
        name = directory.name(scope)
        return {"id": scope.partition(":")[2], "scope": scope, "name": name, "status": status.status, "score": score}

    def tile(
        self, csf: Csf, selection: Selection, facts: Facts, history: History, directory: Directory
    ) -> dict[str, Any]:
        """Return one CSF as the overview shows it."""
        status = facts.statuses.get((csf.id, selection.scope))
        main = [self._entry(k, selection, facts, history) for k in self.main_kpis(csf.id, selection.period)]
        counts = dict.fromkeys(_KPI_RANK, 0)
        for kpi in self._kpis[csf.id]:
            if kpi.weight > 0 and is_offered(kpi, selection.period):
                held = facts.values.get(kpi.id)
                counts[held.status if held else "unknown"] += 1
        return {
            "id": csf.id,
            "name": csf.name,
            "statement": csf.statement,
            "status": status.status if status else "unknown",
            "score": status.score if status else None,
            "reason": self._status_reason(status),
            "worst_service": self._worst(csf.id, selection, facts, directory),
            "coverage": self._coverage(csf.id, facts),
            "kpi_counts": counts,
            "sparkline": self._score_line(csf.id, selection, facts, history),
            "kpis": main,
        }

    @staticmethod
    def _status_reason(status: CsfStatus | None) -> str:
        if status is None:
            return "no source"
        if status.status != "unknown":
            return ""
        if status.total_weight <= 0:
            return "none of its KPIs is measured over so short a time"
        if status.known_weight <= 0:
            return "none of its KPIs is known"
        return f"known KPIs carry {status.known_weight:g} of {status.total_weight:g} weight; half is needed"

    def tiles(self, selection: Selection, facts: Facts, history: History, directory: Directory) -> list[dict[str, Any]]:
        """Return all CSFs in the catalogue's order."""
        return [self.tile(c, selection, facts, history, directory) for c in self._catalogue.csfs.values()]

    def trend(self, kpi: str, months: History) -> list[dict[str, Any]]:
        """Return a KPI's months, oldest first, with the target that held in each."""
        return [
            {
                "start": self._calendar.iso(v.start),
                "value": v.value,
                "target": v.target,
                "status": v.status,
                "state": v.state,
                "revision": v.revision,
            }
            for v in months.values.get(kpi, ())
        ]

    def service_rows(
        self,
        csf: str,
        selection: Selection,
        facts: Facts,
        values: dict[str, dict[str, KpiValue]],
        directory: Directory,
    ) -> list[dict[str, Any]]:
        """Return the services of a scope, worst first: by score, those without one by their KPIs' statuses, last."""
        described = {s["scope"]: s for s in directory.described_services()}
        rows = []
        for scope in directory.services(selection.scope):
            status = facts.statuses.get((csf, scope))
            held = values.get(scope, {})
            rows.append(
                {
                    **{key: described[scope][key] for key in ("id", "scope", "name", "team", "tier")},
                    "status": status.status if status else "unknown",
                    "score": status.score if status else None,
                    "kpis": {
                        k.id: {
                            "value": held[k.id].value if k.id in held else None,
                            "status": held[k.id].status if k.id in held else "unknown",
                            "target": held[k.id].target if k.id in held else None,
                            "reason": kpi_entry(k, selection.period, held.get(k.id), None)["reason"],
                        }
                        for k in self._kpis[csf]
                        if k.weight > 0 and is_offered(k, selection.period)
                    },
                }
            )
        return sorted(rows, key=_by_badness)

    def page(
        self,
        csf: Csf,
        selection: Selection,
        facts: Facts,
        history: History,
        months: History,
        services: dict[str, dict[str, KpiValue]],
        revisions: list[KpiRevision],
        directory: Directory,
    ) -> dict[str, Any]:
        """Return one CSF with everything its page shows."""
        found = self.tile(csf, selection, facts, history, directory)
        kpis = []
        for kpi in self._kpis[csf.id]:
            entry = self._entry(kpi, selection, facts, history)
            entry["trend"] = self.trend(kpi.id, months)
            entry["definition"] = definition(kpi, self._catalogue)
            entry["revisions"] = [
                {"revision": r.revision, "value": r.value, "reason": r.reason} for r in revisions if r.kpi == kpi.id
            ]
            kpis.append(entry)
        found["description"] = csf.description
        found["kpis"] = kpis
        found["trend"] = [
            {"start": self._calendar.iso(s.start), "score": s.score, "status": s.status}
            for s in months.statuses.get(csf.id, ())
        ]
        found["services"] = self.service_rows(csf.id, selection, facts, services, directory)
        return found


def _by_badness(row: dict[str, Any]) -> tuple[Any, ...]:
    score = row["score"]
    kpis = [_KPI_RANK[k["status"]] for k in row["kpis"].values()]
    return (score is None, score if score is not None else 0.0, _RANK[row["status"]], sorted(kpis), row["name"])
