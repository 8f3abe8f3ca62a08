"""Definitions that change: what state was folded by, and since when a new definition is folded wholly.

A base that the catalogue asks for only now has no facts of the past. Ingest keeps since when each of its bases is
folded, and tells rollup of new ones; rollup keeps the version and digest of every KPI, refuses a definition that
changed without its version, and says nothing of periods before a new one's facts begin. ``csf replay`` makes it whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec

from pipeline.catalogue.model import Kpi, Stock
from pipeline.engine.bases import Base
from pipeline.engine.measures import Span
from pipeline.engine.plan import SESSION, SESSION_SOURCES, Plan
from pipeline.errors import DefinitionChanged
from pipeline.events.families import TYPES, event_topic
from pipeline.values import KpiValue

BASES_KEY = b"bases"
DEFS_KEY = b"defs"


def digest(kpi: Kpi) -> str:
    """Return a short digest of how a KPI is computed: its measure, without fields that have their default."""
    measure = kpi.measure
    said = {
        f.name: getattr(measure, f.name)
        for f in msgspec.structs.fields(measure)
        if f.required or getattr(measure, f.name) != f.default
    }
    text = msgspec.json.encode([measure.__struct_config__.tag, sorted(said.items())])
    return blake2b(text, digest_size=8).hexdigest()


def topics_of(base: Base) -> frozenset[str]:
    """Return the topics whose events a base folds."""
    types = {t for e in base.spec.events for t in (SESSION_SOURCES if e == SESSION else (e,))}
    return frozenset(event_topic(TYPES[t][0]) for t in types)


class HeldBases:
    """Since when each base of one source partition is folded (0: from its first event), and for which CSFs."""

    def __init__(self, plan: Plan, topic: str) -> None:
        self._held = {b.key: (0, sorted(b.shards)) for b in plan.bases.values() if topic in topics_of(b)}
        self._dirty = True

    def restore(self, value: bytes, clock_ms: int, *, facts: bool) -> tuple[set[str], set[str]]:
        """Take what was held, and take up what is new.

        Args:
            value: the recovered chunk.
            clock_ms: the partition's clock: from here on new bases are folded.
            facts: whether the partition has had events that a new base missed.

        Returns:
            keys of the bases that are new, and of those that are old but read by a CSF they were not told to.
        """
        before = msgspec.msgpack.decode(value, type=dict[str, tuple[int, list[str]]] | None)
        if before is None:
            return set(), set()
        fresh = self._held.keys() - before.keys()
        shared = {k for k in self._held.keys() & before.keys() if not set(self._held[k][1]) <= set(before[k][1])}
        for key, (_, shards) in self._held.items():
            since = before[key][0] if key in before else clock_ms if facts else 0
            self._held[key] = (since, shards)
        self._dirty = before != self._held
        return fresh, shared

    def since(self, keys: Iterable[str], csf: str) -> dict[str, int]:
        """Return since when (ms) bases that a CSF reads are folded."""
        return {k: self._held[k][0] for k in sorted(keys) if csf in self._held[k][1]}

    def chunks(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the chunk if it changed since the last call."""
        if self._dirty:
            self._dirty = False
            yield BASES_KEY, msgspec.msgpack.encode(self._held)


