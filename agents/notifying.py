"""Channels: how a notification leaves, tried again with growing pauses, given up by policy.

Addresses and keys come from the environment or from files and are never logged. A channel that is wrong ends the
worker when it starts, with one sentence, not when somebody is to be woken.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httpx2
import msgspec

from agents.backoff import backoff_s
from pipeline.alerts.messages import Message, Told
from pipeline.alerts.outbox import Delivery, State
from pipeline.catalogue.alerts import Channel
from pipeline.errors import ConfigError, CsfError, ServiceUnavailable
from pipeline.signing import DELIVERY, SIGNATURE, signature

_TIMEOUT_S = 10.0
_PAUSE_FIRST_S, _PAUSE_MOST_S = 0.5, 60.0
#: Alertmanager forgets an alert that is not sent again; ours say themselves when they are over.
_STANDS_FOR = timedelta(days=7)
_encode = msgspec.json.Encoder().encode


class Refused(CsfError):
    """A channel takes a notification never: trying again will not help."""


@dataclass(frozen=True)
class Outcome:
    """What became of a delivery."""

    state: State
    why: str = ""


class Sender(Protocol):
    """Sends notifications one way.

    Raises:
        ServiceUnavailable: trying again may help.
        Refused: it will not.
    """

    async def send(self, message: Message) -> None:
        """Send one notification; return when the other side has it."""

    async def close(self) -> None:
        """Release connections."""


def _resolved(channel: Channel) -> str:
    """Return the address of a channel.

    Raises:
        ConfigError: it is not where the channel says it is.
    """
    if channel.url is not None:
        return channel.url
    found = _secret(channel, "url", channel.url_env, channel.url_file)
    assert found is not None
    return found


def _secret(channel: Channel, key: str, env: str | None, file: str | None) -> str | None:
    where = f"channel '{channel.id}': {key}"
    if env is not None:
        found = os.environ.get(env, "").strip()
        if not found:
            raise ConfigError(f"{where}_env: the environment variable {env} is not set; set it, or change the channel")
        return found
    if file is not None:
        try:
            found = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as e:
            raise ConfigError(f"{where}_file: {file} cannot be read: {getattr(e, 'strerror', None) or e}") from None
        if not found:
            raise ConfigError(f"{where}_file: {file} is empty; write the {key} into it")
        return found
    return None


def make_sender(channel: Channel) -> Sender:
    """Return the sender of a channel.

    Raises:
        ConfigError: address or key are missing, or of no use.
    """
    url = _resolved(channel)
    if channel.kind == "apprise":
        return AppriseSender(channel.id, url)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"channel '{channel.id}': url: is no address of http or https; mend it")
    if channel.kind == "webhook":
        key = _secret(channel, "secret", channel.secret_env, channel.secret_file)
        return WebhookSender(channel.id, url, key)
    return AlertmanagerSender(channel.id, url)


class _HttpSender:
    def __init__(self, name: str, url: str) -> None:
        self._name, self._url = name, url
        self._client = httpx2.AsyncClient(timeout=_TIMEOUT_S)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        try:
            answer = await self._client.post(url, content=body, headers={"Content-Type": "application/json", **headers})
        except httpx2.HTTPError as e:  # the address may hold a secret: only the kind of the error is told
            raise ServiceUnavailable(f"channel '{self._name}' does not answer ({type(e).__name__})") from None
        status = answer.status_code
        if status >= 500 or status in {408, 425, 429}:
            after = answer.headers.get("retry-after", "")
            raise ServiceUnavailable(
                f"channel '{self._name}' answers with {status}", float(after) if after.isdecimal() else None
            )
        if status >= 300:
            raise Refused(f"channel '{self._name}' refuses with {status}; check its address and key")

    async def close(self) -> None:
        """Release connections."""
        await self._client.aclose()


class WebhookSender(_HttpSender):
    """Posts a notification as JSON.

    ``CSF-Delivery`` is its id; with a key ``CSF-Signature`` is as ``pipeline.signing`` makes it.
    """

    def __init__(self, name: str, url: str, key: str | None) -> None:
        super().__init__(name, url)
        self._key = key

    async def send(self, message: Message) -> None:
        """Send one notification."""
        body = _encode(message)
        headers = {DELIVERY: message.id}
        if self._key is not None:
            headers[SIGNATURE] = signature(self._key, int(time.time()), body)
        await self._post(self._url, body, headers)


class AlertmanagerSender(_HttpSender):
    """Posts alerts to the v2 API of a Prometheus Alertmanager; sending one again changes nothing there."""

    async def send(self, message: Message) -> None:
        """Send the alerts of one notification."""
        alerts = [self._alert(told, message) for told in message.alerts]
        await self._post(self._url.rstrip("/") + "/api/v2/alerts", _encode(alerts), {})

    @staticmethod
    def _alert(told: Told, message: Message) -> dict[str, object]:
        at = datetime.fromisoformat(message.at).astimezone(UTC)
        labels = {
            "alertname": told.rule, "csf": told.csf, "kpi": told.kpi, "scope": told.scope, "severity": told.severity,
            "team": told.team,
        }  # fmt: skip
        annotations = {"summary": f"{told.name}: {told.scope_name}", "description": told.text, "runbook": told.runbook}
        alert: dict[str, object] = {
            "labels": {k: v for k, v in labels.items() if v},
            "annotations": {k: v for k, v in annotations.items() if v},
            "startsAt": told.since,
            "endsAt": (at if told.kind == "clear" else at + _STANDS_FOR).isoformat(),
        }
        return alert | ({"generatorURL": told.board} if told.board else {})


class AppriseSender:
    """Sends by an Apprise URL: mail, chat, SMS, paging.

    Raises:
        ConfigError: Apprise is not installed, or the URL is none it knows.
    """

    def __init__(self, name: str, url: str) -> None:
        try:
            import apprise  # noqa: PLC0415 - an extra that only these channels need
        except ImportError:
            raise ConfigError(
                f"channel '{name}': kind apprise needs the extra notify; install csf-pulse[notify]"
            ) from None
        self._name = name
        self._apprise = apprise.Apprise()
        if not self._apprise.add(url):
            raise ConfigError(f"channel '{name}': url: is no URL that Apprise knows; see its documentation")
        for service in self._apprise:
            # Apprise leaves 5.5 s between two mails; a mail server says itself what is too much for it
            if service.secure_protocol == "mailtos":
                service.request_rate_per_sec = 0

    async def send(self, message: Message) -> None:
        """Send one notification."""
        sent = await asyncio.to_thread(self._apprise.notify, body=message.body, title=message.title)
        if not sent:
            raise ServiceUnavailable(f"channel '{self._name}' did not take the notification")

    async def close(self) -> None:
        """Nothing stays open."""


class Channels:
    """All channels of a catalogue, each with its pause after a failure.

    Raises:
        ConfigError: one of them is wrong.
    """

    def __init__(self, channels: Iterable[Channel]) -> None:
        self._channels = {channel.id: channel for channel in channels}
        self._senders = {name: make_sender(channel) for name, channel in self._channels.items()}
        self._attempts: dict[str, int] = {}
        self._again_at: dict[str, float] = {}
        self._trouble: dict[str, str] = {}
        self._down_since: dict[str, float] = {}

    def trouble(self, channel: str) -> str:
        """Return why a channel takes nothing, empty where it does."""
        return self._trouble.get(channel, "")

    def down_since(self, channel: str) -> float | None:
        """Return since when, epoch seconds, a channel has not answered; None where it does."""
        return self._down_since.get(channel)

    async def empty(
        self,
        next_one: Callable[[], Delivery | None],
        done: Callable[[Delivery, Outcome], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        """Deliver what waits for a channel, in order, until nothing waits or it does not answer.

        Args:
            next_one: gives the oldest that waits, None for none.
            done: told what became of it; only then the next one is asked for.
            clock: epoch seconds now.
        """
        while (delivery := next_one()) is not None:
            outcome = await self.deliver(delivery, clock)
            if outcome is None:  # tried again once its pause is over
                return
            await done(delivery, outcome)

    async def deliver(self, delivery: Delivery, clock: Callable[[], float]) -> Outcome | None:
        """Try to deliver; None: not now, its pause lasts or has just begun.

        Args:
            delivery: the oldest that waits for its channel.
            clock: epoch seconds now.
        """
        name = delivery.channel
        channel = self._channels.get(name)
        if channel is None:
            return Outcome("failed", f"there is no channel '{name}' any more")
        if not delivery.message.alerts:
            return Outcome("dropped")
        if clock() - delivery.at > channel.expire_s:
            why = self.trouble(name) or "it waited too long"
            return Outcome("expired", f"older than {channel.expire_after}: {why}")
        if clock() < self._again_at.get(name, 0.0):
            return None
        try:
            await self._senders[name].send(delivery.message)
        except ServiceUnavailable as e:
            tries = self._attempts[name] = self._attempts.get(name, 0) + 1
            pause = backoff_s(tries, first=_PAUSE_FIRST_S, most=_PAUSE_MOST_S, asked=e.retry_after_s)
            self._again_at[name] = clock() + pause
            self._trouble[name] = str(e)
            self._down_since.setdefault(name, clock())
            return None
        except Refused as e:
            self._trouble[name] = str(e)
            self._down_since.pop(name, None)
            return Outcome("failed", str(e))
        for memory in (self._attempts, self._again_at, self._trouble, self._down_since):
            memory.pop(name, None)
        return Outcome("delivered")

    async def close(self) -> None:
        """Release connections."""
        for sender in self._senders.values():
            await sender.close()
