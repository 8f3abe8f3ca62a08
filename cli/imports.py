"""``csf import``: files of events by a mapping, access logs among them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec

from cli.embedded.instance import Instance, running
from cli.options import bootstrap_option, config_option, data_dir_option
from cli.settings import Settings, load_settings
from connectors.access_log import LogMapper, map_log
from connectors.cursors import read_cursors, write_cursor
from connectors.mapping import MappedEvent, Summary, load_mapping, map_file
from connectors.mapping.files import BadRow, fingerprint
from connectors.producer import EventProducer
from pipeline.engine.services import service_id
from pipeline.errors import ConfigError, InvalidEvent, MappingError
from pipeline.events.envelope import OutEvent
from pipeline.events.families import SourcePolled, event_topic
from pipeline.events.validate import decode_data, decode_envelope

_LOG = "access-log"
_TRIED = 200
Produce = Callable[[Summary, Callable[[BadRow], None]], Iterator[MappedEvent]]


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@config_option
@data_dir_option
@bootstrap_option
@click.option("--mapping", required=True, help=f"Name of a shipped mapping, a .yaml file, or {_LOG}.")
@click.option("--wait", is_flag=True, help="Until the KPIs hold what was imported.")
@click.option("--set", "settings_", multiple=True, metavar="NAME=VALUE", help="A variable of the mapping.")
@click.option("--service", help="The service it is about, instead of the mapping's.")
@click.option("--team", help="Registers --service with a team where the catalogue does not name it.")
@click.option("--bots/--no-bots", default=True, show_default=True, help="Access logs: machines' page views count.")
@click.option("--again", is_flag=True, help="Though this very file was imported before.")
@click.option("--dry-run", type=click.IntRange(1), metavar="N", help="Print the first N events and send nothing.")
def import_file(
    file: Path, config: Path | None, data_dir: Path | None, bootstrap: str | None, mapping: str, wait: bool,
    settings_: tuple[str, ...], service: str | None, team: str | None, bots: bool, again: bool, dry_run: int | None,
) -> None:  # fmt: skip
    """Import a CSV, JSON Lines, JSON or access log file (gzip too).

    Ids follow from the file's content, so importing it again changes nothing.
    """
    settings = load_settings(config, data_dir=data_dir, bootstrap=bootstrap)
    produce = _producing(file, mapping, settings, _variables(settings_), service, team, bots=bots)
    _try(produce, dry_run)
    if dry_run:
        return
    with running(settings, worker=wait, say=lambda text: click.echo(text, err=True)) as instance:
        name = f"import|{mapping}|{fingerprint(file)}"
        done = read_cursors(instance.bootstrap, instance.kafka_settings).get(name)
        if done and not again:
            click.echo(
                f"{file.name} was imported by {mapping} on {done.get('at')}: nothing to do (--again sends it again)"
            )
        else:
            summary = _send(file, produce, instance)
            kept = {"at": datetime.now(UTC).isoformat(), "rows": summary.rows, "events": summary.events}
            write_cursor(instance.bootstrap, name, kept, instance.kafka_settings)
            _report(file, summary)
        if wait:
            _await(instance)


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
        mapper = LogMapper(service, team, _salt(settings), bots=bots)
        return lambda summary, on_bad: map_log(file, mapper, on_bad, summary)
    mapping = load_mapping(name)
    if team:
        mapping = msgspec.structs.replace(mapping, team=team)
    return lambda summary, on_bad: map_file(file, mapping, variables, on_bad, summary, service)


def _salt(settings: Settings) -> bytes:
    """Return the installation's salt for visitor hashes, made at its first use."""
    path = settings.data_dir / "visitor.salt"
    try:
        if not path.exists():
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(16))
        return path.read_text().strip().encode()
    except OSError as e:
        raise ConfigError(f"{path}: cannot be used: {e.strerror}; name another --data-dir") from None


def _try(produce: Produce, show: int | None) -> None:
    """Map the first rows without sending: what does not fit at all is told before anything is done."""
    bad: list[BadRow] = []
    tried = good = 0
    why: InvalidEvent | None = None
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    for event in produce(Summary(), bad.append):
        tried += 1
        try:
            decode_data(decode_envelope(event.raw), event.topic, now_ms)
            good += 1
        except InvalidEvent as e:
            why = e
        if show is not None and tried <= show:
            click.echo(event.raw.decode())
        if tried >= max(_TRIED, show or 0) or len(bad) >= _TRIED:
            break
    if good == 0 and (bad or why):
        reason = bad[0].detail if bad else str(why)
        raise MappingError(f"none of the first {max(tried, len(bad))} rows becomes an event: {reason}")


def _send(file: Path, produce: Produce, instance: Instance) -> Summary:
    summary = Summary()
    producer = EventProducer(instance.bootstrap, settings=instance.kafka_settings, client_id="csf-import")

    def bury(bad: BadRow) -> None:
        reason = "malformed-log-line" if bad.detail.startswith("malformed-log-line") else "unmappable-row"
        producer.bury("", reason, bad.detail, bad.raw, file=file.name, row=bad.row, column=bad.column)

    try:
        with click.progressbar(produce(summary, bury), label=f"Importing {file.name}", show_pos=True) as events:
            for event in events:
                producer.add(event.topic, event.key, event.raw, source=file.name)
        producer.flush()
        if summary.first and summary.last:
            producer.send(event_topic("control"), _polled(summary, file), key=file.name)
        producer.flush()
    finally:
        producer.close()
    return summary


def _polled(summary: Summary, file: Path) -> OutEvent:
    """Return the word that the file delivered everything from its first to its last event."""
    assert summary.first is not None
    assert summary.last is not None
    source = f"import/{summary.fingerprint[:16]}"
    data = SourcePolled(
        source=source, from_=summary.first, to=min(summary.last + timedelta(seconds=1), datetime.now(UTC)),
        types=sorted(summary.by_type), services=sorted({service_id(s) or s for s in summary.services}),
    )  # fmt: skip
    return OutEvent(
        id=f"{summary.fingerprint[:16]}-polled", source=f"import/{file.name}", type="source.polled",
        time=datetime.now(UTC), subject="", data=data,
    )  # fmt: skip


def _report(file: Path, summary: Summary) -> None:
    kinds = ", ".join(f"{n:,} {t}" for t, n in sorted(summary.by_type.items()))
    click.echo(
        f"{file.name}: {summary.rows:,} rows, {summary.events:,} events ({kinds}) of {len(summary.services)} services"
    )
    if summary.skipped or summary.bad:
        click.echo(
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
