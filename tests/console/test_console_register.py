"""Programmes and comments by HTTP: what may change them, from where, how large, how often, and as whom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from agents.console import changing
from agents.console.info import ConsoleInfo
from agents.console.routes import setup
from agents.guard import MAX_BODY, guards
from pipeline.errors import StoreUnavailable
from pipeline.stores.register_sqlite import SqliteRegister
from pipeline.stores.sqlite import SqliteStore
from tests.console.conftest import Sample

TOKEN = "a-token-that-nobody-guesses"
SAME = {"Sec-Fetch-Site": "same-origin"}
HOSTILE = "<img src=x onerror=alert(1)>\"'&=cmd()"
DRAFT = {"kpi": "mttr", "title": "Resolve sooner", "owner": "Service desk", "goal": 0.5, "who": "Ada"}

Ask = Callable[[TestClient], Awaitable[Any]]


class Server:
    def __init__(self, sample: Sample, path: Path) -> None:
        self.sample, self.path = sample, path
        self.register: Callable[[], Any] = lambda: SqliteRegister(path)

    def run(self, ask: Ask, token: str | None = None) -> Any:
        async def run() -> Any:
            app = web.Application(middlewares=guards(host="127.0.0.1", token=token), client_max_size=MAX_BODY)
            info = ConsoleInfo(register=self.register, token=token is not None)
            setup(app, lambda: SqliteStore(self.sample.path), self.sample.catalogue, info)
            async with TestClient(TestServer(app)) as client:
                return await ask(client)

        return asyncio.run(run())

    def post(self, path: str, body: Any, status: int, token: str | None = None, **headers: str) -> Any:
        async def ask(client: TestClient) -> Any:
            given = {"data": body} if isinstance(body, bytes) else {"json": body}
            sent = {k.replace("_", "-"): v for k, v in headers.items()} or SAME
            async with client.post(f"/api/v1/{path}", headers=sent, **given) as answer:
                found = json.loads(await answer.read() or b"null")
                assert answer.status == status, found
                return found

        return self.run(ask, token)

    def get(self, path: str, status: int = 200) -> Any:
        async def ask(client: TestClient) -> Any:
            async with client.get(f"/api/v1/{path}") as answer:
                found = await answer.json()
                assert answer.status == status, found
                return found

        return self.run(ask)

    def entries(self) -> list[Any]:
        register = SqliteRegister(self.path)
        try:
            return register.entries()
        finally:
            register.close()


@pytest.fixture
def server(sample: Sample, tmp_path: Path) -> Iterator[Server]:
    return Server(sample, tmp_path / "register.db")


def test_a_programme_lives_from_opening_to_closing(server: Server) -> None:
    made = server.post("sips", {**DRAFT, "due": "2199-01-31", "actions": ["Rota", "Runbooks"], "why": "Slow"}, 201)[
        "sip"
    ]
    assert (made["kpi_name"], made["status"], made["baseline_month"]) == ("Mean time to resolve", "open", "2026-09")
    assert made["result"] in {"working", "not_yet", "worse", "met", "unknown"}
    assert made["result_reason"]
    ident = made["id"]
    body = {"who": "Grace", "seen": made["version"], "done": [2], "status": "in_progress", "why": "Begun"}
    changed = server.post(f"sips/{ident}", body, 200)["sip"]
    assert [a["done"] for a in changed["actions"]] == [False, True]
    closed = server.post(f"sips/{ident}/close", {"who": "Ada", "why": "Reached", "seen": changed["version"]}, 200)[
        "sip"
    ]
    assert closed["status"] == "closed"
    shown = server.get(f"sips/{ident}")
    assert shown["sip"]["id"] == ident
    assert [(e["who"], e["did"], e["via"]) for e in shown["entries"]] == [
        ("Ada", "opened", "console"), ("Grace", "changed", "console"), ("Ada", "closed", "console"),
    ]  # fmt: skip
    assert shown["entries"][1]["changes"] == ["status: in progress", "done: Runbooks"]
    assert [s["id"] for s in server.get("sips")["sips"]] == [ident]
    assert server.get("sips?scope=team:commerce")["sips"] == []


def test_the_baseline_is_told_before_a_programme_is_opened(server: Server) -> None:
    found = server.get("baseline?kpi=mttr&scope=team:commerce")
    assert found["month"] == "2026-09"
    assert found["value"] > 0
    assert "did you mean 'mttr'?" in server.get("baseline?kpi=mtr", 400)["error"]


def test_a_comment_is_signed_dated_replaced_and_withdrawn(server: Server) -> None:
    about = {"csf": "reliability", "month": "2026-09", "who": "Ada"}
    server.post("comments", {**about, "text": "We moved.\nTwice."}, 201)
    (found,) = server.get("comments?month=2026-09")["comments"]
    assert (found["author"], found["text"]) == ("Ada", "We moved.\nTwice.")
    assert found["at"][:2] == "20"
    server.post("comments", {**about, "text": None}, 201)
    assert server.get("comments?month=2026-09")["comments"] == []


def test_somebody_who_looked_at_an_older_state_is_told(server: Server) -> None:
    made = server.post("sips", DRAFT, 201)["sip"]
    server.post(f"sips/{made['id']}", {"who": "Grace", "goal": 0.4, "seen": made["version"]}, 200)
    answer = server.post(f"sips/{made['id']}", {"who": "Ada", "goal": 0.3, "seen": made["version"]}, 409)
    assert "was changed by Grace" in answer["error"]
    assert len(server.entries()) == 2


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("sips", {**DRAFT, "kpi": "mtr"}, "did you mean 'mttr'?"),
        ("sips", {**DRAFT, "goal": 1e9}, "is not below the baseline"),
        ("sips", {**DRAFT, "goal": "6"}, "Expected `float`, got `str` - at `$.goal`"),
        ("sips", {**DRAFT, "gaol": 1}, "unknown field `gaol`"),
        ("sips", {k: v for k, v in DRAFT.items() if k != "title"}, "missing required field `title`"),
        ("sips", {k: v for k, v in DRAFT.items() if k != "who"}, "who is empty"),
        ("sips", {**DRAFT, "title": "x" * 201}, "title has 201 characters"),
        ("sips", b"{", "Input data was truncated"),
        ("sips", b"\xff", "the body is not as docs/api.md says"),
        ("sips", b"[" * 50_000, "the body is not as docs/api.md says"),
        ("sips/SIP-XXXXX", {"who": "Ada", "goal": 1}, "there is no SIP SIP-XXXXX"),
        ("sips/SIP-XXXXX/close", {"who": "Ada", "why": "x"}, "there is no SIP SIP-XXXXX"),
        ("comments", {"csf": "luck", "month": "2026-09", "text": "x", "who": "Ada"}, "csf 'luck' is unknown"),
    ],
)
def test_what_breaks_a_rule_is_refused_in_a_sentence(server: Server, path: str, body: Any, sentence: str) -> None:
    assert sentence in server.post(path, body, 400, **SAME, Content_Type="application/json")["error"]
    assert server.entries() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"X_Nothing": "says from where"},
    ],
)
@pytest.mark.parametrize("path", ["sips", "sips/SIP-AAAAA", "sips/SIP-AAAAA/close", "comments"])
def test_no_other_site_enters_anything(server: Server, path: str, headers: dict[str, str]) -> None:
    assert "another site" in server.post(path, DRAFT, 403, **headers)["error"]
    assert server.entries() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_form_of_another_site_could_send_is_not_even_read(server: Server, kind: str) -> None:
    answer = server.post("sips", json.dumps(DRAFT).encode(), 415, **SAME, Content_Type=kind)
    assert "send JSON" in answer["error"]


def test_reading_changes_nothing_and_other_methods_are_not_there(server: Server) -> None:
    async def ask(client: TestClient) -> None:
        for method in ("PUT", "DELETE", "PATCH"):
            async with client.request(method, "/api/v1/sips", headers=SAME, json=DRAFT) as answer:
                assert answer.status == 405
        async with client.get("/api/v1/sips/SIP-AAAAA/close") as answer:
            assert answer.status == 404

    server.run(ask)
    assert server.entries() == []


def test_a_body_that_is_too_long_or_does_not_say_how_long_is_refused(server: Server) -> None:
    long = json.dumps({**DRAFT, "why": "x" * changing.MOST_BYTES}).encode()
    answer = server.post("sips", long, 413, **SAME, Content_Type="application/json")
    assert "at most 65,536 are taken" in answer["error"]

    async def ask(client: TestClient) -> None:
        async def drops() -> Any:
            yield b"{}"

        headers = {**SAME, "Content-Type": "application/json"}
        async with client.post("/api/v1/sips", headers=headers, data=drops()) as answer:
            assert answer.status == 411

    server.run(ask)
    assert server.entries() == []


def test_many_changes_from_one_address_have_to_wait(server: Server) -> None:
    async def ask(client: TestClient) -> tuple[list[int], str]:
        found = []
        for _ in range(int(changing.BURST) + 5):
            async with client.post("/api/v1/comments", headers=SAME, json={}) as answer:
                found.append(answer.status)
                wait = answer.headers.get("Retry-After", "")
        return found, wait

    found, wait = server.run(ask)
    assert found[: int(changing.BURST)] == [400] * int(changing.BURST)
    assert found[-1] == 429
    assert int(wait) >= 1


def test_with_a_token_only_its_holders_enter_and_are_told_apart_in_the_audit_trail(server: Server) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    server.post("sips", DRAFT, 401, TOKEN, **SAME)
    server.post("sips", DRAFT, 401, TOKEN, Authorization="Bearer wrong")
    server.post("sips", {**DRAFT, "who": ""}, 201, TOKEN, **bearer)
    server.post("sips", DRAFT, 201, TOKEN, **bearer)
    assert [(e.who, e.via) for e in server.entries()] == [
        ("token", "console with token"),
        ("Ada", "console with token"),
    ]


def test_hostile_text_comes_back_as_text(server: Server) -> None:
    made = server.post("sips", {**DRAFT, "title": HOSTILE, "who": HOSTILE, "actions": [HOSTILE], "why": HOSTILE}, 201)
    shown = server.get(f"sips/{made['sip']['id']}")
    assert shown["sip"]["title"] == shown["entries"][0]["why"] == shown["sip"]["actions"][0]["text"] == HOSTILE

    async def ask(client: TestClient) -> None:
        async with client.get(f"/api/v1/sips/{made['sip']['id']}") as answer:
            assert answer.content_type == "application/json"
            assert answer.headers["Cache-Control"] == "no-store", "a change must show at once"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]

    server.run(ask)


def test_a_register_that_is_away_is_told(server: Server) -> None:
    def away() -> SqliteRegister:
        raise StoreUnavailable("the register /nowhere is away; bring it back")

    server.register = away
    assert server.get("sips", 503) == {"error": "the register /nowhere is away; bring it back"}
    assert "away" in server.post("sips", DRAFT, 503)["error"]


def test_without_a_register_there_is_nothing_to_enter(sample: Sample) -> None:
    async def run() -> None:
        app = web.Application(middlewares=guards(host="127.0.0.1"))
        setup(app, lambda: SqliteStore(sample.path), sample.catalogue, ConsoleInfo())
        async with TestClient(TestServer(app)) as client:
            async with client.post("/api/v1/sips", headers=SAME, json=DRAFT) as answer:
                assert answer.status == 405
            async with client.get("/api/v1/info") as answer:
                assert not (await answer.json())["register"]

    asyncio.run(run())
