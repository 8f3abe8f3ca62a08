"""How a source lets us in: each way an ``httpx2.Auth`` made from the declaration and the configuration's secrets."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

import httpx2
import msgspec

from connectors.engine.declaration import Auth, Basic, Bearer, HeaderAuth, OAuth2
from connectors.engine.secrets import Secrets
from connectors.engine.texts import filled, places
from pipeline.errors import SourceRefused

#: A token is given back this long before it ends, seconds.
_BEFORE_END_S = 60.0
#: How long a token holds whose giver does not say, seconds.
_UNSAID_S = 300.0


def needed(auth: Auth) -> tuple[set[str], set[str]]:
    """Return the secrets a way in needs, and those it takes besides."""
    match auth:
        case Basic():
            return {"username", "password"}, set()
        case Bearer():
            return {"token"}, set()
        case HeaderAuth():
            return places(dict(auth.headers)), set()
        case OAuth2():
            return {"client_id", "client_secret"}, {"refresh_token"}
    return set(), set()


def way_in(auth: Auth, given: dict[str, str], secrets: Secrets, where: str) -> httpx2.Auth | None:
    """Return what signs every request."""
    match auth:
        case Basic():
            return httpx2.BasicAuth(given["username"], given["password"])
        case Bearer():
            return _Headers({"Authorization": f"Bearer {given['token']}"})
        case HeaderAuth():
            return _Headers(filled(dict(auth.headers), given, where))
        case OAuth2():
            return OAuthTokens(auth, given, secrets)
    return None


class _Headers(httpx2.Auth):
    """Headers that hold the secret."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Sign a request."""
        request.headers.update(self._headers)
        yield request


class OAuthTokens(httpx2.Auth):
    """Tokens of OAuth 2, asked for when the last one ends or is refused.

    Args:
        auth: where and what for.
        given: ``client_id``, ``client_secret``, maybe ``refresh_token``.
        secrets: takes every token, so that it is never shown.
        clock: seconds that never go back.
    """

    requires_response_body = True

    def __init__(
        self, auth: OAuth2, given: dict[str, str], secrets: Secrets, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._auth, self._given, self._secrets, self._clock = auth, dict(given), secrets, clock
        self._token, self._ends = "", 0.0

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Sign a request; one that is refused is tried once more with a new token."""
        if not self._token or self._clock() >= self._ends:
            self._take((yield self._asking()))
        request.headers["Authorization"] = f"Bearer {self._token}"
        answer = yield request
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            self._take((yield self._asking()))
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _asking(self) -> httpx2.Request:
        refresh = self._given.get("refresh_token")
        form = {"grant_type": "refresh_token" if refresh else "client_credentials", **self._auth.parameters}
        form |= {"client_id": self._given["client_id"], "client_secret": self._given["client_secret"]}
        if refresh:
            form["refresh_token"] = refresh
        if self._auth.scope:
            form["scope"] = self._auth.scope
        return httpx2.Request("POST", self._auth.token_url, data=form)

    def _take(self, answer: httpx2.Response) -> None:
        """Keep the token of an answer."""
        if answer.status_code in {429, 500, 502, 503, 504}:
            raise httpx2.ConnectError(f"the token service answers {answer.status_code}")
        try:
            said = msgspec.json.decode(answer.content)
            token, lasts = str(said["access_token"]), float(said.get("expires_in") or _UNSAID_S)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
            raise SourceRefused(
                f"{self._auth.token_url}: gives no token (status {answer.status_code}): check client_id, client_secret and scope"
            ) from None
        self._token, self._ends = token, self._clock() + max(0.0, lasts - _BEFORE_END_S)
        self._secrets.add(token)
        if said.get("refresh_token"):  # many givers turn it with every use
            self._given["refresh_token"] = str(said["refresh_token"])
            self._secrets.add(self._given["refresh_token"])
