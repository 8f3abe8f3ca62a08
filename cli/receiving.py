"""The webhook receiver: what is configured, tried, and run until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

import prometheus_client

from agents.guard import one_line_protocol_errors, outside_guards
from cli.embedded.instance import running
from cli.output import counted, say
from cli.settings import Settings
from connectors.producer import EventProducer
from connectors.webhook.inbox import Inbox
from connectors.webhook.load import Receiver, load_receiver
from connectors.webhook.remembered import Remembered
from connectors.webhook.server import ReceiverServer
from connectors.webhook.stats import HookStats
from pipeline.errors import ConfigError

_CONFIG = "webhooks.yaml"
_REMEMBERED = "webhooks.sqlite"
#: How often it is said until when everything was taken, seconds.
_LISTENED_EVERY_S = 30.0
#: An event that the brokers have not stored after so many seconds has failed; its sender was told before.
_DELIVERY = {"request_timeout_ms": 10_000}
_DELIVERY_S = 20.0


def _complain(text: str) -> None:
    say(f"csf: {text}", err=True)


def _configured(config: Path | None, settings: Settings) -> Receiver:
    path = config or settings.data_dir / _CONFIG
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file; it names who may send (--config names another)")
    return load_receiver(path)


def tell(config: Path | None, settings: Settings) -> None:
    """Say what would be received, and what to do at every sender."""
    receiver = _configured(config, settings)
    say(f"listens on {receiver.host}:{receiver.port}")
    for hook in receiver.hooks:
        say(
            f"{hook.name}: {hook.form.title}: POST /hooks/{hook.name}, secrets: {len(hook.keys)}; brings {hook.form.what}"
        )
        for step in hook.form.setup:
            say(f"{hook.name}: at the sender: {step.replace('{address}', f'https://YOUR-ADDRESS/hooks/{hook.name}')}")


def run(config: Path | None, settings: Settings, metrics_port: int | None) -> None:
    """Receive until stopped.

    Raises:
        CsfError: the configuration is wrong, the address taken, or the brokers do not answer at the start.
    """
    receiver = _configured(config, settings)
    stats = HookStats()
    remembered = Remembered(settings.data_dir / _REMEMBERED)
    if metrics_port:
        prometheus_client.start_http_server(metrics_port, settings.http_host, stats.registry)
    with running(settings, worker=False) as instance:
        producer = EventProducer(
            instance.bootstrap, settings={**_DELIVERY, **instance.kafka_settings}, client_id="csf-webhook",
            delivery_timeout_s=_DELIVERY_S,
        )  # fmt: skip
        inbox = Inbox(producer, remembered, _complain, stats.acknowledged)
        layers = outside_guards(requests_s=receiver.requests_s, behind_proxy=receiver.behind_proxy)
        try:
            asyncio.run(_serve(ReceiverServer(receiver, inbox, remembered, stats, _complain, layers), receiver))
        finally:
            inbox.close()
            remembered.close()
            producer.close()


async def _serve(server: ReceiverServer, receiver: Receiver) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    logging.getLogger("aiohttp.server").addFilter(one_line_protocol_errors)
    await server.start()
    say(f"receiving for {counted(len(receiver.hooks), 'hook')} on {receiver.host}:{server.port}; stop with Ctrl-C")
    try:
        while not stop.is_set():
            try:
                async with asyncio.timeout(_LISTENED_EVERY_S):
                    await stop.wait()
            except TimeoutError:
                pass
            server.say_listened()
    finally:
        await server.stop()
