"""A real InfluxDB 2.x for tests; the same buckets and token as in production, on loopback."""

import json
import os
import ssl
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import trustme

from tests.services.processes import Server, free_port

VERSION = "v2.9.1"


def influxd_path() -> Path:
    """Return the server's program, or fail with what builds it (these tests are never skipped)."""
    named = os.environ.get("INFLUXD")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = Path(named) if named else cache / "csf-pulse" / "services" / f"influxd-{VERSION}" / "influxd"
    if not path.is_file():
        message = (
            f"InfluxDB is missing at {path}: build it once with "
            f"../shared/services/influx-build.sh {path.parent}, or set INFLUXD to an influxd {VERSION}"
        )
        raise AssertionError(message)
    return path


class Influx:
    """A running influxd with one organisation; ``restart`` keeps port and data.

    Args:
        directory: its data.
        authority: it speaks TLS with a certificate of this authority, which is written to ``ca.pem`` beside its data.
    """

    def __init__(self, directory: Path, authority: trustme.CA | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"{'http' if authority is None else 'https'}://127.0.0.1:{self.port}"
        self.ca = directory / "ca.pem"
        self._context: ssl.SSLContext | None = None
        self.org = "csf"
        self.token = f"token-{uuid.uuid4().hex}"
        command = [
            str(influxd_path()),
            f"--http-bind-address=127.0.0.1:{self.port}",
            f"--bolt-path={directory / 'influxd.bolt'}",
            f"--sqlite-path={directory / 'influxd.sqlite'}",
            f"--engine-path={directory / 'engine'}",
            "--reporting-disabled",
            "--log-level=warn",
        ]
        if authority is not None:
            command += self._tls(directory, authority)
        self.server = Server(command, directory / "influxd.log", f"{self.url}/health", self._context)
        self.server.start()
        answer = self.api(
            "/api/v2/setup",
            {
                "username": "admin",
                "password": uuid.uuid4().hex,
                "org": self.org,
                "bucket": "unused",
                "token": self.token,
                "retentionPeriodSeconds": 0,
            },
        )
        self.org_id = answer["org"]["id"]

    def _tls(self, directory: Path, authority: trustme.CA) -> list[str]:
        certificate = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(self.ca)
        chain, key = directory / "server.pem", directory / "server.key"
        chain.write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(key)
        self._context = ssl.create_default_context(cafile=self.ca)
        return [f"--tls-cert={chain}", f"--tls-key={key}"]

    def api(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call the server's API with the token and return its JSON."""
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Token {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20, context=self._context) as answer:
            return json.load(answer)

    def write(self, bucket: str, lines: str) -> None:
        """Write line protocol, seconds."""
        request = urllib.request.Request(
            f"{self.url}/api/v2/write?org={self.org}&bucket={bucket}&precision=s",
            data=lines.encode(),
            headers={"Authorization": f"Token {self.token}"},
        )
        urllib.request.urlopen(request, timeout=20, context=self._context).close()

    def flux(self, query: str) -> str:
        """Return a query's answer as text."""
        request = urllib.request.Request(
            f"{self.url}/api/v2/query?org={self.org}",
            data=query.encode(),
            headers={"Authorization": f"Token {self.token}", "Content-Type": "application/vnd.flux"},
        )
        with urllib.request.urlopen(request, timeout=60, context=self._context) as answer:
            return str(answer.read().decode())

    def bucket(self, name: str) -> dict[str, Any]:
        """Return what the server says about a bucket."""
        (found,) = self.api(f"/api/v2/buckets?name={name}")["buckets"]
        return dict(found)

    def limited_token(self, permissions: list[tuple[str, str]]) -> str:
        """Return a token with (action, bucket name) permissions only."""
        grants = [
            {"action": action, "resource": {"type": "buckets", "id": self.bucket(name)["id"], "orgID": self.org_id}}
            for action, name in permissions
        ]
        made = self.api("/api/v2/authorizations", {"orgID": self.org_id, "permissions": grants})
        return str(made["token"])
