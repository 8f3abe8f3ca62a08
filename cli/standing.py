"""``csf connector status`` and ``forget``: how connectors are doing, as they tell it themselves."""

from __future__ import annotations

import time

from agents.console.connectors import connectors_document
from agents.sources import SourceWatch
from cli.configured import Configured
from cli.embedded.address import bootstrap_of
from cli.output import print_rows, say
from cli.settings import Settings
from connectors.producer import EventProducer
from pipeline.errors import ConfigError
from pipeline.evaluate.duration import in_words
from pipeline.evaluate.sources import Judged
from pipeline.time.calendar import Calendar

_COLUMNS = ["source", "stream", "state", "last_read", "behind", "requests", "waits", "events", "lost", "why"]
#: Of a table: a longer sentence is cut.
_SHOWN = 160


def _watch(settings: Settings) -> SourceWatch:
    """Return what reads the states from the brokers that run.

    Raises:
        ConfigError: none run here.
    """
    bootstrap = settings.bootstrap or bootstrap_of(settings.data_dir)
    return SourceWatch(bootstrap, settings.kafka_settings(), Configured(settings.connectors_path))


def status(settings: Settings, fmt: str) -> int:
    """Print the state of every stream; return 1 where one is silent or failing.

    Raises:
        CsfError: no brokers run here, or they do not answer.
    """
    watch = _watch(settings)
    try:
        found = watch.ask()
    finally:
        watch.close()
    if fmt == "table":
        print_rows([_row(judged, time.time()) for judged in found], _COLUMNS, fmt)
    else:
        rows = connectors_document(found, Calendar(settings.load_catalogue().organisation.zone), time.time())["streams"]
        print_rows(rows, list(rows[0]) if rows else _COLUMNS, fmt)
    if not found:
        say(f"no connector is configured in {settings.connectors_path}, and none has said anything", err=True)
    return int(any(judged.state in ("silent", "failing") for judged in found))


def _row(judged: Judged, now: float) -> dict[str, object]:
    stream = judged.stream
    counted = stream.started_at > 0
    why = "; ".join(part for part in (judged.why, stream.error if stream.failures else "") if part)
    return {
        "source": stream.source,
        "stream": stream.stream or None,
        "state": judged.state.replace("_", " "),
        "last_read": f"{in_words(now - stream.success_at)} ago" if stream.success_at else "never",
        "behind": in_words(now - stream.until) if stream.until else None,
        "requests": stream.requests if counted else None,
        "waits": stream.waits if counted else None,
        "events": stream.events if counted else None,
        "lost": stream.truncated + stream.refused + stream.forgotten,
        "why": why if len(why) <= _SHOWN else why[: _SHOWN - 3] + "...",
    }


def forget(name: str, settings: Settings) -> None:
    """Take a connector that runs no more out of what is told; its cursors stay.

    Raises:
        ConfigError: no brokers run here, or no connector of that name has told anything.
    """
    watch = _watch(settings)
    try:
        streams = [judged.stream for judged in watch.ask()]
    finally:
        watch.close()
    ours = [s for s in streams if s.started_at and name in (s.source, s.source.partition("/")[2], s.name)]
    if not ours:
        known = sorted({s.source for s in streams if s.started_at})
        raise ConfigError(f"no connector '{name}' has told anything; those that did: {', '.join(known) or 'none'}")
    bootstrap = settings.bootstrap or bootstrap_of(settings.data_dir)
    producer = EventProducer(bootstrap, settings=settings.kafka_settings(), client_id="csf-forget")
    try:
        for stream in ours:
            producer.keep(stream.key, None)
        producer.flush()
    finally:
        producer.close()
    say(f"forgot {', '.join(s.name for s in ours)}; a connector that still runs tells of itself again")
