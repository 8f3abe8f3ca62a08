"""Tokens that a source gives for a while: asked for when the last one ends or is refused."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from connectors.engine.declared_auth import GitHubApp, GoogleAccount, OAuth2
from connectors.engine.retry import TRANSIENT
from connectors.engine.secrets import Secrets, write_secret
from pipeline.errors import ConfigError, SourceRefused

#: A token is given back this long before it ends, seconds.
_BEFORE_END_S = 60.0
#: How long a token holds whose giver does not say, seconds.
_UNSAID_S = 300.0
#: How far a signed claim reaches: clocks differ, and GitHub takes at most ten minutes, seconds.
_CLAIM_BACK_S, _CLAIM_S = 60, 540


class Tokens(httpx2.Auth, ABC):
    """Signs requests with a token, and asks for the next one in time.

    Args:
        secrets: takes every token, so that it is never shown.
        clock: seconds that never go back.
    """

    def __init__(self, secrets: Secrets, clock: Callable[[], float] = time.monotonic) -> None:
        self._secrets, self._clock = secrets, clock
        self._token, self._ends = "", 0.0

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Sign a request; one that is refused is tried once more with a new token."""
        if not self._token or self._clock() >= self._ends:
            self._take((yield self._patiently(request)))
        request.headers["Authorization"] = f"Bearer {self._token}"
        answer = yield request
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            self._take((yield self._patiently(request)))
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _patiently(self, request: httpx2.Request) -> httpx2.Request:
        """Return the request for a token, that waits as long as the one it is for: by itself it would wait for ever."""
        asking = self._asking()
        asking.extensions = {**asking.extensions, "timeout": request.extensions.get("timeout", {})}
        return asking

    @abstractmethod
    def _asking(self) -> httpx2.Request:
        """Return the request for a token."""

    @abstractmethod
    def _taken(self, said: dict[str, Any]) -> tuple[str, float]:
        """Return the token of an answer and the seconds it holds."""

    @property
    @abstractmethod
    def _check(self) -> str:
        """What is to be checked where no token is given."""

    def _take(self, answer: httpx2.Response) -> None:
        """Keep the token of an answer."""
        if answer.status_code in TRANSIENT:
            raise httpx2.ConnectError(f"the token service answers {answer.status_code}")
        try:
            said = msgspec.json.decode(answer.read())
            self._token, lasts = self._taken(said)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
            address = str(answer.request.url).partition("?")[0]
            raise SourceRefused(
                f"{address}: gives no token (status {answer.status_code}): check {self._check}"
            ) from None
        self._ends = self._clock() + max(0.0, lasts - _BEFORE_END_S)
        self._secrets.add(self._token)


