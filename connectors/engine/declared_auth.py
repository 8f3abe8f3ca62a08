"""Ways to be let in, as a declaration names them."""

from __future__ import annotations

from typing import Literal

import msgspec


class NoAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="none"):
    """No credentials."""


class Basic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="basic"):
    """``username`` and ``password`` of the configuration."""


class Bearer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="bearer"):
    """``token`` of the configuration, as ``Authorization: Bearer``; from a file, it is read for every request."""


class HeaderAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="header"):
    """Headers that hold secrets, each named in braces: ``Authorization: "Token token={token}"``."""

    headers: dict[str, str]


class ParameterAuth(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="parameter"
):
    """Parameters that hold secrets, each named in braces: ``api_key: "{key}"``; of a form where one is sent, else of the query."""

    parameters: dict[str, str]


class OAuth2(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="oauth2"):
    """OAuth 2: ``client_id`` and ``client_secret`` for a token; with ``refresh_token`` in the configuration by that.

    Attributes:
        token_url: where tokens are given.
        scope: what is asked for.
        parameters: further fields of the request.
        client: how the client names itself: in the ``body`` of the request, or by ``basic``.
    """

    token_url: str
    scope: str = ""
    parameters: dict[str, str] = {}
    client: Literal["body", "basic"] = "body"


class GitHubApp(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="github_app"
):
    """A GitHub App: ``app_id``, ``installation_id`` and ``private_key`` of the configuration; ``address``: of the API."""

    address: str


class GoogleAccount(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="google"
):
    """A service account of Google: ``service_account`` of the configuration is its key file; ``scope``: what is asked for."""

    scope: str


class AwsSigned(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="aws"):
    """Signature Version 4 of AWS, by ``access_key_id`` and ``secret_access_key`` (maybe ``session_token``), or a role.

    Attributes:
        service: as AWS calls it in signatures, such as autoscaling.
        region: of the service.
    """

    service: str
    region: str


Auth = NoAuth | Basic | Bearer | HeaderAuth | ParameterAuth | OAuth2 | GitHubApp | GoogleAccount | AwsSigned