class Definitions:
    """What one rollup partition's state was made by."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        organisation = plan.catalogue.organisation
        self._settings = [organisation.zone, organisation.session_gap_minutes]
        #: KPI → version and digest, also of those that left the catalogue
        self._known = {k.id: (k.version, digest(k)) for k in plan.catalogue.kpis.values()}
        #: base key → source partition → since when it is folded, epoch seconds: of bases that came later
        self._said: dict[str, dict[str, int]] = {}
        #: base key → since when at the earliest, while partitions have yet to say
        self._awaited: dict[str, int] = {}
        self._width = 0
        self._of_kpi: dict[str, int] = {}
        self._dirty = True

    def restore(self, value: bytes, now: float, sources: Callable[[], Iterable[str]]) -> None:
        """Take what the state was made by.

        Args:
            value: the recovered chunk.
            now: the clock: what is new counts from here until ingest has said since when it folds it.
            sources: tells the names of the source partitions that have facts.

        Raises:
            DefinitionChanged: a KPI is not the one of that version, or the calendar is another.
        """
        recovered = msgspec.msgpack.decode(value)
        if recovered is None:
            return
        made_by, known, bases, said, awaited = recovered
        self._check(made_by, known)
        self._known = {k: (version, text) for k, (version, text) in known.items()} | self._known
        asked = self._plan.bases.keys()
        # of a base that left nothing said holds; one that an older worker heard of is yet to come
        self._said = {k: s for k, s in said.items() if k in asked or k not in bases}
        self._awaited = {k: since for k, since in awaited.items() if k in asked}
        self._awaited |= dict.fromkeys(asked - set(bases), int(now))
        if self._awaited:
            self._width = max((int(s.rpartition("|")[2]) + 1 for s in sources()), default=0)
            self._settle()

    def _check(self, made_by: list[Any], known: dict[str, list[Any]]) -> None:
        if made_by != self._settings:
            raise DefinitionChanged(
                f"organisation.yaml: zone and session gap are {self._settings}, the state was made by {made_by}: "
                "put them back, or make everything anew with csf replay"
            )
        for kpi, (version, text) in self._known.items():
            was, before = known.get(kpi, (version, text))
            if version < was or (version == was and text != before):
                raise DefinitionChanged(
                    f"KPI '{kpi}' is defined in another way than its values of version {was} were made by, and its "
                    f"version is {version}: raise it to {was + 1} and run csf replay, or put the definition back"
                )

    def hear(self, source: str, since_ms: dict[str, int]) -> bool:
        """Take since when a source partition folds bases; return whether that changes what is known of a KPI."""
        self._width = max(self._width, int(source.rpartition("|")[2]) + 1)
        news = False
        for key, ms in since_ms.items():
            said, seconds = self._said.setdefault(key, {}), -(-ms // 1000)
            if said.get(source) != seconds:
                said[source] = seconds
                self._dirty = True
                news |= key in self._plan.bases
        self._settle()
        return news

    def _settle(self) -> None:
        """Await no longer those bases of which every partition has spoken."""
        for key in list(self._awaited):
            if 0 < self._width * len(topics_of(self._plan.bases[key])) <= len(self._said.get(key, ())):
                del self._awaited[key]
                self._dirty = True
        self._of_kpi.clear()

    def since(self, kpi: str) -> int:
        """Return since when everything a KPI reads is folded, epoch seconds; 0: always."""
        if not self._said and not self._awaited:
            return 0
        known = self._of_kpi.get(kpi)
        if known is None:
            keys = {b.key for b in self._plan.roles[kpi].values()}
            told = [s for k in keys for s in self._said.get(k, {}).values()]
            known = self._of_kpi[kpi] = max([*told, *(self._awaited.get(k, 0) for k in keys)], default=0)
        return known

    def mark(self, value: KpiValue, kpi: Kpi, span: Span, since: int, covered: float | None) -> None:
        """Mark a value of which only a part is folded: its coverage is that of the part.

        Args:
            value: made of what was folded since then.
            kpi: whose value.
            span: of the value.
            since: when the part begins.
            covered: coverage of the part, None where no source says.
        """
        elapsed = span.measured_end - span.start
        share = (span.measured_end - since) / elapsed if elapsed > 0 else 0.0
        value.coverage = share * (1.0 if covered is None else covered)
        if isinstance(kpi.measure, Stock):  # what came in before is not known, so neither is what is inside
            value.value, value.status, value.score = None, "unknown", None
        value.reason = (
            f"version {kpi.version} of this KPI is computed from {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M} UTC "
            "on; csf replay computes what lies before"
        )

    def chunks(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the chunk if it changed since the last call."""
        if self._dirty:
            self._dirty = False
            bases = sorted(self._plan.bases)
            yield DEFS_KEY, msgspec.msgpack.encode([self._settings, self._known, bases, self._said, self._awaited])


def whole_versions(plan: Plan, value: bytes) -> dict[str, int]:
    """Return the version of every KPI that state was made by wholly, given its chunk; none where that is unknown."""
    recovered = msgspec.msgpack.decode(value)
    if recovered is None:
        return {}
    _, known, _, said, awaited = recovered
    part = {base for base, since in said.items() if any(since.values())} | awaited.keys()
    return {
        kpi: version
        for kpi, (version, _) in known.items()
        if not part & {base.key for base in plan.roles.get(kpi, {}).values()}
    }
