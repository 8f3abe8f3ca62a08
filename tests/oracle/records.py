"""Facts as polars frames, one a record type: events, last states of entities, sessions."""

from __future__ import annotations

import typing
from collections import defaultdict
from datetime import datetime
from typing import Any

import polars as pl

from pipeline.catalogue.model import Catalogue
from pipeline.events.families import TYPES
from tests.oracle.reading import ENTITIES, Fact, Read, entity_of, rank, us

HOLD_MS = 25 * 3_600_000
SESSION_KINDS = {
    "user": "text", "started_at": "time", "ended_at": "time", "duration_s": "number", "pages": "number",
    "tasks": "number", "engaged": "bool",
}  # fmt: skip
_DTYPES: dict[str, Any] = {"time": pl.Int64, "number": pl.Float64, "bool": pl.Boolean, "text": pl.String}


def _kind(hint: Any) -> tuple[str, bool]:
    """Return what a field's type holds, and whether it is a list of it."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _kind(args[0])
    if origin is list:
        return _kind(args[0])[0], True
    if origin is typing.Literal:
        return "text", False
    if args:  # an optional
        return _kind(next(a for a in args if a is not type(None)))
    return {datetime: "time", bool: "bool", int: "number", float: "number"}.get(hint, "text"), False


def kinds_of(kind: str) -> dict[str, str]:
    if kind == "session":
        return SESSION_KINDS
    hints = typing.get_type_hints(TYPES[kind][1], include_extras=True)
    return {name: _kind(hint)[0] for name, hint in hints.items()}


def _lists(kind: str) -> set[str]:
    hints = {} if kind == "session" else typing.get_type_hints(TYPES[kind][1], include_extras=True)
    return {name for name, hint in hints.items() if _kind(hint)[1]}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return us(value)
    return [us(v) for v in value] if isinstance(value, list) else value


def frame(kind: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return rows of a record type as a frame; ``_t`` dates them, ``_service`` is whose they are."""
    kinds, lists = kinds_of(kind), _lists(kind)
    schema: dict[str, Any] = {n: pl.List(_DTYPES[k]) if n in lists else _DTYPES[k] for n, k in kinds.items()}
    whole = {**schema, "_t": pl.Int64, "_service": pl.String, "_entity": pl.String}
    return pl.DataFrame([{n: r.get(n) for n in whole} for r in rows], schema=whole, strict=False, orient="row")


def row(fact: Fact, **more: Any) -> dict[str, Any]:
    names = TYPES[fact.type][1].__struct_fields__
    own = {n: _plain(getattr(fact.data, n)) for n in names}
    return {**own, "_t": fact.t_ms * 1000, "_service": fact.service, **more}


def frames(catalogue: Catalogue, read: Read) -> dict[str, pl.DataFrame]:
    """Return the records of every type that occurs."""
    by_type: dict[str, list[Fact]] = defaultdict(list)
    for fact in read.facts:
        by_type[fact.type].append(fact)
    found = {
        kind: frame(kind, list(_last_states(kind, facts)) if kind in ENTITIES else [row(f) for f in facts])
        for kind, facts in by_type.items()
    }
    sessions = [*_derived(catalogue, read), *_reported(by_type.get("session.ended", []))]
    if sessions:
        found["session"] = frame("session", sessions)
    return found


def _last_states(kind: str, facts: list[Fact]) -> typing.Iterator[dict[str, Any]]:
    groups: dict[tuple[Any, ...], list[Fact]] = defaultdict(list)
    for fact in facts:
        groups[(fact.place, fact.source, entity_of(kind, fact.data, fact.id))].append(fact)
    for key, updates in groups.items():
        last = max(updates, key=rank)
        more: dict[str, Any] = {"_entity": "\x1f".join(map(str, (*key[0], *key[1:])))}
        if kind == "incident.updated":
            more |= _incident(last.data, updates)
        yield row(last, **more)


