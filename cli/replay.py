"""``csf replay``: compute KPIs anew from the event archive, for a changed definition or a lost store.

Archive, and what Kafka holds beyond it, are folded into a new generation of state, past the live one, which workers
go on serving meanwhile. Only then the state is switched (``cli.switching``): the workers end, and whoever starts them again
goes on from the new state with today's catalogue. Nothing is counted twice, nothing is left out: both generations stand at
positions in the same logs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from cli.embedded.instance import Instance, read_state, running
from cli.options import bootstrap_option, config_option, data_dir_option
from cli.output import say
from cli.rebuild import Rebuild
from cli.settings import Settings, load_settings
from cli.switching import Switch, switching
from pipeline.archive import ArchiveReader
from pipeline.engine.plan import Plan, build_plan
from pipeline.errors import ConfigError
from pipeline.stores.port import KpiStore

#: Rounds of catching up while the old workers still serve: each leaves less for the pause.
_ROUNDS = 3
_FEW = 1_000


@dataclass(frozen=True)
class _Wanted:
    """Which values are written: of which KPIs (None: of all), and from when to when."""

    start: int
    end: int
    kpis: frozenset[str] | None = None
    csfs: frozenset[str] | None = None


@click.command()
@config_option
@data_dir_option
@bootstrap_option
@click.option("--from", "first", metavar="MONTH", help="Write values from this month on [default: all].")
@click.option("--to", "last", metavar="MONTH", help="Write values up to this month, inclusive [default: all].")
@click.option(
    "--archive", type=click.Path(path_type=Path, file_okay=False), help="Archive [default: DATA_DIR/archive]."
)
def replay(
    config: Path | None, data_dir: Path | None, bootstrap: str | None, first: str | None, last: str | None,
    archive: Path | None,
) -> None:  # fmt: skip
    """Compute state and KPI values anew from the event archive, under today's catalogue.

    Workers may run: they serve the old definitions until the new state is ready, then end to be started again. While
    they run only values of changed KPIs are written; without them, all.
    """
    settings = load_settings(config, data_dir=data_dir, bootstrap=bootstrap)
    folder = archive or settings.data_dir / "archive"
    if not folder.is_dir():
        raise ConfigError(f"there is no archive at {folder}: name one with --archive")
    plan = build_plan(settings.load_catalogue())
    bounds = _bounds(plan, first, last)
    tell = partial(say, err=True)
    with running(settings, worker=False, say=tell) as instance, switching(instance, settings) as switch:
        wanted, live = _wanted(plan, switch, bounds), bool(switch.members())
        rebuild = Rebuild(plan, settings.partitions)
        _fold(rebuild, folder)
        store = settings.open_store()
        try:
            written = _replay(rebuild, store, switch, wanted if live else _Wanted(*bounds), tell)
        finally:
            store.close()
        _await_worker(instance, settings, tell)
    say(f"{rebuild.events:,} messages were folded again; {written:,} values were written; state is switched")


def _bounds(plan: Plan, first: str | None, last: str | None) -> tuple[int, int]:
    calendar = plan.calendar
    try:
        start = 0 if first is None else calendar.parse_month(first)
        end = 2**53 if last is None else calendar.next_month(calendar.parse_month(last))
    except ValueError:
        raise ConfigError("--from and --to name months, like 2026-10") from None
    return start, end


def _wanted(plan: Plan, switch: Switch, bounds: tuple[int, int]) -> _Wanted:
    """Return what a replay beside running workers writes: values of KPIs that the old state does not have wholly."""
    held = switch.versions(plan)
    changed = [k for k in plan.catalogue.kpis.values() if held.get(k.id) != k.version]
    return _Wanted(*bounds, frozenset(k.id for k in changed), frozenset(k.csf for k in changed))


def _fold(rebuild: Rebuild, folder: Path) -> None:
    with click.progressbar(ArchiveReader(folder).records(), label="Folding", show_pos=True) as records:
        for topic, partition, offset, arrival_ms, value in records:
            rebuild.add(topic, partition, offset, arrival_ms, value)
    rebuild.finish()


def _replay(rebuild: Rebuild, store: KpiStore, switch: Switch, wanted: _Wanted, tell: Callable[[str], None]) -> int:
    """Catch up, write values, switch; return how many values were written."""
    written = 0
    for _ in range(_ROUNDS):
        new = switch.catch_up(rebuild)
        written += _write(rebuild, store, wanted)
        if new < _FEW:
            break
    tell("the new state is ready; workers end now and go on from it")
    switch.hold()
    try:
        switch.catch_up(rebuild)
        written += _write(rebuild, store, wanted)
    except BaseException:
        switch.let_go()  # nothing of the new state was written: the old one counts again
        raise
    switch.write(rebuild)
    return written


def _write(rebuild: Rebuild, store: KpiStore, wanted: _Wanted) -> int:
    written = 0
    for out in rebuild.values():
        kpis, csfs = wanted.kpis, wanted.csfs
        values = [v for v in out.values if wanted.start <= v.start < wanted.end and (kpis is None or v.kpi in kpis)]
        store.write_values(values)
        statuses = [s for s in out.statuses if wanted.start <= s.start < wanted.end]
        store.write_statuses([s for s in statuses if csfs is None or s.csf in csfs])
        revisions = [r for r in out.revisions if wanted.start <= r.start < wanted.end]
        store.write_revisions([r for r in revisions if kpis is None or r.kpi in kpis])
        if kpis is None:
            store.write_exits(out.exits)
            store.write_happenings(out.happenings)
        written += len(values)
    return written


def _await_worker(instance: Instance, settings: Settings, tell: Callable[[str], None]) -> None:
    """Wait until the worker of the embedded default serves again, if one runs."""
    state = read_state(settings.data_dir)
    if settings.bootstrap is None and state is not None and state.worker:
        tell("waiting for the worker ...")
        instance.await_ready()
