"""A vendor whose tickets, checks, sizes and deployments change all the time, and that fails now and then; by a seed."""

from __future__ import annotations

import random
import threading
import time
from bisect import bisect_right
from datetime import UTC, datetime
from typing import Any

from tests.connectors.vendor import Asked, Says

_STATES = {"open": "new", "working": "in_progress", "done": "resolved"}
DECLARATION: dict[str, Any] = {
    "name": "vendor", "title": "A changing vendor", "what": "everything", "base": "{option:address}",
    "options": {"address": {"what": "where it is"}}, "auth": {"none": {"kind": "none"}},
    "streams": [
        {
            "name": "tickets", "what": "tickets by their last update", "records": "tickets",
            "request": {"path": "/tickets", "query": {"from": "{since}", "to": "{until}"}},
            "paginator": {"kind": "offset", "size": 20, "more": "more"},
            "cursor": {"kind": "window", "lag_s": 1, "overlap_s": 3}, "id": ["id"], "version": ["updated", "state"],
            "mapping": {"service": "service", "events": [{
                "type": "incident.updated", "time": "updated",
                "data": {
                    "number": "id", "state": {"column": "state", "map": _STATES}, "original_state": "state",
                    "opened_at": {"column": "opened", "as": "time"}, "updated_at": {"column": "updated", "as": "time"},
                },
            }]},
        },
        {
            "name": "checks", "what": "checks, many of one time", "records": "checks",
            "request": {"path": "/checks", "query": {"time": "{time}", "id": "{id}", "until": "{until}"}},
            "cursor": {"kind": "keyset", "time": "at", "id": "id", "lag_s": 1}, "id": ["id"],
            "mapping": {"service": "name", "events": [{
                "type": "uptime.checked", "time": "at",
                "data": {"up": {"column": "up", "as": "bool"}, "check": "name", "interval_s": {"const": 1}},
            }]},
        },
        {
            "name": "sizes", "what": "sizes as they are", "records": "sizes", "request": {"path": "/sizes"},
            "cursor": {"kind": "snapshot", "changes": ["size"]}, "id": ["name"],
            "mapping": {"service": "name", "events": [{
                "type": "scaling.completed", "time": "polled_at", "when": [{"column": "before", "present": True}],
                "data": {
                    "direction": "moved", "requested_at": {"column": "polled_at", "as": "time"},
                    "from": {"column": "before.size", "as": "int"}, "to": {"column": "size", "as": "int"},
                },
            }]},
        },
        {
            "name": "deployments", "what": "deployments by their creation", "records": "deployments",
            "request": {"path": "/deployments"}, "paginator": {"kind": "page", "size": 20},
            "cursor": {"kind": "window", "lag_s": 1, "overlap_s": 3, "newest_first": "opened"},
            "unfinished": {
                "request": {"path": "/deployments/{record:id}"}, "keep": ["id"],
                "final": [{"column": "state", "in": ["successful", "failed"]}],
            },
            "id": ["id"], "version": ["updated", "state"],
            "mapping": {"service": "service", "events": [{
                "type": "change.updated", "time": "updated",
                "data": {"number": "id", "outcome": "state", "updated_at": {"column": "updated", "as": "time"}},
            }]},
        },
    ],
}  # fmt: skip


class ChangingVendor:
    """Answers what is so now; ``tickets``, ``checks``, ``deployments`` and ``sizes`` are all that ever was."""

    def __init__(self, seed: int) -> None:
        self._rng, self._faults = random.Random(seed), random.Random(seed + 1)
        self._lock = threading.Lock()
        self._fails = True
        self.tickets: dict[str, list[dict[str, Any]]] = {}
        self.checks: list[dict[str, Any]] = []
        self.deployments: dict[str, list[dict[str, Any]]] = {}
        self.sizes = {f"w{n}": 1 for n in range(5)}

    def change_until(self, over: threading.Event) -> None:
        """Change something ten times a second."""
        while not over.wait(self._rng.uniform(0.0, 0.2)):
            with self._lock:
                self._change(_now())

    def calm(self) -> None:
        """Fail no more; nothing stays unfinished."""
        with self._lock:
            self._fails = False
            for states in self.deployments.values():
                if states[-1]["state"] == "planned":
                    states.append({**states[-1], "state": "successful", "updated": _now()})

    def _change(self, now: str) -> None:
        rng = self._rng
        if not self.tickets or rng.random() < 0.3:
            name = f"T{len(self.tickets):06}"
            self.tickets[name] = [
                {"id": name, "service": f"s{rng.randrange(3)}", "state": "open", "opened": now, "updated": now}
            ]
        else:
            states = self.tickets[rng.choice(list(self.tickets)[-200:])]
            service = f"s{rng.randrange(3)}"  # a ticket is handed from service to service
            states.append({**states[-1], "service": service, "state": rng.choice(list(_STATES)), "updated": now})
        second = now[:19] + "Z"
        for n in range(rng.randrange(4)):
            number = len(self.checks)
            self.checks.append({"id": f"{number:09}", "name": f"c{n}-{number}", "at": second, "up": rng.random() < 0.9})
        if rng.random() < 0.2:
            self.sizes[rng.choice(list(self.sizes))] += rng.choice([1, 2, 3])
        if rng.random() < 0.1:
            name = f"D{len(self.deployments):06}"
            self.deployments[name] = [{"id": name, "service": "s1", "state": "planned", "opened": now, "updated": now}]
        elif self.deployments and rng.random() < 0.3:
            states = self.deployments[rng.choice(list(self.deployments)[-30:])]
            if states[-1]["state"] == "planned":
                states.append({**states[-1], "state": rng.choice(["successful", "failed"]), "updated": now})

    def __call__(self, asked: Asked) -> Says:
        with self._lock:
            if self._fails and self._faults.random() < 0.1:
                return self._fault()
            return self._answer(asked)

    def _fault(self) -> Says:
        return self._faults.choice(
            [
                Says({"error": "oops"}, 500), Says(raw=b'{"tickets": [{"id"'), Says(None, 429, {"Retry-After": "1"}),
                Says(None, 503), Says(raw=b"<html>"), Says(hangs=True),
            ]
        )  # fmt: skip

    def _answer(self, asked: Asked) -> Says:
        query = asked.query
        if asked.path == "/tickets":
            since, until = datetime.fromisoformat(query["from"]), datetime.fromisoformat(query["to"])
            now = [states[-1] for states in self.tickets.values()]
            found = sorted(
                (t for t in now if since <= datetime.fromisoformat(t["updated"]) < until), key=lambda t: t["id"]
            )
            start, size = int(query["offset"]), int(query["limit"])
            return Says({"tickets": found[start : start + size], "more": start + size < len(found)})
        if asked.path == "/checks":
            place = (query["time"], query["id"])
            first = bisect_right(self.checks, place, key=lambda c: (c["at"], c["id"]))
            return Says({"checks": [c for c in self.checks[first : first + 50] if c["at"] <= query["until"]]})
        if asked.path == "/sizes":
            return Says({"sizes": [{"name": n, "size": s} for n, s in self.sizes.items()]})
        if asked.path == "/deployments":
            newest = list(reversed([states[-1] for states in self.deployments.values()]))
            start, size = (int(query["page"]) - 1) * int(query["per_page"]), int(query["per_page"])
            return Says({"deployments": newest[start : start + size]})
        states = self.deployments.get(asked.path.rpartition("/")[2])
        return Says(states[-1]) if states else Says({"error": "gone"}, 404)


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
