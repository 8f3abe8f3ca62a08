"""Signed AWS requests (Signature Version 4), by botocore: its signer, and its ways of finding credentials."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any
from urllib.parse import parse_qsl, quote

import httpx2

from connectors.engine.declared_auth import AwsSigned
from pipeline.errors import ConfigError, SourceRefused

#: What is signed besides the host: other headers may be changed on the way.
_SIGNED = ("content-type",)


class AwsSignature(httpx2.Auth):
    """Signs requests to a service of AWS.

    Args:
        auth: service and region.
        given: ``access_key_id``, ``secret_access_key``, maybe ``session_token``; without them botocore finds
            credentials: environment, profile, web identity, the role of the container or machine.

    Raises:
        ConfigError: botocore is not installed, or there are no credentials.
    """

    requires_request_body = True

    def __init__(self, auth: AwsSigned, given: dict[str, str]) -> None:
        try:
            from botocore.auth import S3SigV4Auth, SigV4Auth  # noqa: PLC0415 - an extra
            from botocore.awsrequest import AWSRequest  # noqa: PLC0415
            from botocore.credentials import Credentials  # noqa: PLC0415
            from botocore.session import get_session  # noqa: PLC0415
        except ImportError:
            raise ConfigError("auth: signing AWS requests needs botocore: install the extra 'aws'") from None
        if given and not {"access_key_id", "secret_access_key"} <= set(given):
            raise ConfigError(
                "auth: access_key_id and secret_access_key go together; without both a role is looked for"
            )
        self._credentials: Any = (
            Credentials(given["access_key_id"], given["secret_access_key"], given.get("session_token"))
            if given
            else get_session().get_credentials()
        )
        if self._credentials is None:
            raise ConfigError(
                "auth: there are no AWS credentials: name access_key_id and secret_access_key, or run where a role gives them"
            )
        self._auth, self._request = auth, AWSRequest
        # S3 alone takes a path as it is written, and wants the hash of the body as a header
        self._signer = S3SigV4Auth if auth.service == "s3" else SigV4Auth

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Sign a request."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        request.url = request.url.copy_with(query=_strict(request.url.query))
        headers = {name: request.headers[name] for name in _SIGNED if name in request.headers}
        signed = self._request(
            method=request.method, url=str(request.url), headers=headers, data=request.content or b""
        )
        try:  # credentials of a role are renewed here
            credentials = self._credentials.get_frozen_credentials()
        except BotoCoreError as e:
            raise SourceRefused(f"auth: the role gives no AWS credentials: {e}") from None
        self._signer(credentials, self._auth.service, self._auth.region).add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        yield request


def _strict(query: bytes) -> bytes | None:
    """Return a query in which everything but unreserved characters is escaped, as AWS does before it checks."""
    pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True)
    return "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in pairs).encode() or None
