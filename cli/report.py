"""``csf report``: the Monthly Operating Report of a month and a scope, as a draft or as a numbered issue."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from cli.options import config_option, data_dir_option
from cli.output import say
from cli.settings import Settings, load_settings
from pipeline.catalogue.model import Catalogue
from pipeline.errors import ConfigError
from pipeline.report.build import build_report
from pipeline.report.model import Report
from pipeline.stores.port import KpiStore
from reports.closing import closed_at
from reports.evidence import with_evidence
from reports.reading import ReportReader
from reports.register import with_register
from reports.rendering import FORMATS, file_name, render

_F = TypeVar("_F", bound=Callable[..., Any])
_DRAFT = "draft"


#: Commands of other modules, which are imported when they are used.
_ELSEWHERE = {
    "issue": "cli.report_issues", "list": "cli.report_issues", "show": "cli.report_issues",
    "compare": "cli.report_issues", "deliver": "cli.report_delivery", "due": "cli.report_delivery",
}  # fmt: skip


class ReportGroup(click.Group):
    """A group whose first word may be a month: ``csf report 2026-10`` is ``csf report draft 2026-10``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of use."""
        return [_DRAFT, *_ELSEWHERE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name in _ELSEWHERE:
            importlib.import_module(_ELSEWHERE[cmd_name])
        return super().get_command(ctx, cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command's name before a month or its options."""
        if args and args[0] not in self.list_commands(ctx) and args[0] not in {"-h", "--help"}:
            args = [_DRAFT, *args]
        return super().parse_args(ctx, args)


@click.group(cls=ReportGroup, subcommand_metavar="MONTH | COMMAND [ARGS]...")
def report() -> None:
    """The Monthly Operating Report: csf report MONTH [--scope ...] [--format ...] [--out FILE].

    MONTH is written like 2026-10; latest is the newest one that is over. Options: csf report draft --help.
    """


def scope_option(command: _F) -> _F:
    """Add --scope."""
    return click.option("--scope", default="org", show_default=True, help="org, team:ID or service:ID.")(command)


def render_options(command: _F) -> _F:
    """Add --format and --out."""
    command = click.option(
        "--out", type=click.Path(path_type=Path), help="File [default: printed; html and pdf: report-MONTH-SCOPE]."
    )(command)
    return click.option(
        "--format", "fmt", type=click.Choice(list(FORMATS)), default="json", show_default=True, help="In which form."
    )(command)


def evidence_options(command: _F) -> _F:
    """Add --evidence."""
    command = click.option(
        "--no-evidence", is_flag=True, help="Do not look for incident and change numbers in the event archive."
    )(command)
    return click.option(
        "--evidence", "asked", multiple=True, metavar="KPI", help="List all numbers behind this KPI; may be repeated."
    )(command)


@report.command(_DRAFT)
@click.argument("month")
@config_option
@data_dir_option
@scope_option
@render_options
@evidence_options
def draft(
    month: str, config: Path | None, data_dir: Path | None, scope: str, fmt: str, out: Path | None,
    asked: tuple[str, ...], no_evidence: bool,
) -> None:  # fmt: skip
    """Show a month's report as of now, without issuing it."""
    settings = load_settings(config, data_dir=data_dir)
    with opened(settings) as reading:
        found = reading.build(month, scope, asked, evidence=not no_evidence)
    put(found, fmt, out)


class Reading:
    """An open store, and what reports are built from besides it."""

    def __init__(self, settings: Settings, catalogue: Catalogue, store: KpiStore) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self.store = store
        self.reader = ReportReader(store, catalogue, time.time())

    def build(
        self, month: str, scope: str, asked: tuple[str, ...] = (), *, evidence: bool = True, whole: bool = False
    ) -> Report:
        """Return the report of a month (or ``latest``) and a scope.

        Args:
            month: see ``ReportReader.month``.
            scope: ``org``, ``team:ID`` or ``service:ID``.
            asked: KPIs of which all entities are wanted.
            evidence: whether entities are looked for at all.
            whole: look for them however large the archive is, for a report that is kept.

        Raises:
            ConfigError: month, scope or KPI are wrong.
        """
        for kpi in asked:
            if kpi not in self.catalogue.kpis:
                raise ConfigError(f"--evidence {kpi}: is not in the catalogue; `csf catalogue list` names them")
        self.reader.check_scope(scope)
        inputs = self.reader.read(self.reader.month(month, scope), scope)
        archive = self.settings.data_dir / "archive" if self.settings.archive else None
        if any(v.revision == 1 for v in inputs.values):
            inputs = msgspec.structs.replace(
                inputs, closed_at=closed_at(archive, inputs.month, self.reader.end(inputs))
            )
        register = self.settings.open_register(read_only=True)
        try:
            inputs = with_register(inputs, self.catalogue, register, self.store)
        finally:
            register.close()
        if evidence:
            inputs = with_evidence(inputs, self.catalogue, archive, asked, whole=whole)
        return build_report(self.catalogue, inputs)


@contextmanager
def opened(settings: Settings) -> Iterator[Reading]:
    """Open the store for reading.

    Raises:
        ConfigError: there is nothing in it yet.
    """
    settings.check_values()
    store = settings.open_store(read_only=True)
    try:
        yield Reading(settings, settings.load_catalogue(), store)
    finally:
        store.close()


def put(found: Report, fmt: str, out: Path | None) -> None:
    """Render a report and write it to a file, or print it where its form is text and no file is named.

    Raises:
        ConfigError: the file cannot be written.
    """
    data = render(found, fmt)
    if str(out) == "-" or (out is None and FORMATS[fmt].on_screen):
        click.echo(data, nl=False)
        return
    path = out or Path(file_name(found, fmt))
    try:
        path.write_bytes(data)
    except OSError as e:
        raise ConfigError(f"{path} cannot be written: {e.strerror}; name another file with --out") from None
    say(f"{path} is written: {found.scope_name}, {found.month}, {len(data):,} bytes")