def _incident(last: Any, updates: list[Fact]) -> dict[str, Any]:
    taken = [us(u.data.updated_at) // 1000 * 1000 for u in updates if u.data.state != "new"]
    acknowledged = us(last.acknowledged_at) if last.acknowledged_at is not None else min(taken, default=None)
    done = last.state in {"resolved", "closed"} and last.resolved_at is not None
    closed = last.state == "closed" and last.closed_at is not None
    return {
        "acknowledged_at": acknowledged,
        "resolved_at": us(last.resolved_at) if done else None,
        "closed_at": us(last.closed_at) if closed else None,
        "reopen_count": max(u.data.reopen_count for u in updates),
    }


def _session(user: str, service: str, start: int, end: int, pages: int, tasks: int) -> dict[str, Any]:
    duration = (end - start) / 1000
    return {
        "user": user, "started_at": start * 1000, "ended_at": end * 1000, "duration_s": duration, "pages": pages,
        "tasks": tasks, "engaged": duration >= 10 or pages >= 2 or tasks >= 1, "_t": start * 1000, "_service": service,
    }  # fmt: skip


class _Visit:
    """Views within the session gap of each other, in the order they arrived."""

    def __init__(self, at: int, clock: int) -> None:
        self.start = self.end = at
        self.pages, self.tasks, self.touched = 1, set(), clock


def _derived(catalogue: Catalogue, read: Read) -> typing.Iterator[dict[str, Any]]:
    gap = catalogue.organisation.session_gap_minutes * 60_000
    reported = {s.id for s in catalogue.services.values() if s.sessions == "reported"}
    places: dict[tuple[str, int], list[Fact]] = defaultdict(list)
    for fact in read.facts:
        if fact.type in {"page.viewed", "task.finished"} and fact.service not in reported:
            places[fact.place].append(fact)
    for place, mine in places.items():
        visitors, forgotten = _visitors(catalogue, mine, read.checkpoints.get(place, []), gap)
        if forgotten:
            read.exits[place]["forgotten:sessions"] += forgotten
        for (service, user), visitor in visitors.items():
            for visit in visitor.over + visitor.visits:
                yield _session(user, service, visit.start, visit.end, visit.pages, len(visit.tasks))


class _Visitor:
    """The sessions of one visitor: those that are over, those that take more, and tasks that may yet be inside one."""

    def __init__(self) -> None:
        self.over: list[_Visit] = []
        self.visits: list[_Visit] = []
        self.tasks: list[tuple[int, int, int]] = []  # number, time, clock

    def age(self, clock: int) -> None:
        """Let what was untouched for 25 h of arrival take no more."""
        self.over += [v for v in self.visits if v.touched < clock - HOLD_MS]
        self.visits = [v for v in self.visits if v.touched >= clock - HOLD_MS]
        self.tasks = [k for k in self.tasks if k[2] >= clock - HOLD_MS]

    def rows(self) -> list[int]:
        return [v.touched for v in self.visits] + [k[2] for k in self.tasks]

    def take(self, number: int, fact: Fact, gap: int) -> None:
        clock, t = fact.clock_ms, fact.t_ms
        self.age(clock)
        if fact.type == "task.finished":
            if fact.data.completed:
                self.tasks.append((number, t, clock))
                for visit in self.visits:
                    if visit.start <= t <= visit.end:
                        visit.tasks.add(number)
                        visit.touched = clock
            return
        new = _Visit(t, clock)
        for visit in list(self.visits):
            if visit.start - gap <= t <= visit.end + gap:
                new.start, new.end = min(new.start, visit.start), max(new.end, visit.end)
                new.pages += visit.pages
                new.tasks |= visit.tasks
                self.visits.remove(visit)
        new.tasks |= {n for n, at, _ in self.tasks if new.start <= at <= new.end}
        self.visits.append(new)


def _visitors(
    catalogue: Catalogue, facts: list[Fact], checkpoints: list[tuple[int, int]], gap: int
) -> tuple[dict[tuple[str, str], _Visitor], int]:
    """Return the visitors of one partition, and how many sessions and tasks were forgotten.

    Where they have too many, those who came longest ago start anew.
    """
    found: dict[tuple[str, str], _Visitor] = defaultdict(_Visitor)
    waiting = list(reversed(checkpoints))
    most, forgotten = catalogue.organisation.open_sessions, 0
    for number, fact in enumerate(facts):
        while waiting and waiting[-1][0] < fact.offset:
            forgotten += _forget(found, waiting.pop()[1], most)
        found[(fact.service, fact.data.user)].take(number, fact, gap)
    while waiting:
        forgotten += _forget(found, waiting.pop()[1], most)
    return found, forgotten


def _forget(found: dict[tuple[str, str], _Visitor], clock: int, most: int) -> int:
    for visitor in found.values():
        visitor.age(clock)
    held = left = sum(len(v.rows()) for v in found.values())
    if left > most:
        for name in sorted((n for n in found if found[n].rows()), key=lambda n: (max(found[n].rows()), n)):
            if left <= most - most // 4:
                break
            left -= len(found[name].rows())
            found[name].over += found[name].visits
            found[name].visits, found[name].tasks = [], []
    return held - left


def _reported(facts: list[Fact]) -> typing.Iterator[dict[str, Any]]:
    for fact in facts:
        data = fact.data
        start = fact.t_ms - int(data.duration_s * 1000) if data.started_at is None else us(data.started_at) // 1000
        engaged = data.engaged
        if engaged is None:
            engaged = data.duration_s >= 10 or data.pages >= 2
        whole = _session(data.user, fact.service, start, start + int(data.duration_s * 1000), data.pages, 0)
        yield {**whole, "duration_s": data.duration_s, "engaged": engaged}
