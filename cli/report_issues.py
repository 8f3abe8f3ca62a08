"""``csf report issue|list|show|compare``: numbered issues, kept as data files."""

from __future__ import annotations

import getpass
import time
from datetime import datetime
from pathlib import Path

import click

from cli.options import config_option, data_dir_option, format_option
from cli.output import print_rows, say
from cli.report import (
    Reading,
    evidence_options,
    opened,
    put,
    render_options,
    report,
    scope_option,
)
from cli.settings import Settings, load_settings
from pipeline.errors import ConfigError, CsfError
from pipeline.report.differences import differences
from pipeline.report.model import Difference, Report
from pipeline.report.texts import report_texts
from pipeline.time.calendar import Calendar
from reports.issues import Issues

_DIFFERENCE_COLUMNS = ["what", "old", "new", "reason"]
_LIST_COLUMNS = ["number", "month", "scope", "state", "revision", "cut_off", "issued_at", "by", "differences"]
number_argument = click.argument("number", metavar="ISSUE", type=click.IntRange(1))


def local_now(calendar: Calendar) -> str:
    """Return this machine's time, local to the organisation, to the second."""
    return datetime.fromtimestamp(int(time.time()), calendar.zone).isoformat()


def issue_month(reading: Reading, found: Report, by: str, *, force: bool = False) -> tuple[Report, bool]:
    """Issue a draft, and write what it says into the KPI store for dashboards; return the issue and whether it is new.

    The issue stands also where the store does not take its texts: that is told, and done with the next issue.
    """
    settings, calendar = reading.settings, Calendar(reading.catalogue.organisation.zone)
    issued, new = Issues(settings.issues_path).issue(found, by, local_now(calendar), force=force)
    try:
        store = settings.open_store()
        try:
            store.write_report_texts(report_texts(issued, calendar.parse_month(issued.month)))
        finally:
            store.close()
    except CsfError as e:
        say(f"csf: dashboards do not show this issue yet: {e}", err=True)
    return issued, new


@report.command()
@click.argument("month")
@config_option
@data_dir_option
@scope_option
@evidence_options
@click.option("--by", help="Who issues it [default: your user name].")
@click.option("--force", is_flag=True, help="Though it does not differ from the issue before.")
def issue(
    month: str, config: Path | None, data_dir: Path | None, scope: str, asked: tuple[str, ...], no_evidence: bool,
    by: str | None, force: bool,
) -> None:  # fmt: skip
    """Issue a month's report: keep it as a numbered data file that never changes.

    Issuing it again makes a new issue only where something differs, with the list of what and why.
    """
    settings = load_settings(config, data_dir=data_dir)
    with opened(settings) as reading:
        draft = reading.build(month, scope, asked, evidence=not no_evidence, whole=True)
        issued, new = issue_month(reading, draft, by or getpass.getuser(), force=force)
    assert issued.issue is not None
    number = issued.issue.number
    if not new:
        say(f"{draft.month} of {scope} does not differ from issue {number}: nothing was issued (--force does)")
        return
    _tell(settings, issued)
    for d in issued.issue.differences:
        say(f"  {_sentence(d)}")


def _tell(settings: Settings, issued: Report) -> None:
    assert issued.issue is not None
    state = "to date" if issued.state == "to_date" else f"revision {issued.revision}"
    path = Issues(settings.issues_path).path(issued.issue.number)
    say(f"issue {issued.issue.number}: {issued.month} of {issued.scope}, {state}, in {path}")


def _sentence(d: Difference) -> str:
    return f"{d.what}: {d.old} → {d.new}" + (f" ({d.reason})" if d.reason else "")


@report.command("list")
@config_option
@data_dir_option
@format_option
def list_issues(config: Path | None, data_dir: Path | None, fmt: str) -> None:
    """List all issues, oldest first."""
    issues = Issues(load_settings(config, data_dir=data_dir).issues_path)
    rows: list[dict[str, object]] = [
        {
            "number": e.issue.number,
            "month": e.month,
            "scope": e.scope,
            "state": e.state,
            "revision": e.revision,
            "cut_off": e.cut_off,
            "issued_at": e.issue.at,
            "by": e.issue.by,
            "differences": len(e.issue.differences),
        }
        for e in issues.entries()
    ]
    print_rows(rows, _LIST_COLUMNS, fmt)


@report.command()
@number_argument
@config_option
@data_dir_option
@render_options
def show(
    number: int, config: Path | None, data_dir: Path | None, fmt: str, out: Path | None
) -> None:  # fmt: skip
    """Show an issue, from its data file alone."""
    put(Issues(load_settings(config, data_dir=data_dir).issues_path).load(number), fmt, out)


@report.command()
@click.argument("first", metavar="ISSUE", type=click.IntRange(1))
@click.argument("second", metavar="ISSUE", type=click.IntRange(1))
@config_option
@data_dir_option
@format_option
def compare(first: int, second: int, config: Path | None, data_dir: Path | None, fmt: str) -> None:
    """List what differs between two issues: figures, targets, definitions, verdicts, words."""
    issues = Issues(load_settings(config, data_dir=data_dir).issues_path)
    found = differences(issues.load(first), issues.load(second))
    if not found and fmt == "table":
        say(f"issues {first} and {second} say the same")
        return
    print_rows([{c: getattr(d, c) for c in _DIFFERENCE_COLUMNS} for d in found], _DIFFERENCE_COLUMNS, fmt)


def load_issue(settings: Settings, number: int) -> Report:
    """Return an issue.

    Raises:
        ConfigError: there is none of that number.
    """
    found = Issues(settings.issues_path).load(number)
    if found.issue is None:
        raise ConfigError(f"{Issues(settings.issues_path).path(number)} is a draft, no issue")
    return found