class OAuthTokens(Tokens):
    """Tokens of OAuth 2.

    A refresh token that the giver replaces at every use is written back into its file, since the old one is worth
    nothing after a restart.

    Args:
        auth: where and what for.
        given: ``client_id``, ``client_secret``, maybe ``refresh_token``.
        secrets: takes every token.
        kept_in: the file of the refresh token, where it has one.
        clock: seconds that never go back.
    """

    def __init__(
        self, auth: OAuth2, given: dict[str, str], secrets: Secrets, kept_in: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        super().__init__(secrets, clock)
        self._auth, self._given, self._kept_in = auth, dict(given), kept_in

    def _asking(self) -> httpx2.Request:
        refresh = self._given.get("refresh_token")
        client = {"client_id": self._given["client_id"], "client_secret": self._given["client_secret"]}
        form = {"grant_type": "refresh_token" if refresh else "client_credentials", **self._auth.parameters}
        headers = {"Accept": "application/json"}
        if self._auth.client == "basic":
            headers["Authorization"] = "Basic " + b64encode(":".join(client.values()).encode()).decode()
        else:
            form |= client
        if refresh:
            form["refresh_token"] = refresh
        if self._auth.scope:
            form["scope"] = self._auth.scope
        return httpx2.Request("POST", self._auth.token_url, data=form, headers=headers)

    def _taken(self, said: dict[str, Any]) -> tuple[str, float]:
        token, lasts = str(said["access_token"]), float(said.get("expires_in") or _UNSAID_S)
        turned = said.get("refresh_token")
        if turned and turned != self._given.get("refresh_token"):
            self._given["refresh_token"] = str(turned)
            self._secrets.add(str(turned))
            if self._kept_in is not None:
                write_secret(self._kept_in, str(turned))
        return token, lasts

    @property
    def _check(self) -> str:
        return "client_id, client_secret and scope"


class AppTokens(Tokens):
    """Installation tokens of a GitHub App: a claim signed with the app's key for a token of an hour.

    Args:
        auth: where.
        given: ``app_id``, ``installation_id``, ``private_key`` (PEM).
        secrets: takes every token.
        clock: seconds that never go back.
    """

    def __init__(
        self, auth: GitHubApp, given: dict[str, str], secrets: Secrets, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(secrets, clock)
        self._given = given
        self._url = f"{auth.address.rstrip('/')}/app/installations/{given['installation_id']}/access_tokens"
        self._sign = signer(given["private_key"], "private_key")

    def _asking(self) -> httpx2.Request:
        now = int(time.time())
        claim = {"iat": now - _CLAIM_BACK_S, "exp": now + _CLAIM_S, "iss": self._given["app_id"]}
        headers = {"Accept": "application/vnd.github+json", "Authorization": f"Bearer {self._sign(claim, {})}"}
        return httpx2.Request("POST", self._url, headers=headers)

    def _taken(self, said: dict[str, Any]) -> tuple[str, float]:
        ends = datetime.fromisoformat(str(said["expires_at"]))
        return str(said["token"]), (ends - datetime.now(UTC)).total_seconds()

    @property
    def _check(self) -> str:
        return "app_id, installation_id and private_key"


class AccountTokens(Tokens):
    """Tokens of a Google service account: a claim signed with its key for a token of an hour (RFC 7523).

    Args:
        auth: the scopes.
        given: ``service_account``: the key file that Google gives, JSON.
        secrets: takes key and tokens.
        clock: seconds that never go back.

    Raises:
        ConfigError: that is no such file.
    """

    def __init__(
        self, auth: GoogleAccount, given: dict[str, str], secrets: Secrets, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(secrets, clock)
        self._scope = auth.scope
        try:
            self._account = msgspec.json.decode(given["service_account"], type=_Account)
        except msgspec.DecodeError as e:
            raise ConfigError(f"auth.service_account: is no key file of a service account: {e}") from None
        secrets.add(self._account.private_key)
        self._sign = signer(self._account.private_key, "service_account")

    def _asking(self) -> httpx2.Request:
        now, account = int(time.time()), self._account
        claim = {
            "iss": account.client_email, "scope": self._scope, "aud": account.token_uri,
            "iat": now - _CLAIM_BACK_S, "exp": now + _CLAIM_S,
        }  # fmt: skip
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": self._sign(claim, {"kid": account.private_key_id}),
        }
        return httpx2.Request("POST", account.token_uri, data=form)

    def _taken(self, said: dict[str, Any]) -> tuple[str, float]:
        return str(said["access_token"]), float(said.get("expires_in") or _UNSAID_S)

    @property
    def _check(self) -> str:
        return "that the service account exists and its key is not revoked"


class _Account(msgspec.Struct, frozen=True):
    """What is read of a service account's key file."""

    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address


def signer(key: str, name: str) -> Callable[[dict[str, Any], dict[str, str]], str]:
    """Return what signs claims by RS256 (RFC 7518).

    Args:
        key: an RSA key, PEM.
        name: how the configuration calls it.

    Raises:
        ConfigError: PyJWT is not installed, or the key is none.
    """
    try:
        import jwt  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415
    except ImportError:
        raise ConfigError(f"auth.{name}: signing with a key needs PyJWT: install the extra 'jwt'") from None
    try:
        loaded: Any = load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError) as e:
        raise ConfigError(f"auth.{name}: is no RSA key in PEM form without a password ({e})") from None

    def sign(claim: dict[str, Any], headers: dict[str, str]) -> str:
        return jwt.encode(claim, loaded, algorithm="RS256", headers=headers)

    return sign
