"""``csf sip``: Service Improvement Programmes, from the register."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

import click
import msgspec
from msgspec import UNSET

from cli.desk import VIA, Office, author, by_option, office, place_options, why_option
from cli.options import format_option
from cli.output import counted, json_text, print_rows, rows_text, say
from pipeline.errors import ConfigError
from pipeline.report.desk import sip_id
from pipeline.report.entering import SipChange, SipDraft
from pipeline.report.kpireport import Point
from pipeline.report.model import SipReport, SipStatus
from pipeline.report.programmes import in_report, read_months, sip_reports
from pipeline.report.register import Entry, Sip, fold_sips
from pipeline.report.trail import changes, did
from pipeline.report.words import SIP_RESULTS, SIP_STATUSES, quantity

_LIST = ["id", "kpi", "scope", "title", "owner", "status", "due", "baseline", "goal", "value", "unit", "result"]
_EXPORT = ["sip", "title", "kpi", "scope", "status", "result", "at", "who", "via", "kind", "field", "value", "why"]
_open_statuses = [s for s in get_args(SipStatus) if s != "closed"]


@click.group()
def sip() -> None:
    """Service Improvement Programmes: open one for a KPI, and see whether the KPI really moves."""


@sip.command("open")
@click.argument("kpi", metavar="KPI")
@click.option("--title", required=True, help="What is to get better, in a few words.")
@click.option("--goal", type=float, required=True, help="The value the KPI is to reach, in its unit.")
@click.option("--owner", required=True, help="Who answers for it.")
@click.option("--scope", default="org", show_default=True, help="org, team:ID, service:ID.")
@click.option("--baseline", type=float, help="The value to start from [default: that of the latest closed month].")
@click.option("--start", help="First day, 2026-10-05 [default: today].")
@click.option("--due", help="The day by which the goal is to be reached, 2026-12-31.")
@click.option("--action", "actions", multiple=True, help="What is done for it; may be repeated.")
@why_option
@by_option
@place_options
def open_(
    kpi: str, title: str, goal: float, owner: str, scope: str, baseline: float | None, start: str | None,
    due: str | None, actions: tuple[str, ...], why: str, by: str | None, config: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Open a programme for a KPI, for example: csf sip open mttr --goal 6 --title "Resolve sooner" --owner "Service desk"."""
    draft = SipDraft(
        kpi=kpi, title=title, goal=goal, owner=owner, scope=scope, start=start, due=due, actions=list(actions), why=why,
        baseline=UNSET if baseline is None else baseline,
    )  # fmt: skip
    with office(config, data_dir, read_only=False) as here:
        made = here.desk.open(draft, author(by), VIA)
        say(f"{made.id} is open")
        _print_sip(here, made)


@sip.command("list")
@click.option("--scope", help="Only of this scope and what it holds.")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@format_option
@place_options
def list_(scope: str | None, everything: bool, fmt: str, config: Path | None, data_dir: Path | None) -> None:
    """List programmes with their results: working, not yet, worse, met."""
    with office(config, data_dir, read_only=True) as here:
        sips = list(fold_sips(here.register.entries()).values())
        if scope is not None:
            sips = [s for s in sips if in_report([s], here.catalogue, scope, s.start[:7])]
        shown = [s for s in sips if everything or s.status != "closed"]
        reports = reported(here, shown)
    if fmt == "json":
        click.echo(json_text(msgspec.to_builtins(reports)), nl=False)
    elif not reports and fmt == "table":
        say("there is no programme" + ("" if everything or not sips else f" but {len(sips)} closed: --all shows them"))
    else:
        print_rows([_row(r) for r in reports], _LIST, fmt)


@sip.command("show")
@click.argument("ident", metavar="ID")
@click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True)
@place_options
def show(ident: str, fmt: str, config: Path | None, data_dir: Path | None) -> None:
    """Show one programme: its plan, its KPI since the start, its result and why, and who changed what."""
    with office(config, data_dir, read_only=True) as here:
        entries = here.register.entries(subject=sip_id(ident))
        found = fold_sips(entries).get(sip_id(ident))
        if found is None:
            raise ConfigError(f"there is no programme {sip_id(ident)}; `csf sip list --all` names them")
        if fmt == "json":
            document = {**_document(here, found, entries), "actions": msgspec.to_builtins(found.actions)}
            click.echo(json_text(document), nl=False)
            return
        _print_sip(here, found)
        say("Audit trail:")
        for entry in entries:
            why = f" ({entry.why})" if entry.why else ""
            say(f"  {here.local(entry.at)}  {entry.who} ({entry.via}) {did(entry)}{why}")
            for phrase in changes(entry, found, here.catalogue.kpis.get(found.kpi)):
                say(f"      {phrase}")


