"""How a source lets us in: each way an ``httpx2.Auth`` made from the declaration and the configuration's secrets."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlencode

import httpx2

from connectors.engine.aws import AwsSignature
from connectors.engine.declared_auth import (
    Auth,
    AwsSigned,
    Basic,
    Bearer,
    GitHubApp,
    GoogleAccount,
    HeaderAuth,
    OAuth2,
    ParameterAuth,
)
from connectors.engine.secrets import Secrets, read_file
from connectors.engine.texts import filled, places
from connectors.engine.tokens import AccountTokens, AppTokens, OAuthTokens

#: Credentials that are no secrets: messages may hold them.
NO_SECRETS = frozenset({"username", "client_id", "app_id", "installation_id", "access_key_id"})


def needed(auth: Auth) -> tuple[set[str], set[str]]:
    """Return the secrets a way in needs, and those it takes besides."""
    match auth:
        case Basic():
            return {"username", "password"}, set()
        case Bearer():
            return {"token"}, set()
        case HeaderAuth():
            return places(dict(auth.headers)), set()
        case ParameterAuth():
            return places(dict(auth.parameters)), set()
        case OAuth2():
            return {"client_id", "client_secret"}, {"refresh_token"}
        case GitHubApp():
            return {"app_id", "installation_id", "private_key"}, set()
        case GoogleAccount():
            return {"service_account"}, set()
        case AwsSigned():
            return set(), {"access_key_id", "secret_access_key", "session_token"}
    return set(), set()


def way_in(
    auth: Auth, given: dict[str, str], secrets: Secrets, where: str, files: dict[str, Path] | None = None
) -> httpx2.Auth | None:
    """Return what signs every request.

    Args:
        auth: the way.
        given: credentials.
        secrets: takes further ones that come up.
        where: how messages name the configuration.
        files: credentials that were read from a file, which may change.

    Raises:
        ConfigError: a credential is none of its kind, or an extra is not installed.
    """
    kept_in = files or {}
    match auth:
        case Basic():
            return httpx2.BasicAuth(given["username"], given["password"])
        case Bearer() if "token" in kept_in:
            return _TokenFile(kept_in["token"], secrets, f"{where}: auth.token")
        case Bearer():
            return _Headers({"Authorization": f"Bearer {given['token']}"})
        case HeaderAuth():
            return _Headers(filled(dict(auth.headers), given, where))
        case ParameterAuth():
            return _Parameters(filled(dict(auth.parameters), given, where))
        case OAuth2():
            return OAuthTokens(auth, given, secrets, kept_in.get("refresh_token"))
        case GitHubApp():
            return AppTokens(auth, given, secrets)
        case GoogleAccount():
            return AccountTokens(auth, given, secrets)
        case AwsSigned():
            return AwsSignature(auth, given)
    return None


class _Headers(httpx2.Auth):
    """Headers that hold the secret."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Sign a request."""
        request.headers.update(self._headers)
        yield request


class _TokenFile(httpx2.Auth):
    """A token in a file, read for every request: what put it there may turn it, as Kubernetes does every hour."""

    def __init__(self, path: Path, secrets: Secrets, where: str) -> None:
        self._path, self._secrets, self._where = path, secrets, where

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Sign a request."""
        token = read_file(self._path, self._where)
        self._secrets.add(token)
        request.headers["Authorization"] = f"Bearer {token}"
        yield request


class _Parameters(httpx2.Auth):
    """Parameters that hold the secret: of the query, or of the form where one is sent."""

    requires_request_body = True

    def __init__(self, parameters: dict[str, str]) -> None:
        self._parameters = parameters

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Sign a request."""
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            form = b"&".join(part for part in (request.content, urlencode(self._parameters).encode()) if part)
            headers = {k: v for k, v in request.headers.items() if k.lower() != "content-length"}
            yield httpx2.Request(
                request.method, request.url, headers=headers, content=form, extensions=request.extensions
            )
        else:
            request.url = request.url.copy_merge_params(self._parameters)
            yield request
