"""Who may ask the worker's web server, how, and how often: every layer by real requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from agents.console.web import add_headers
from agents.guard import COOKIE, Buckets, Rates, client_address, guards, host_name, is_loopback, session_value

TOKEN = "a-token-that-nobody-guesses"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def served(ask: Callable[[TestClient], Awaitable[None]], **given: Any) -> None:
    async def fine(_request: web.Request) -> web.Response:
        return web.json_response({"fine": True})

    async def fault(_request: web.Request) -> web.Response:
        message = "what must not be told"
        raise ZeroDivisionError(message)

    async def run() -> None:
        app = web.Application(middlewares=guards(**{"host": "127.0.0.1", **given}), client_max_size=2**20)
        app.on_response_prepare.append(add_headers)
        app.add_routes(
            [
                web.get("/healthz", fine),
                web.get("/x", fine),
                web.get("/fault", fault),
                web.post("/change", fine),
                web.delete("/change", fine),
            ]
        )
        async with TestClient(TestServer(app)) as client:
            await ask(client)

    asyncio.run(run())


async def status(client: TestClient, path: str, method: str = "GET", **headers: str) -> int:
    async with client.request(
        method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}, allow_redirects=False
    ) as r:
        return r.status


# -- host --------------------------------------------------------------------------------------------------------


def test_a_loopback_address_answers_only_to_its_own_names() -> None:
    async def ask(client: TestClient) -> None:
        for good in (
            "127.0.0.1",
            "127.0.0.1:8710",
            "localhost:1",
            "[::1]:8710",
            "127.8.9.1",
            "LOCALHOST",
            "desk.example",
        ):
            assert await status(client, "/x", Host=good) == 200, good
        for bad in ("rebound.example", "rebound.example:8710", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil",
                    "127.0.0.1@evil", "a b", "[::1", "evil/127.0.0.1"):  # fmt: skip
            assert await status(client, "/x", Host=bad) == 421, bad
        assert await status(client, "/healthz", Host="rebound.example") == 421

    served(ask, names=("desk.example",))


def test_elsewhere_the_token_protects_and_any_name_will_do() -> None:
    async def ask(client: TestClient) -> None:
        assert await status(client, "/x", Host="worker:8710", **BEARER) == 200
        assert await status(client, "/x", Host="worker:8710") == 401

    served(ask, host="0.0.0.0", token=TOKEN)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("h", "h"),
        ("h:1", "h"),
        ("[::1]:80", "::1"),
        ("", None),
        ("h:", None),
        ("h:x", None),
        ("a,b", None),
        ("é", None),
    ],
)
def test_host_names(header: str, name: str | None) -> None:
    assert host_name(header) == name


def test_loopback_is_told_from_what_looks_like_it() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.1.2.3", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "127.0.0.1.nip.io", "localhost.example", "10.0.0.1", "")))


# -- token -------------------------------------------------------------------------------------------------------


def test_the_token_is_taken_as_bearer_and_once_as_parameter() -> None:
    async def ask(client: TestClient) -> None:
        assert await status(client, "/x") == 401
        assert await status(client, "/x", **BEARER) == 200
        assert await status(client, "/x", Authorization=f"bearer  {TOKEN}") == 200
        assert await status(client, "/x", Authorization=TOKEN) == 401
        assert await status(client, "/x", Cookie=f"{COOKIE}={session_value(TOKEN)}") == 200
        assert await status(client, "/x", Cookie=f"{COOKIE}={TOKEN}") == 401  # the cookie is not the token
        assert await status(client, "/x", Authorization=f"Bearer {session_value(TOKEN)}") == 401  # nor the reverse
        assert await status(client, "/nowhere") == 401  # what there is, is nobody's business
        assert await status(client, "/healthz") == 200

    served(ask, token=TOKEN)


def test_the_token_leaves_the_address_at_once_and_lands_in_a_closed_cookie() -> None:
    async def ask(client: TestClient) -> None:
        for proto, secure in (("http", False), ("https", True)):
            async with client.get(
                f"/x?a=1&token={TOKEN}&b=%26", headers={"X-Forwarded-Proto": proto}, allow_redirects=False
            ) as r:
                assert r.status == 302
                assert r.headers["Location"] == "/x?a=1&b=%26"
                assert r.headers["Cache-Control"] == "no-store"
                assert r.headers["Referrer-Policy"] == "no-referrer"
                cookie = r.headers["Set-Cookie"]
                assert TOKEN not in str(r.headers)
                assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
                assert ("Secure" in cookie.split("; ")) is secure

    served(ask, token=TOKEN)


@pytest.mark.parametrize(
    "path", ["//evil.example/", "///evil.example", "/\\evil.example/", "//evil.example/%2e%2e", "/%2F/evil"]
)
def test_the_redirect_never_leads_elsewhere(path: str) -> None:
    async def ask(client: TestClient) -> None:
        url = URL(f"http://127.0.0.1:{client.port}{path}?token={TOKEN}", encoded=True)
        async with client.session.get(url, allow_redirects=False) as r:
            assert r.status == 302
            where = r.headers["Location"]
            assert where.startswith("/")
            assert not where.startswith(("//", "/\\"))

    served(ask, token=TOKEN)


def test_wrong_tokens_are_counted_and_then_not_even_compared() -> None:
    clock = Clock()

    async def ask(client: TestClient) -> None:
        for _ in range(3):
            assert await status(client, "/x", Authorization="Bearer wrong") == 401
        async with client.get("/x", headers=BEARER) as r:
            assert r.status == 429
            assert int(r.headers["Retry-After"]) == 10
        assert await status(client, "/x", Cookie=f"{COOKIE}={session_value(TOKEN)}") == 429
        assert await status(client, "/x") == 401  # who presents nothing guesses nothing
        clock.now += 10
        assert await status(client, "/x", **BEARER) == 200

    served(ask, token=TOKEN, clock=clock, rates=Rates(failures_s=0.1, failures_burst=3))


def test_an_old_cookie_is_dropped_so_that_a_page_does_not_lock_its_address_out() -> None:
    async def ask(client: TestClient) -> None:
        async with client.get("/x", headers={"Cookie": f"{COOKIE}=old"}) as r:
            assert r.status == 401
            assert f'{COOKIE}=""' in r.headers["Set-Cookie"]
            assert "Max-Age=0" in r.headers["Set-Cookie"]

    served(ask, token=TOKEN)


# -- rates -------------------------------------------------------------------------------------------------------


def test_an_address_that_asks_too_often_waits_and_health_stays_open() -> None:
    clock = Clock()

    async def ask(client: TestClient) -> None:
        assert [await status(client, "/x") for _ in range(7)] == [200] * 5 + [429] * 2
        assert await status(client, "/healthz") == 200
        clock.now += 0.5
        assert [await status(client, "/x") for _ in range(2)] == [200, 429]

    served(ask, clock=clock, rates=Rates(requests_s=2, requests_burst=5))


def test_buckets_are_bounded_and_forget_who_was_silent_longest() -> None:
    clock = Clock()
    buckets = Buckets(1.0, 1.0, 100, clock)
    for i in range(10_000):
        buckets.take(f"10.0.{i // 256}.{i % 256}")
    assert len(buckets) == 100
    assert buckets.wait_s("10.0.39.15") > 0
    assert buckets.wait_s("10.0.0.0") == 0
    clock.now += 3600
    assert buckets.wait_s("10.0.39.15") == 0


def test_one_customer_of_ipv6_is_one_address() -> None:
    assert client_address("2001:db8:1:2::1") == client_address("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert client_address("::ffff:10.0.0.1") == client_address("10.0.0.1") == "10.0.0.1"
    assert client_address("fe80::1%eth0") == "fe80::/64"
    assert client_address(None) == "unknown"


# -- what changes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize("token", [None, TOKEN])
def test_no_other_site_changes_anything(method: str, token: str | None) -> None:
    async def ask(client: TestClient) -> None:
        mine = f"http://127.0.0.1:{client.port}"
        known = {"Cookie": f"{COOKIE}={session_value(TOKEN)}"} if token else {}
        for headers in (
            {"Sec-Fetch-Site": "same-origin"},
            {"Origin": mine},
            {"Sec-Fetch-Site": "same-origin", "Origin": mine},
        ):
            assert await status(client, "/change", method, **known, **headers) == 200, headers
        for headers in (
            {},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "none"},
            {"Sec-Fetch-Site": "cross-site", "Origin": mine},
            {"Origin": "null"},
            {"Origin": "http://evil.example"},
            {"Origin": f"http://127.0.0.1:{client.port + 1}"},
            {"Origin": "http://[bad"},
            {"Referer": mine},
        ):
            assert await status(client, "/change", method, **known, **headers) == 403, headers
        if token:
            assert await status(client, "/change", method, **BEARER) == 200
            assert await status(client, "/change", method, Authorization="Bearer wrong") == 401
            assert await status(client, "/change", method, Sec_Fetch_Site="same-origin") == 401
        else:  # no token is configured: presenting one proves nothing
            assert await status(client, "/change", method, **BEARER) == 403

    served(ask, token=token)


def test_a_question_with_a_body_is_refused_and_large_bodies_are() -> None:
    async def ask(client: TestClient) -> None:
        async with client.get("/x", data=b"x") as r:
            assert r.status == 413
        async with client.get("/x", data=_endless()) as r:
            assert r.status == 413

    async def _endless() -> Any:
        yield b"x"

    served(ask)


# -- headers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "method", "headers", "code"),
    [
        ("/x", "GET", BEARER, 200),
        ("/x", "HEAD", BEARER, 200),
        ("/x", "GET", {}, 401),
        (f"/x?token={TOKEN}", "GET", {}, 302),
        ("/nowhere", "GET", BEARER, 404),
        ("/x", "POST", BEARER, 405),
        ("/change", "POST", {"Cookie": f"{COOKIE}={session_value(TOKEN)}"}, 403),
        ("/fault", "GET", BEARER, 500),
        ("/healthz", "GET", {}, 200),
        ("/x", "GET", {"Host": "a b"}, 421),
    ],
)
def test_every_answer_has_the_safety_headers(path: str, method: str, headers: dict[str, str], code: int) -> None:
    async def ask(client: TestClient) -> None:
        async with client.request(method, path, headers=headers, allow_redirects=False) as r:
            assert r.status == code
            assert "default-src 'self'" in r.headers["Content-Security-Policy"]
            assert "unsafe" not in r.headers["Content-Security-Policy"]
            assert r.headers["X-Content-Type-Options"] == "nosniff"
            assert r.headers["X-Frame-Options"] == "DENY"
            assert r.headers["Referrer-Policy"] == "no-referrer"
            assert r.headers["Cache-Control"] == "no-store"
            assert r.headers["Server"] == "csf-pulse"
            assert "must not be told" not in await r.text()

    served(ask, token=TOKEN)


def test_each_non_get_route_of_the_console_is_behind_the_origin_guard() -> None:
    """The guard is no route's own: it is a layer of the application, before the router's answer."""

    async def ask(client: TestClient) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert await status(client, "/any/where", method, Sec_Fetch_Site="cross-site") == 403

    served(ask)
