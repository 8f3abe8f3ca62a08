"""Merged states by scope: a service's pane from its sources, a team's from its services, the organisation's from its teams.

What was merged is kept, and brought up to date by what changed since: of a team of which a few services changed, their old
states are taken out and their new ones put in. States are integers and sets, so that gives to the bit what merging everything
again would; where an aggregator cannot tell (``Aggregator.replace``), or much changed, everything is merged again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from pipeline.aggregate.base import State
from pipeline.engine.bases import Base
from pipeline.engine.cellstore import CellStore
from pipeline.engine.teams import Teams
from pipeline.time.panes import DAY, Pane

#: (source partition, position, packed state)
Entry = tuple[str, int, bytes]
#: (base key, scope, level, start)
_Key = tuple[str, str, int, int]

_decode = msgspec.msgpack.Decoder().decode
#: States kept of services, and of teams and the organisation.
_KEPT = 20_000
#: Merged spans kept a base and scope: the windows, their first and last days, and the running periods.
_SPANS = 32
ORG = "org"


@dataclass(slots=True)
class _Was:
    """A service's state as a team's was merged with it: unpacked, or as its sources had said it."""

    state: State | None = None
    entries: Sequence[Entry] = ()


@dataclass(slots=True)
class _Whole:
    """The merged state of a team or the organisation in a pane, which nothing else holds.

    Attributes:
        state: as of the last time it was read.
        changed: the services that changed since, and what they were.
    """

    state: State | None
    changed: dict[str, _Was] = field(default_factory=dict)


class Merging:
    """Merged states of one partition's facts, by base, scope and pane or span.

    Args:
        cells: what sources said, by service and pane.
        teams: the services of each scope.
    """

    def __init__(self, cells: CellStore[list[Entry]], teams: Teams) -> None:
        self._cells = cells
        self._teams = teams
        self._services: dict[_Key, State | None] = {}
        self._wholes: dict[_Key, _Whole] = {}
        self._spans: dict[tuple[str, str], dict[tuple[int, int], tuple[frozenset[Pane], Pane, State | None]]] = {}
        #: pane → services → bases whose state there changed since anything was read, and what it was
        self._noted: dict[Pane, dict[str, dict[str, Sequence[Entry]]]] = {}

    # --- what changed ---

    def noted(self, service: str, pane: Pane) -> dict[str, Sequence[Entry]]:
        """Return what is noted of a service's states: by base, what sources had said before it first changed.

        Whoever is about to change a state notes it, unless that is noted already. Holds until the next reading.
        """
        services = self._noted.get(pane)
        if services is None:
            services = self._noted[pane] = {}
        noted = services.get(service)
        if noted is None:
            noted = services[service] = {}
        return noted

    def drop(self, base_key: str, service: str, pane: Pane) -> None:
        """Forget all that was merged with a service's state, which is gone or set to another for a while."""
        self._look()
        for scope in (f"service:{service}", f"team:{self._teams.team(service)}", ORG):
            self._services.pop((base_key, scope, *pane), None)
            self._wholes.pop((base_key, scope, *pane), None)
            self._outdate(base_key, scope, pane)

    def _look(self) -> None:
        """Pass on what was noted: to what was merged of these services, of their teams and of the organisation."""
        if not self._noted:
            return
        noted, self._noted = self._noted, {}
        for pane, services in noted.items():
            #: base → team → service → what it was
            above: dict[str, dict[str, dict[str, _Was]]] = {}
            for service, bases in services.items():
                scope, team = f"service:{service}", f"team:{self._teams.team(service)}"
                for base_key, entries in bases.items():
                    key = (base_key, scope, *pane)
                    was = _Was(self._services.pop(key)) if key in self._services else _Was(entries=entries)
                    self._outdate(base_key, scope, pane)
                    above.setdefault(base_key, {}).setdefault(team, {})[service] = was
            for base_key, teams in above.items():
                for team, changed in teams.items():
                    self._above(base_key, team, pane, changed, most=len(self._teams.services(team)) // 2)
                everything = {service: was for changed in teams.values() for service, was in changed.items()}
                self._above(base_key, ORG, pane, everything, most=len(self._teams))

    def _above(self, base_key: str, scope: str, pane: Pane, changed: dict[str, _Was], *, most: int) -> None:
        """Note of a team or the organisation which services changed; of more than ``most`` it is merged anew."""
        self._outdate(base_key, scope, pane)
        key = (base_key, scope, *pane)
        whole = self._wholes.get(key)
        if whole is not None:
            whole.changed = changed | whole.changed  # what they were when it was merged
            if len(whole.changed) > most:
                del self._wholes[key]

    def _outdate(self, base_key: str, scope: str, pane: Pane) -> None:
        """Forget the spans whose kept part a pane belongs to."""
        spans = self._spans.get((base_key, scope))
        if spans:
            for span in [k for k, (panes, last, _) in spans.items() if pane != last and pane in panes]:
                del spans[span]

    # --- reading ---

    def _said(self, base: Base, service: str, pane: Pane) -> Sequence[Entry]:
        """Return what sources said of a service in a pane."""
        return self._cells.item((*pane, service), base.key) or ()

    def at(self, base: Base, scope: str, pane: Pane) -> State | None:
        """Return the merged state of a scope in one pane; it holds until the next reading, and is not to be changed."""
        self._look()
        return self._of_service(base, scope[8:], pane) if scope.startswith("service:") else self._of(base, scope, pane)

    def _of_service(
        self, base: Base, service: str, pane: Pane, entries: Sequence[Entry] | None = None
    ) -> State | None:  # fmt: skip
        """Return the state of a service, of what its sources said where that was looked up already."""
        key = (base.key, f"service:{service}", *pane)
        if key in self._services:
            return self._services[key]
        said = self._said(base, service, pane) if entries is None else entries
        state = self._services[key] = merged(base, said)
        _keep_newest(self._services)
        return state

    def _of(self, base: Base, scope: str, pane: Pane) -> State | None:
        """Return the state of a team or the organisation."""
        key = (base.key, scope, *pane)
        whole = self._wholes.get(key)
        if whole is None or not self._brought_up(base, whole, pane):
            whole = self._wholes[key] = _Whole(self._anew(base, scope, pane))
            _keep_newest(self._wholes)
        return whole.state

    def _anew(self, base: Base, scope: str, pane: Pane) -> State | None:
        """Merge the services of a team, or the teams of the organisation."""
        absorb = base.aggregator.absorb
        state: State | None = None
        if scope == ORG:
            parts: Iterable[State | None] = (self._of(base, f"team:{t}", pane) for t in self._teams)
        else:
            said = ((s, self._said(base, s, pane)) for s in self._teams.services(scope))
            parts = (self._of_service(base, s, pane, entries) for s, entries in said if entries)
        for part in parts:
            if part is not None:
                state = absorb(state, part)
        return state

    def _brought_up(self, base: Base, whole: _Whole, pane: Pane) -> bool:
        """Replace what changed in a state; return whether that could be done."""
        aggregator = base.aggregator
        changed, whole.changed = whole.changed, {}
        for service, was in changed.items():
            old = merged(base, was.entries) if was.state is None else was.state
            new = self._of_service(base, service, pane)
            if new is None:
                return False
            if old is None:
                whole.state = aggregator.absorb(whole.state, new)
            else:
                whole.state = aggregator.replace(whole.state, old, new)
                if whole.state is None:
                    return False
        return True

    def span(self, base: Base, scope: str, panes: list[Pane], *, keep: bool = True) -> State | None:
        """Return the merged state of a scope over panes; see ``at``.

        Args:
            base: whose state.
            scope: of whom.
            panes: that together make up the span, oldest first.
            keep: keep all but the newest pane merged for the next time: worth it while time runs on.
        """
        if len(panes) == 1:
            return self.at(base, scope, panes[0])
        if not panes:
            return None
        self._look()
        cached = self._spans.setdefault((base.key, scope), {})
        key = (panes[0][1], len(panes)) if panes[0][0] == DAY else (panes[0][1] * 4 + panes[0][0], len(panes))
        known = cached.get(key)
        if known is not None and known[1] == panes[-1]:
            stable = known[2]
        else:
            absorb = base.aggregator.absorb
            stable = None
            for pane in panes[:-1]:
                part = self.at(base, scope, pane)
                if part is not None:
                    stable = absorb(stable, part)
            if len(cached) > _SPANS:
                cached.clear()
            if keep:
                cached[key] = (_pane_set(tuple(panes)), panes[-1], stable)
        return base.aggregator.merge(stable, self.at(base, scope, panes[-1]))


@lru_cache(maxsize=1_024)
def _pane_set(panes: tuple[Pane, ...]) -> frozenset[Pane]:
    """Return panes as a set that all bases and scopes share: 15 of 20 MB of what is kept merged for 50 services."""
    return frozenset(panes)


def merged(base: Base, entries: Sequence[Entry]) -> State | None:
    """Return what sources said of a service, merged."""
    aggregator = base.aggregator
    state: State | None = None
    for _, _, raw in entries:
        state = aggregator.merge(state, aggregator.unpack(_decode(raw)))
    return state


def _keep_newest(kept: dict[Any, Any]) -> None:
    """Forget the older half of what is kept once it is too much."""
    if len(kept) > _KEPT:
        for key in list(islice(kept, _KEPT // 2)):
            del kept[key]
