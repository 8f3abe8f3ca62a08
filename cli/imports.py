"""``csf import``: files of events by a mapping, access logs among them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import click
import msgspec

from cli.embedded.instance import Instance, running
from cli.options import bootstrap_option, config_option, data_dir_option
from cli.output import counted, say
from cli.settings import Settings, load_settings
from connectors.access_log import LogMapper, map_log, visitor_salt
from connectors.cursors import read_cursors, write_cursor
from connectors.mapping import MappedEvent, Summary, load_mapping, map_file
from connectors.mapping.files import BadRow
from connectors.producer import EventProducer
from connectors.reported import ReportedRows
from pipeline.errors import ConfigError, InvalidEvent, MappingError
from pipeline.events.envelope import OutEvent
from pipeline.events.families import SourcePolled, event_topic
from pipeline.events.validate import decode_data, decode_envelope

_LOG = "access-log"
_REPORTED = "kpi.reported"
_TRIED = 200
#: Rows that may be refused before the first event, and how many of them a dry run tells.
_REFUSED_AT_ONCE, _TOLD = 100_000, 20
#: The progress bar moves every so many rows.
_SHOW_EVERY = 1000
Produce = Callable[[Summary, Callable[[BadRow], None]], Iterator[MappedEvent]]


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@config_option
@data_dir_option
@bootstrap_option
@click.option("--mapping", required=True, help=f"Name of a shipped mapping, a .yaml file, or {_LOG}.")
@click.option(
    "--wait/--no-wait",
    default=None,
    help="Until the KPIs hold what was imported [default: wait for values, kpi-history, only].",
)
@click.option("--set", "settings_", multiple=True, metavar="NAME=VALUE", help="A variable of the mapping.")
@click.option("--service", help="The service it is about, instead of the mapping's.")
@click.option("--team", help="Registers --service with a team where the catalogue does not name it.")
@click.option("--bots/--no-bots", default=True, show_default=True, help="Access logs: machines' page views count.")
@click.option("--again", is_flag=True, help="Though this very file was imported before.")
@click.option(
    "--dry-run",
    type=click.IntRange(1),
    is_flag=False,
    flag_value=10,
    metavar="[N]",
    help="Print the first N events (10) and send nothing.",
)
def import_file(
    file: Path, config: Path | None, data_dir: Path | None, bootstrap: str | None, mapping: str, wait: bool | None,
    settings_: tuple[str, ...], service: str | None, team: str | None, bots: bool, again: bool, dry_run: int | None,
) -> None:  # fmt: skip
    """Import a CSV, JSON Lines, JSON or access log file (gzip too).

    Ids follow from the file's content, so importing it again changes nothing.
    """
    settings = load_settings(config, data_dir=data_dir, bootstrap=bootstrap)
    produce = _producing(file, mapping, settings, _variables(settings_), service, team, bots=bots)
    summary = Summary()
    refused = _Refused(file, "malformed-log-line" if mapping == _LOG else "unmappable-row")
    events = produce(summary, refused.take)
    tried = _tried(events, refused, dry_run)
    if dry_run:
        refused.tell()
        if not tried:
            say(f"{file.name}: no event is made of it", err=True)
        return
    if wait is None:  # values are asked for at once, by a report
        wait = summary.types == [_REPORTED]
    with running(settings, worker=wait, say=partial(say, err=True)) as instance:
        if wait:
            instance.check_worker()
        name = f"{summary.source}|{summary.fingerprint}"
        done = read_cursors(instance.bootstrap, instance.kafka_settings).get(name)
        if done and not again:
            _refuse_other_rules(file, mapping, summary, done)
            say(f"{file.name} was imported by {mapping} on {done.get('at')}: nothing to do (--again sends it again)")
        else:
            _send(file, chain(tried, events), refused, summary, instance)
            kept = {"at": datetime.now(UTC).isoformat(), "rows": summary.rows, "events": summary.events}
            kept["rules"] = summary.rules
            write_cursor(instance.bootstrap, name, kept, instance.kafka_settings)
            _report(file, summary)
        if wait:
            _await(instance)


def _refuse_other_rules(file: Path, mapping: str, summary: Summary, done: dict[str, Any]) -> None:
    """Raise where a file was imported by other rules: its views and checks would count a second time."""
    if done.get("rules", summary.rules) != summary.rules:
        raise ConfigError(
            f"{file}: was imported on {done.get('at')} by other rules than {mapping} with these options has now; what it "
            "said stays: import it into another --data-dir, or say --again, which counts its rows a second time"
        )


def _variables(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals:
            raise ConfigError(f"--set {item}: write NAME=VALUE")
        found[name] = value
    return found


def _producing(
    file: Path, name: str, settings: Settings, variables: dict[str, str], service: str | None, team: str | None,
    *, bots: bool,
) -> Produce:  # fmt: skip
    if name == _LOG:
        if not service:
            raise ConfigError("an access log does not say whose it is: give --service ID (and --team, to register it)")
        mapper = LogMapper(service, team, visitor_salt(settings.data_dir), bots=bots)
        return lambda summary, on_bad: map_log(file, mapper, on_bad, summary)
    mapping = load_mapping(name)
    if team:
        mapping = msgspec.structs.replace(mapping, team=team)
    check = ReportedRows(settings.load_catalogue()).check
    return lambda summary, on_bad: map_file(file, mapping, variables, on_bad, summary, service, check)


class _Refused:
    """Rows that are no events: they wait until it is clear that the file fits, then each becomes a dead letter."""

    def __init__(self, file: Path, reason: str) -> None:
        self._file, self._reason = file, reason
        self._producer: EventProducer | None = None
        self.waiting: list[BadRow] = []

    def take(self, row: BadRow) -> None:
        """Take a row.

        Raises:
            MappingError: too many were taken and no event was made yet.
        """
        if self._producer is not None:
            self._bury(row, self._producer)
            return
        if len(self.waiting) >= _REFUSED_AT_ONCE:
            raise MappingError(f"the first {len(self.waiting):,} rows of {self._file} are no events: {row.detail}")
        self.waiting.append(row)

    def send(self, producer: EventProducer) -> None:
        """Send what waits, and from now on what is taken."""
        self._producer = producer
        for row in self.waiting:
            self._bury(row, producer)
        self.waiting.clear()

    def tell(self) -> None:
        """Say which of the first rows are no events."""
        for row in self.waiting[:_TOLD]:
            say(f"{self._reason}: {row.detail}", err=True)

    def _bury(self, row: BadRow, producer: EventProducer) -> None:
        producer.bury("", self._reason, row.detail, row.raw, file=self._file.name, row=row.row, column=row.column,
                      value=row.value)  # fmt: skip


def _tried(events: Iterator[MappedEvent], refused: _Refused, show: int | None) -> list[MappedEvent]:
    """Return the first events, without sending: what does not fit at all is told before anything is done."""
    tried: list[MappedEvent] = []
    bad = refused.waiting
    why: InvalidEvent | None = None
    good = False
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    for event in events:
        tried.append(event)
        try:
            decode_data(decode_envelope(event.raw), event.topic, now_ms)
            good = True
        except InvalidEvent as e:
            why = e
        if show is not None and len(tried) <= show:
            say(event.raw.decode())
        if len(tried) >= max(_TRIED, show or 0) or len(bad) >= _TRIED:
            break
    if not good and (bad or why):
        reason = bad[0].detail if bad else str(why)
        raise MappingError(f"none of the first {len(tried) + len(bad)} rows becomes an event: {reason}")
    return tried


def _send(file: Path, events: Iterable[MappedEvent], refused: _Refused, summary: Summary, instance: Instance) -> None:
    """Send all events, the dead letters of rows that are none, and that the file is complete."""
    producer = EventProducer(instance.bootstrap, settings=instance.kafka_settings, client_id="csf-import")
    try:
        refused.send(producer)
        with click.progressbar(length=summary.lines, label=f"Importing {file.name}", file=sys.stderr) as bar:
            shown = 0
            for event in events:
                producer.add(event.topic, event.key, event.raw, source=file.name)
                if summary.rows - shown >= _SHOW_EVERY:
                    bar.update(summary.rows - shown)
                    shown = summary.rows
            producer.flush()
            bar.update(max(0, summary.lines - shown))
        if summary.first and summary.last and summary.services:  # of values from elsewhere nothing is covered
            producer.send(event_topic("control"), _polled(summary), key=summary.source)
        producer.flush()
    finally:
        producer.close()


def _polled(summary: Summary) -> OutEvent:
    """Return the word that the file delivered everything from its first to its last event."""
    now = datetime.now(UTC)
    first = summary.polled_from or summary.first or now
    last = summary.polled_to or (summary.last or now) + timedelta(seconds=1)
    data = SourcePolled(
        source=summary.source, from_=first, to=max(first, min(last, now)), types=summary.types,
        services=sorted(summary.services),
    )  # fmt: skip
    return OutEvent(
        id=f"{summary.fingerprint[:16]}-{summary.rules[:16]}-polled",
        source=summary.source,
        type="source.polled",
        time=now,
        subject="",
        data=data,
    )


def _report(file: Path, summary: Summary) -> None:
    kinds = ", ".join(f"{n:,} {t}" for t, n in sorted(summary.by_type.items()))
    of = f" of {counted(len(summary.services), 'service')}" if summary.services else ""
    say(
        f"{file.name}: {counted(summary.rows, 'row')}, {counted(summary.events, 'event')}{f' ({kinds})' if kinds else ''}{of}"
    )
    if summary.skipped or summary.bad:
        say(
            f"{summary.skipped:,} rows say nothing by the mapping; {summary.bad:,} could not be read: csf dead-letters list"
        )


def _await(instance: Instance) -> None:
    with click.progressbar(length=100, label="Working out KPIs") as bar:
        most = 1
        shown = 0

        def progress(lag: int, pending: int) -> None:
            nonlocal most, shown
            left = lag + pending
            most = max(most, left)
            done = int(100 * (1 - left / most))
            bar.update(max(0, done - shown))
            shown = max(shown, done)

        instance.wait_until_caught_up(progress=progress)
        bar.update(100 - shown)
