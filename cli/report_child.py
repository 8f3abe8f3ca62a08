"""The console's reports, each built in a process of its own: a worker's event loop never waits for one.

``python -m cli.report_child built MONTH SCOPE`` (``latest`` for the newest month that is over), ``issue NUMBER``, or
``rendered FORM`` with a report's data file on standard input. The answer is on standard output; a sentence on standard
error and exit code 2 say what is wrong with what was asked, exit code 1 that something else is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from urllib.parse import urlencode

import msgspec

from cli.extras import extras_named
from cli.report import opened
from cli.settings import load_settings
from pipeline.errors import ConfigError, CsfError
from pipeline.report.model import Report
from reports.html import Links, render
from reports.issues import Issues, decode, encode
from reports.rendering import render as render_form

#: Behind what measures: a worker on the same machine goes first.
_NICE = 10


class Answer(msgspec.Struct, frozen=True):
    """A report as the console takes it."""

    month: str
    document: bytes
    page: bytes


def built(month: str, scope: str) -> bytes:
    """Return an answer with the report of a month and a scope as of now."""
    with opened(load_settings()) as reading:
        return _answer(reading.build(month, scope))


def issue(number: str) -> bytes:
    """Return an answer with an issued report."""
    return _answer(Issues(load_settings().issues_path).load(int(number)))


def rendered(form: str) -> bytes:
    """Return the report on standard input in a form."""
    return render_form(decode(sys.stdin.buffer.read(), "standard input"), form)


def _answer(report: Report) -> bytes:
    page = render(report, console_links(report)).encode()
    return msgspec.msgpack.encode(Answer(report.month, encode(report), page))


def console_links(report: Report) -> Links:
    """Return where figures and concerns of a report lead in the console."""
    of = {kpi.id: kpi.csf for csf in report.csfs for kpi in csf.kpis}
    scope = {} if report.scope == "org" else {"scope": report.scope}
    return Links(
        kpi=lambda kpi: f"/csf/{of[kpi]}?{urlencode({'month': report.month, 'kpi': kpi, **scope})}",
        open_sip=lambda kpi: f"/sips?{urlencode({'open': '1', 'kpi': kpi, **scope})}",
    )


_DOES: dict[str, Callable[..., bytes]] = {"built": built, "issue": issue, "rendered": rendered}


def main(arguments: list[str]) -> int:
    """Do what is asked and return the exit code."""
    os.nice(_NICE)
    try:
        with extras_named():
            answer = _DOES[arguments[0]](*arguments[1:])
    except CsfError as e:
        print(e, file=sys.stderr)  # noqa: T201 - the parent reads it
        return 2 if isinstance(e, ConfigError) else 1
    sys.stdout.buffer.write(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
