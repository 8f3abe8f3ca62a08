"""``csf comment``: one signed, dated word of a manager on a CSF in a month's report."""

from __future__ import annotations

from pathlib import Path

import click

from cli.desk import VIA, author, by_option, office, place_options, why_option
from cli.options import format_option
from cli.output import print_rows, say
from pipeline.report.entering import CommentDraft
from pipeline.report.register import fold_comments

_LIST = ["month", "scope", "csf", "author", "at", "text"]
_LOG = ["month", "scope", "csf", "who", "via", "at", "text", "why"]
_month = click.option("--month", required=True, help="The month it is about, 2026-10.")
_scope = click.option("--scope", default="org", show_default=True, help="org, team:ID, service:ID.")


@click.group()
def comment() -> None:
    """Comments print beside the report's text, never instead of it; one a CSF, month and scope."""


@comment.command("set")
@click.argument("csf", metavar="CSF")
@_month
@_scope
@click.option("--text", required=True, help="At most 2,000 characters; - reads it from standard input.")
@why_option
@by_option
@place_options
def set_(
    csf: str, month: str, scope: str, text: str, why: str, by: str | None, config: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Comment on a CSF; a comment that stands is replaced, and stays in the log."""
    if text == "-":
        text = click.get_text_stream("stdin").read()
    draft = CommentDraft(csf=csf, month=month, scope=scope, text=text, why=why)
    with office(config, data_dir, read_only=False) as here:
        entry = here.desk.comment(draft, author(by), VIA)
        say(f"{entry.who} has commented on {csf} of {scope} in {month}")


@comment.command("withdraw")
@click.argument("csf", metavar="CSF")
@_month
@_scope
@why_option
@by_option
@place_options
def withdraw(
    csf: str, month: str, scope: str, why: str, by: str | None, config: Path | None, data_dir: Path | None
) -> None:
    """Take a comment out of the report; it stays in the log."""
    draft = CommentDraft(csf=csf, month=month, scope=scope, text=None, why=why)
    with office(config, data_dir, read_only=False) as here:
        entry = here.desk.comment(draft, author(by), VIA)
        say(f"{entry.who} has withdrawn the comment on {csf} of {scope} in {month}")


@comment.command("list")
@click.option("--month", help="Only of this month.")
@click.option("--scope", help="Only of this scope.")
@click.option("--log", is_flag=True, help="Every comment ever made, replaced and withdrawn ones too.")
@format_option
@place_options
def list_(
    month: str | None, scope: str | None, log: bool, fmt: str, config: Path | None, data_dir: Path | None
) -> None:
    """List the comments that stand, or all that were ever made."""
    with office(config, data_dir, read_only=True) as here:
        entries = [e for e in here.register.entries() if e.kind.startswith("comment.")]
        rows: list[dict[str, object]]
        if log:
            rows = [{**e.changes, "who": e.who, "via": e.via, "at": here.local(e.at), "why": e.why} for e in entries]
        else:
            rows = [
                {"month": m, "scope": s, "csf": c.csf, "author": c.author, "at": c.at, "text": c.text}
                for (m, s), comments in sorted(fold_comments(entries, here.calendar).items())
                for c in comments.values()
            ]
    shown = [r for r in rows if month in {None, r["month"]} and scope in {None, r["scope"]}]
    if not shown and fmt == "table":
        say("there is no comment")
    else:
        print_rows(shown, _LOG if log else _LIST, fmt)
