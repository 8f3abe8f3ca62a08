"""``csf report deliver|due``: issues on their way to mailboxes and webhooks, by hand or by schedule."""

from __future__ import annotations

import logging
import re
import signal
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from cli.options import config_option, data_dir_option
from cli.output import OneLineFormatter, say
from cli.report import Reading, opened, report
from cli.report_issues import issue_month, load_issue, local_now, number_argument
from cli.settings import Settings, load_settings
from pipeline.catalogue.model import Organisation
from pipeline.errors import ConfigError, CsfError
from pipeline.report.model import Report
from pipeline.time.calendar import Calendar
from pipeline.time.due import newest_due
from reports.delivery import Deliveries, Outcome, deliver
from reports.issues import Issues
from reports.targets import Mailbox, MailServer, Target, Webhook, check_webhook

SCHEDULE = "schedule"
_SCHEDULE = re.compile(r"([1-9]|1\d|2[0-8]) ([01]\d|2[0-3]):([0-5]\d)")
#: What could not be delivered so long after it was issued is given up: somebody has been told again and again.
_GIVE_UP = timedelta(days=14)


def targets_of(settings: Settings) -> list[Target]:
    """Return where issues go by the settings.

    Raises:
        ConfigError: a setting is wrong or missing.
    """
    found: list[Target] = []
    recipients = _listed(settings.report_mail_to)
    if recipients:
        for name in ("smtp_host", "report_mail_from"):
            if not getattr(settings, name):
                raise ConfigError(f"report_mail_to needs {name}: set it in csf.yaml, or as CSF_{name.upper()}")
        for address in (*recipients, settings.report_mail_from):
            if not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address):
                raise ConfigError(f"'{address}' is no mail address (report_mail_to, report_mail_from)")
        server = MailServer(
            host=settings.smtp_host, port=settings.smtp_port, security=settings.smtp_security,
            username=settings.smtp_username, password=settings.smtp_password, sender=settings.report_mail_from,
            ca_file=settings.smtp_ca_file,
        )  # fmt: skip
        found += [Mailbox(server, address) for address in recipients]
    for url in _listed(settings.report_webhook):
        check_webhook(url)
        if not settings.report_webhook_secret:
            raise ConfigError("report_webhook needs a secret to sign with: set CSF_REPORT_WEBHOOK_SECRET, or ..._FILE")
        found.append(Webhook(url, settings.report_webhook_secret))
    return found


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


@report.command("deliver")
@number_argument
@config_option
@data_dir_option
def deliver_issue(number: int, config: Path | None, data_dir: Path | None) -> int:
    """Send an issue to every mailbox and webhook of the settings that has not got it yet."""
    settings = load_settings(config, data_dir=data_dir)
    targets = targets_of(settings)
    if not targets:
        raise ConfigError("there is nowhere to deliver to: set report_mail_to or report_webhook (docs/operations.md)")
    failed = _deliver(settings, load_issue(settings, number), targets)
    return 1 if failed else 0


def _deliver(settings: Settings, issued: Report, targets: list[Target]) -> int:
    """Deliver an issue and say what became of it; return how many targets did not get it."""
    assert issued.issue is not None
    calendar = Calendar(issued.zone)
    found = deliver(issued, targets, Deliveries(Issues(settings.issues_path)), lambda: local_now(calendar))
    for target, outcome in found.items():
        say(f"issue {issued.issue.number} to {target}: {_said(outcome)}")
    return sum(outcome.state != "delivered" for outcome in found.values())


def _said(outcome: Outcome) -> str:
    if outcome.state == "delivered":
        return f"delivered at {outcome.at}"
    return f"failed after {outcome.attempts} attempts, tried again by the next run: {outcome.detail}"


@report.command()
@config_option
@data_dir_option
@click.option("--watch", type=click.IntRange(10), metavar="SECONDS", help="Look again every so many seconds, for ever.")
def due(config: Path | None, data_dir: Path | None, watch: int | None) -> int:
    """Issue what report_schedule says is due, and deliver what was not delivered yet; doing it again changes nothing."""
    settings = load_settings(config, data_dir=data_dir)
    targets = check_due(settings)
    if watch is None:
        return 1 if _due(settings, targets) else 0
    _log_plainly()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        try:
            _due(settings, targets)
        except CsfError as e:  # the store does not answer, say: the next look tries again
            say(f"csf: {e}", err=True)
        stop.wait(watch)
    return 0


def check_due(settings: Settings) -> list[Target]:
    """Return where scheduled issues go.

    Raises:
        ConfigError: the schedule, or a setting of delivery, is wrong or missing.
    """
    if not _SCHEDULE.fullmatch(settings.report_schedule):
        raise ConfigError(
            f"report_schedule is '{settings.report_schedule}'; write day (1 to 28) and local time, like '3 08:00'"
        )
    return targets_of(settings)


def _log_plainly() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(OneLineFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _due(settings: Settings, targets: list[Target]) -> int:
    """Issue and deliver what is due; return how many deliveries failed."""
    if settings.store != "sqlite" or settings.store_path.exists():
        with opened(settings) as reading:
            month = due_month(reading.catalogue.organisation, settings.report_schedule, datetime.now(UTC))
            for scope in _listed(settings.report_scopes):
                try:
                    _issue_once(reading, month, scope)
                except CsfError as e:  # one scope that is wrong does not keep the others
                    say(f"csf: {e}", err=True)
    return sum(_deliver(settings, issued, targets) for issued in _undelivered(settings, targets))


def due_month(organisation: Organisation, schedule: str, now: datetime) -> str:
    """Return the newest month whose report is due at a time."""
    day, _, at = schedule.partition(" ")
    return f"{newest_due(organisation.zone, int(day), at, now):%Y-%m}"


def _issue_once(reading: Reading, month: str, scope: str) -> None:
    """Issue a month that is closed and was not issued by schedule before; corrections of it are issued by hand."""
    issues = Issues(reading.settings.issues_path)
    if any((e.month, e.scope, e.issue.by) == (month, scope, SCHEDULE) for e in issues.entries()):
        return
    found = reading.build(month, scope, whole=True)
    if found.state == "to_date":
        say(f"{month} of {scope} is due, but not closed yet: it waits for that (`csf month close {month}`)")
        return
    issued, _ = issue_month(reading, found, SCHEDULE, force=True)
    assert issued.issue is not None
    say(f"issue {issued.issue.number}: {month} of {scope}, by schedule")


def _undelivered(settings: Settings, targets: list[Target]) -> list[Report]:
    """Return scheduled issues that some target has not got."""
    issues = Issues(settings.issues_path)
    deliveries, oldest = Deliveries(issues), datetime.now(UTC) - _GIVE_UP
    found = []
    for entry in issues.entries():
        if entry.issue.by != SCHEDULE or datetime.fromisoformat(entry.issue.at) < oldest:
            continue
        known = deliveries.of(entry.issue.number)
        if any(t.name not in known or known[t.name].state != "delivered" for t in targets):
            found.append(issues.load(entry.issue.number))
    return found