@sip.command("update")
@click.argument("ident", metavar="ID")
@click.option("--title", help="Another title.")
@click.option("--owner", help="Another owner.")
@click.option("--goal", type=float, help="Another goal.")
@click.option("--baseline", type=float, help="Another value to start from.")
@click.option("--due", help="Another day by which the goal is to be reached; 'none' takes it away.")
@click.option("--status", type=click.Choice(_open_statuses), help="Where it stands; `csf sip close` closes it.")
@click.option("--add", multiple=True, help="One more action; may be repeated.")
@click.option("--done", type=int, multiple=True, help="Number of an action that is done; may be repeated.")
@click.option("--undone", type=int, multiple=True, help="Number of an action that is not done after all.")
@why_option
@by_option
@place_options
def update(
    ident: str, title: str | None, owner: str | None, goal: float | None, baseline: float | None, due: str | None,
    status: Any, add: tuple[str, ...], done: tuple[int, ...], undone: tuple[int, ...], why: str, by: str | None,
    config: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Change a programme; what is not said stays."""
    change = SipChange(
        title=UNSET if title is None else title, owner=UNSET if owner is None else owner,
        goal=UNSET if goal is None else goal, baseline=UNSET if baseline is None else baseline,
        due=UNSET if due is None else None if due == "none" else due, status=UNSET if status is None else status,
        add=list(add), done=list(done), undone=list(undone), why=why,
    )  # fmt: skip
    with office(config, data_dir, read_only=False) as here:
        made = here.desk.update(ident, change, author(by), VIA)
        say(f"{made.id} is changed")
        _print_sip(here, made)


@sip.command("close")
@click.argument("ident", metavar="ID")
@click.option("--why", required=True, help="What was reached, or why it ends.")
@by_option
@place_options
def close(ident: str, why: str, by: str | None, config: Path | None, data_dir: Path | None) -> None:
    """Close a programme and say why."""
    with office(config, data_dir, read_only=False) as here:
        made = here.desk.close(ident, why, author(by), VIA)
        say(f"{made.id} is closed")
        _print_sip(here, made)


@sip.command("export")
@click.option("--format", "fmt", type=click.Choice(["json", "csv"]), default="json", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write [default: print it].")
@place_options
def export(fmt: str, out: Path | None, config: Path | None, data_dir: Path | None) -> None:
    """Export all programmes with their audit trails: who changed what, when and why."""
    with office(config, data_dir, read_only=True) as here:
        entries = here.register.entries()
        sips = list(fold_sips(entries).values())
        own = {s.id: [e for e in entries if e.subject == s.id] for s in sips}
        if fmt == "json":
            exported = json_text([_document(here, s, own[s.id]) for s in sips])
        else:
            rows = [row for s, r in zip(sips, reported(here, sips), strict=True) for row in _trail(here, r, own[s.id])]
            exported = rows_text(rows, _EXPORT, "csv")
    if out is None:
        click.echo(exported, nl=False)
        return
    try:
        out.write_text(exported)
    except OSError as e:
        raise ConfigError(f"{out} cannot be written: {e.strerror}; name another with --out") from None
    say(f"{counted(len(sips), 'programme')} in {out}", err=True)


def reported(here: Office, sips: Sequence[Sip]) -> list[SipReport]:
    """Return programmes with how their KPIs have moved up to now."""
    today = here.today
    months = {}
    if here.store is not None:
        months = read_months(here.store, sips, here.catalogue, today.isoformat()[:7], here.clock)
    return sip_reports(sips, months, here.catalogue, today)


def _row(report: SipReport) -> dict[str, object]:
    fields: dict[str, object] = msgspec.to_builtins(report)
    status, result = SIP_STATUSES[report.status], SIP_RESULTS[report.result].lower()
    return {**fields, "status": status + (", overdue" if report.overdue else ""), "result": result}


def _document(here: Office, found: Sip, entries: Iterable[Entry]) -> dict[str, Any]:
    (report,) = reported(here, [found])
    trail = [{**msgspec.to_builtins(e), "at": here.local(e.at)} for e in entries]
    fields = {"closed_on": found.closed_on, "baseline_month": found.baseline_month}
    return {**msgspec.to_builtins(report), **fields, "entries": trail}


def _trail(here: Office, report: SipReport, entries: Iterable[Entry]) -> Iterable[dict[str, object]]:
    """Return a row for every field that every entry changed."""
    for entry in entries:
        for field, value in entry.changes.items():
            yield {
                "sip": report.id, "title": report.title, "kpi": report.kpi, "scope": report.scope,
                "status": report.status, "result": report.result, "at": here.local(entry.at), "who": entry.who,
                "via": entry.via, "kind": entry.kind, "field": field, "value": value, "why": entry.why,
            }  # fmt: skip


def _months(history: Sequence[Point], figure: Callable[[float | None], str]) -> str:
    """Return the months of a programme's KPI up to the last known one, and that it is unknown since."""
    last = max((i for i, p in enumerate(history, 1) if p.value is not None), default=0)
    if not last:
        return f"unknown since {history[0].month}"
    known = ", ".join(f"{p.month} {figure(p.value)}" for p in history[:last])
    return known if last == len(history) else f"{known}; unknown since {history[last].month}"


def _print_sip(here: Office, found: Sip) -> None:
    (report,) = reported(here, [found])
    kpi = here.catalogue.kpis.get(report.kpi)

    def figure(value: float | None) -> str:
        return quantity(value, report.unit, kpi.decimals if kpi else 2)

    base = f" (in {found.baseline_month})" if found.baseline_month else ""
    due = f", due {report.due}" if report.due else ", without a due date"
    lines = [
        f"{report.id}  {report.title}",
        f"  {report.kpi_name} of {report.scope}: from {figure(report.baseline)}{base} to {figure(report.goal)}, "
        f"now {figure(report.value)}",
        f"  {SIP_STATUSES[report.status]}{' (overdue)' if report.overdue else ''}, since {report.opened}{due}; "
        f"owner: {report.owner}",
        f"  result: {SIP_RESULTS[report.result].lower()}: {report.result_reason}",
        *(f"  {'[x]' if a.done else '[ ]'} {i}. {a.text}" for i, a in enumerate(found.actions, 1)),
    ]
    if report.history:
        lines.append(f"  months: {_months(report.history, figure)}")
    for line in lines:
        say(line)
