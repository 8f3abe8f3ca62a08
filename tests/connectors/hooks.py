"""Sending to a receiver in tests: a sink in memory in place of the brokers, deliveries signed as a form says."""

from __future__ import annotations

import asyncio
import base64
import hmac
import io
import json
import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from aiohttp.test_utils import TestClient, TestServer

from connectors.webhook.form import Hmac, InPath, Signature
from connectors.webhook.inbox import Inbox
from connectors.webhook.load import load_receiver
from connectors.webhook.remembered import Remembered
from connectors.webhook.server import ReceiverServer
from connectors.webhook.stats import HookStats
from tests.connectors.pulling import Memory

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def signed(
    signature: Signature, secret: str, body: bytes, now: float, ident: str = "msg_1"
) -> tuple[dict[str, str], str]:
    """Return the headers, and the end of the address, by which a sender proves that it knows a secret."""
    if isinstance(signature, InPath):
        return {}, f"/{secret}"
    if not isinstance(signature, Hmac):
        return {signature.header: f"{signature.prefix}{secret}"}, ""
    headers = {
        name: str(int(now)) if name == signature.timestamp else ident
        for name in re.findall(r"\{header:([^}]+)\}", signature.over)
    }
    key = base64.b64decode(secret.removeprefix(signature.key_prefix)) if signature.key == "base64" else secret.encode()
    before, after = (
        re.sub(r"\{header:([^}]+)\}", lambda m: headers[m[1]], part).encode() for part in signature.over.split("{body}")
    )
    digest = hmac.new(key, before + body + after, sha256).digest()
    text = digest.hex() if signature.encoding == "hex" else base64.b64encode(digest).decode()
    return {**headers, signature.header: f"{signature.prefix}{text}"}, ""


class Receiving:
    """A receiver of one hook, running."""

    def __init__(
        self, folder: Path, entry: dict[str, Any], sink: Memory | None = None, now: datetime = NOW, **more: Any
    ) -> None:
        config = folder / "webhooks.yaml"
        config.write_text(yaml.safe_dump({"hooks": [entry], **more}))
        self.receiver = load_receiver(config)
        (self.hook,) = self.receiver.hooks
        self.now, self.said = now, list[str]()
        self.sink = sink or Memory()
        self.stats = HookStats()
        self.remembered = Remembered(folder / "webhooks.sqlite")
        self.inbox = Inbox(self.sink, self.remembered, self.said.append)
        self.server = ReceiverServer(
            self.receiver, self.inbox, self.remembered, self.stats, self.said.append, clock=self.time
        )
        self.client: TestClient[Any, Any] | None = None

    def time(self) -> float:
        """Return the time that its clock shows."""
        return self.now.timestamp()

    @asynccontextmanager
    async def open(self):
        """Serve it, and close it."""
        async with TestClient(TestServer(self.server.app, auto_decompress=False)) as self.client:
            yield self
        self.inbox.close()
        self.remembered.close()

    async def post(
        self,
        body: Any,
        secret: str,
        *,
        raw: bytes | None = None,
        at: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Send a body signed with a secret; return status, answer and headers."""
        content = raw if raw is not None else json.dumps(body).encode()
        proof, end = signed(self.hook.form.signature, secret, content, self.now.timestamp() if at is None else at)
        answer = await self.client.post(
            f"/hooks/{self.hook.name}{end}", data=io.BytesIO(content), headers={**proof, **(headers or {})}
        )
        text = await answer.text()
        return answer.status, json.loads(text) if text.startswith("{") else {"text": text}, dict(answer.headers)

    def counted(self, name: str, **labels: str) -> float:
        """Return the value of a counter."""
        found = (s for m in self.stats.registry.collect() for s in m.samples if s.name == f"csf_webhook_{name}")
        return sum(s.value for s in found if all(s.labels[k] == v for k, v in labels.items()))


def receive(receiving: Receiving, work: Any) -> Any:
    """Run an async function on a receiver that is served."""

    async def main() -> Any:
        async with receiving.open():
            return await work(receiving)

    return asyncio.run(main())
