"""Availability, outages and freshness of services, worked out over the whole line of time."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from pipeline.catalogue.model import Catalogue
from tests.oracle import spans
from tests.oracle.measures import UNKNOWN, Outcome

Spans = spans.Spans


class Uptime:
    """Up, down and outage intervals (ms) of every service that was checked."""

    def __init__(self, catalogue: Catalogue, frames: dict[str, Any], polls: list[Any], now_ms: int) -> None:
        self.catalogue, self.now = catalogue, now_ms
        self.checks: dict[str, dict[str, list[tuple[int, int, int | None]]]] = defaultdict(lambda: defaultdict(list))
        if "uptime.checked" in frames:
            for r in frames["uptime.checked"].iter_rows(named=True):
                code = 0 if r["up"] is None else 1 if r["up"] else 2
                good = None if r["valid_until"] == "next" else int(r["interval_s"] * 1000 * 2.5)
                self.checks[r["_service"]][r["check"]].append((r["_t"] // 1000, code, good))
        self.planned = self._windows(frames, "maintenance.scheduled")
        self.major = self._windows(frames, "incident.updated")
        self.polls = [p for p in polls if "uptime.checked" in p.types]
        self._known: dict[str, tuple[Spans, Spans]] = {}

    def _windows(self, frames: dict[str, Any], kind: str) -> dict[str, Spans]:
        found: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for r in frames[kind].iter_rows(named=True) if kind in frames else ():
            if kind == "incident.updated":
                if r["major"] and r["state"] != "cancelled":
                    end = self.now if r["resolved_at"] is None else r["resolved_at"] // 1000
                    found[r["_service"]].append((r["opened_at"] // 1000, end))
            elif not r["cancelled"]:
                announced = r["_t"] if r["announced_at"] is None else r["announced_at"]
                if announced // 1000 <= r["starts_at"] // 1000 or r["reason"]:
                    found[r["_service"]].append((r["starts_at"] // 1000, r["ends_at"] // 1000))
        return {service: spans.union(parts) for service, parts in found.items()}

    def told_until(self, service: str) -> int | None:
        ends = [
            int(p.to.timestamp()) * 1000
            for p in self.polls
            if p.complete and p.to > p.from_ and (p.services is None or service in p.services)
        ]
        return max(ends, default=None)

    def times(self, service: str) -> tuple[Spans, Spans]:
        """Return all up and all down time of a service, planned maintenance taken out."""
        if service not in self._known:
            entry = self.catalogue.services.get(service)
            required = set(entry.required_checks) if entry else set()
            told = self.told_until(service)
            up, down = [], []
            for check, points in self.checks.get(service, {}).items():
                if not required or check in required:
                    for a, b, code in self._held(points, told):
                        if code:
                            (up if code == 1 else down).append((a, b))
            bad = spans.union(down)
            good = spans.minus(spans.union(up), bad)
            planned = self.planned.get(service, [])
            self._known[service] = spans.minus(good, planned), spans.minus(bad, planned)
        return self._known[service]

    def _held(self, points: list[tuple[int, int, int | None]], told: int | None) -> list[tuple[int, int, int]]:
        best: dict[int, tuple[int, int | None]] = {}
        for at, code, good in points:
            mine = best.get(at)
            # same time: down beats up beats none, then what holds for longer, by interval before until next
            rank = (code, -1 if good is None else good)
            if mine is None or rank > (mine[0], -1 if mine[1] is None else mine[1]):
                best[at] = (code, good)
        times = sorted(best)
        found = []
        for i, at in enumerate(times):
            code, good = best[at]
            following = times[i + 1] if i + 1 < len(times) else None
            if good is not None:
                end = at + good if following is None else min(at + good, following)
            else:
                end = following if following is not None else (self.now if told is None else told)
            found.append((at, min(end, self.now), code))
        return found

    def figures(self, services: list[str], start: int, end: int) -> tuple[float, float, int]:
        """Return (up s, down s, outages that start) of services in [start, end) ms."""
        up = down = outages = 0
        end = min(end, self.now)
        for service in services:
            good, bad = self.times(service)
            up += spans.length(spans.within(good, start, end))
            down += spans.length(spans.within(bad, start, end))
            long = [(a, b) for a, b in bad if b - a >= 60_000]
            merged = spans.union([*long, *self.major.get(service, [])])
            outages += sum(start <= a < end for a, _ in merged)
        return up / 1000, down / 1000, outages


def availability(stat: str, figures: tuple[float, float, int], target: float | None) -> Outcome:
    up, down, outages = figures
    observed = up + down
    if stat == "outages":
        if not observed and not outages:
            return Outcome(0, 0, zero_needs_coverage=True)
        return Outcome(outages, max(1, int(observed)))
    if not observed:
        return UNKNOWN
    if stat == "mtbf":
        return Outcome(up / 3600 / outages, int(observed), up / 3600, outages) if outages else UNKNOWN
    if stat == "availability":
        return Outcome(100 * up / observed, int(observed), up, observed)
    if target is None or target >= 100:
        return UNKNOWN
    allowed = 1 - target / 100
    return Outcome(100 * (1 - (down / observed) / allowed), int(observed), down, allowed * observed)


def freshness(rows: list[tuple[str, str, int]], start: int, end: int) -> Outcome:
    """Return the mean age over [start, end) ms of rows (service, pair, time of a success in ms)."""
    pairs: dict[tuple[str, str], list[int]] = defaultdict(list)
    for service, pair, at in rows:
        pairs[(service, pair)].append(at)
    area = 0.0
    observed = count = 0
    for times in pairs.values():
        times.sort()
        if times[0] >= end or start >= end:
            continue
        count += 1
        observed += end - max(start, times[0])
        for a, b in zip(times, [*times[1:], end], strict=True):
            lo, hi = max(a, start), min(b, end)
            if lo < hi:
                area += ((hi - a) ** 2 - (lo - a) ** 2) / 2
    return Outcome(area / observed / 1000, count, area / 1e6, observed / 1000) if observed else UNKNOWN
