"""A service desk with an API of every kind: tickets that change while they are read, and the declarations that read it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import stamina

from tests.connectors.pulling import Bench, on_bench
from tests.connectors.vendor import Asked, Says, Vendor

MAPPING: dict[str, Any] = {
    "service": {"column": "service"},
    "events": [
        {
            "type": "incident.updated",
            "time": "updated",
            "data": {
                "number": "id",
                "state": {"column": "state", "map": {"open": "new", "working": "in_progress", "done": "resolved"}},
                "opened_at": {"column": "opened", "as": "time"},
                "updated_at": {"column": "updated", "as": "time"},
                "resolved_at": {"column": ["resolved"], "as": "time"},
                "priority": {"column": ["priority"], "as": "int"},
                "original_state": "state",
            },
        }
    ],
}
DECLARATION: dict[str, Any] = {
    "name": "desk",
    "title": "The desk",
    "what": "Tickets of a desk",
    "base": "{option:address}",
    "options": {"address": {"what": "where it is", "example": "https://desk.example.org"}},
    "auth": {"token": {"kind": "bearer"}},
    "streams": [
        {
            "name": "tickets",
            "what": "Tickets",
            "permissions": ["the scope tickets.read"],
            "request": {"path": "/tickets", "query": {"from": "{since}", "to": "{until}"}},
            "records": "tickets",
            "paginator": {"kind": "offset", "size": 3},
            "cursor": {"kind": "window", "overlap_s": 300},
            "id": ["id"],
            "version": ["updated"],
            "mapping": MAPPING,
        }
    ],
}


def declared(**stream: Any) -> dict[str, Any]:
    """Return the desk's declaration with keys of its stream replaced."""
    return {**DECLARATION, "streams": [{**DECLARATION["streams"][0], **stream}]}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


class Desk:
    """Tickets, and an API that pages them in every way. ``limit``: it gives at most so many of one question."""

    def __init__(self, number: int = 0, *, limit: int | None = None, refuses: bool = False) -> None:
        self.tickets: dict[str, dict[str, Any]] = {}
        self.limit, self.refuses = limit, refuses
        for n in range(number):
            self.put(f"T{n:04}", f"2026-11-26T{n // 60 % 12:02}:{n % 60:02}:00Z")

    def put(self, ident: str, updated: str, **more: Any) -> None:
        opened = self.tickets.get(ident, {"opened": updated})["opened"]
        fresh = {"id": ident, "updated": updated, "opened": opened, "state": "open", "service": "svc-1"}
        self.tickets[ident] = {**fresh, **more}

    def between(self, since: str, until: str) -> list[dict[str, Any]]:
        found = [t for t in self.tickets.values() if at(since) <= at(t["updated"]) < at(until)]
        return sorted(found, key=lambda t: (t["updated"], t["id"]))

    def __call__(self, asked: Asked) -> Says:
        if asked.headers.get("authorization") != "Bearer s3cret-token":
            return Says({"error": f"unknown token {asked.headers.get('authorization')}"}, 401)
        if asked.path.startswith("/tickets/"):
            ticket = self.tickets.get(asked.path.rpartition("/")[2])
            return Says({"ticket": ticket}) if ticket else Says({"error": "gone"}, 404)
        query = {**asked.query, **(asked.body or {})}
        if asked.path == "/newest":
            found = sorted(self.tickets.values(), key=lambda t: t["opened"], reverse=True)
        elif asked.path == "/after":
            key = (query["time"], query.get("id", ""))
            found = [t for t in self.between("2026-01-01T00:00:00Z", query["to"]) if (t["updated"], t["id"]) > key]
            return Says({"tickets": found[: int(query["limit"])]})
        else:
            found = self.between(query["from"], query["to"])
        if self.limit is not None and len(found) > self.limit and self.refuses:
            return Says({"error": "too many results"}, 400)
        reachable = found[: self.limit] if self.limit is not None else found
        return self._paged(asked.path, query, reachable, len(found))

    def _paged(self, path: str, query: dict[str, Any], found: list[dict[str, Any]], total: int) -> Says:
        start, size = int(query.get("offset", 0)), int(query.get("limit", query.get("per_page", 1000)))
        if "page" in query:
            start = (int(query["page"]) - 1) * size
        if "token" in query:
            start = int(query["token"])
        page, more = found[start : start + size], start + size < len(found)
        rest = "&".join(f"{k}={v}" for k, v in query.items() if k not in {"offset", "page", "token"})
        url = f"{path}?{rest}&offset={start + size}"
        body = {
            "tickets": page,
            "total": total,
            "more": more,
            "next": url if more else None,
            "token": str(start + size) if more else "",
        }
        return Says(body, headers={"Link": f'<{path}?{rest}>; rel="first", <{url}>; rel="next"'} if more else {})


#: what a configuration says of the desk beside its address
ENTRY: dict[str, Any] = {"auth": {"token": {"env": "DESK_TOKEN"}}, "since": "2026-11-26"}
#: how often a request is tried
ATTEMPTS = 6


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Retries do not wait, and the token is there."""
    monkeypatch.setenv("DESK_TOKEN", "s3cret-token")
    with stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
        yield


def bench_at(vendor: Vendor, folder: Path, declaration: dict[str, Any] = DECLARATION, **entry: Any) -> Bench:
    """Put a connector that reads a desk on a bench."""
    return on_bench(folder, declaration, options={"address": vendor.address}, **{**ENTRY, **entry})


def numbers(events: list[dict[str, Any]]) -> list[str]:
    """Return the numbers of the tickets that events tell of."""
    return [e["data"]["number"] for e in events]
