"""Issues on their way: real SMTP conversations and HTTP requests, each target once, every outcome recorded."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import stamina
import trustme

from cli.report_delivery import due_month, targets_of
from cli.settings import Settings
from pipeline.catalogue.model import Organisation
from pipeline.errors import ConfigError
from pipeline.report.model import Report
from reports import targets as module
from reports.delivery import Deliveries, Outcome, deliver
from reports.issues import Issues
from reports.targets import Mailbox, MailServer, Webhook, check_webhook
from tests.report.smtp import Server, mail_server
from tests.report.test_issues import AT, draft

SECRET = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No waiting between attempts, and a PDF that takes no time."""
    monkeypatch.setattr(module, "render", lambda _report, _form: b"%PDF-1.7 a report")
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
def issued(tmp_path: Path) -> Report:
    return Issues(tmp_path).issue(draft(), "Ann", AT)[0]


def server_at(server: Server, **more: Any) -> MailServer:
    fields: dict[str, Any] = {"security": "none", "username": None, "password": None, "sender": "csf@example.org", **more}  # fmt: skip
    return MailServer(host="127.0.0.1", port=server.port, **fields)


def sent(tmp_path: Path, report: Report, *targets: Any) -> dict[str, Outcome]:
    return deliver(report, targets, Deliveries(Issues(tmp_path)), lambda: AT)


def test_a_mail_has_the_summary_as_text_and_the_pdf_attached(tmp_path: Path, issued: Report) -> None:
    with mail_server() as server:
        outcome = sent(tmp_path, issued, Mailbox(server_at(server), "board@example.org"))
        ((sender, recipients, mail),) = server.mails
    assert outcome["mail board@example.org"] == Outcome(state="delivered", at=AT, attempts=1)
    assert (sender, recipients) == ("csf@example.org", ["board@example.org"])
    assert mail["Subject"] == "Monthly Operating Report October 2026, Organisation: unknown"
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert issued.summary.headline in text
    for csf in issued.csfs:
        assert csf.name in text
    (pdf,) = mail.iter_attachments()
    assert pdf.get_content_type() == "application/pdf"
    assert pdf.get_filename() == "report-2026-10-org-issue-1.pdf"
    assert pdf.get_content() == b"%PDF-1.7 a report"


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_goes_encrypted_with_a_password_to_a_server_that_proves_itself(
    tmp_path: Path, issued: Report, security: str
) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    secure: dict[str, Any] = {"security": security, "username": "csf", "password": SECRET}
    with mail_server(context, SECRET, implicit=security == "tls") as server:
        stranger = sent(tmp_path, issued, Mailbox(server_at(server, **secure), "a@example.org"))["mail a@example.org"]
        assert stranger.state == "failed"
        assert "does not prove who it is" in stranger.detail
        known = server_at(server, **secure, ca_file=tmp_path / "ca.pem")
        assert sent(tmp_path, issued, Mailbox(known, "a@example.org"))["mail a@example.org"].state == "delivered"
        assert server.encrypted == [True]
        wrong = server_at(server, **{**secure, "password": "wrong"}, ca_file=tmp_path / "ca.pem")
        refused = sent(tmp_path, issued, Mailbox(wrong, "b@example.org"))["mail b@example.org"]
        assert (refused.state, refused.attempts) == ("failed", 1)
        assert "refuses smtp_username and smtp_password (535)" in refused.detail
    kept = "".join(p.read_text() for p in tmp_path.glob("*.deliveries.json"))
    assert SECRET not in kept
    assert SECRET not in repr(known)


def test_each_target_gets_an_issue_once_and_one_that_failed_is_tried_again(tmp_path: Path, issued: Report) -> None:
    with mail_server() as server:
        boxes = [Mailbox(server_at(server), f"{n}@example.org") for n in ("a", "b")]
        server.refused_recipients = {"b@example.org"}
        first = sent(tmp_path, issued, *boxes)
        assert first["mail a@example.org"].state == "delivered"
        assert "refuses b@example.org: 550 nobody of that name" in first["mail b@example.org"].detail
        server.refused_recipients = set()
        second = sent(tmp_path, issued, *boxes)
        assert second["mail b@example.org"] == Outcome(state="delivered", at=AT, attempts=2)
        sent(tmp_path, issued, *boxes)
        assert [to for _, to, _ in server.mails] == [["a@example.org"], ["b@example.org"]]


def test_a_server_that_says_later_is_asked_again_in_the_same_run_with_the_same_id(
    tmp_path: Path, issued: Report
) -> None:
    with mail_server() as server:
        server.refusals = ["451 later", "421 busy"]
        box = Mailbox(server_at(server), "a@example.org")
        assert sent(tmp_path, issued, box)[box.name] == Outcome(state="delivered", at=AT, attempts=3)
        server.refusals = ["451 later"] * 9
        other = Mailbox(server_at(server), "b@example.org")
        failed = sent(tmp_path, issued, other)[other.name]
        assert (failed.state, failed.attempts) == ("failed", 3)
        assert "451 later" in failed.detail
        ids = {mail["Message-ID"] for _, _, mail in server.mails}
        assert len(ids) == 1
    gone = sent(tmp_path, issued, Mailbox(server_at(server), "c@example.org"))["mail c@example.org"]
    assert "does not answer" in gone.detail


def test_an_attempt_that_was_broken_off_is_made_again(tmp_path: Path, issued: Report) -> None:
    deliveries = Deliveries(Issues(tmp_path))
    with mail_server() as server:
        box = Mailbox(server_at(server), "a@example.org")
        deliveries.note(1, box.name, Outcome(state="sending", at=AT, attempts=1))
        assert sent(tmp_path, issued, box)[box.name] == Outcome(state="delivered", at=AT, attempts=2)


def test_hostile_names_break_no_header(tmp_path: Path) -> None:
    report = draft()
    report.scope_name = "Shop\r\nBcc: all@example.org"
    issued, _ = Issues(tmp_path).issue(report, "Ann", AT)
    with mail_server() as server:
        sent(tmp_path, issued, Mailbox(server_at(server), "a@example.org"))
        ((_, recipients, mail),) = server.mails
    assert recipients == ["a@example.org"]
    assert mail["Bcc"] is None


@contextmanager
def receiver(*answers: int) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """Run an HTTP receiver that gives these answers, the last one for ever."""
    got: list[tuple[dict[str, str], bytes]] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook/s3cr3t-path", got
    finally:
        server.shutdown()
        server.server_close()


def test_a_webhook_gets_a_signed_document_once(tmp_path: Path, issued: Report) -> None:
    with receiver(503, 200) as (url, got):
        hook = Webhook(url, SECRET)
        assert sent(tmp_path, issued, hook)[hook.name] == Outcome(state="delivered", at=AT, attempts=2)
        sent(tmp_path, issued, hook)
    assert len(got) == 2
    (_, before), (headers, body) = got
    assert before == body
    fields = dict(part.split("=") for part in headers["CSF-Signature"].split(","))
    signed = hmac.new(SECRET.encode(), f"{fields['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(fields["v1"], signed)
    assert abs(int(fields["t"]) - datetime.now(UTC).timestamp()) < 60
    document = json.loads(body)
    assert document["event"] == "report.issued"
    assert document["report"]["month"] == "2026-10"
    assert document["report"]["issue"]["number"] == 1
    assert all(not k["services"] and not k["evidence"] for c in document["report"]["csfs"] for k in c["kpis"])
    assert {h["CSF-Delivery"] for h, _ in got} == {headers["CSF-Delivery"]}


def test_a_webhook_that_refuses_is_not_asked_again_in_this_run_and_its_address_is_told_nobody(
    tmp_path: Path, issued: Report
) -> None:
    with receiver(410) as (url, got):
        hook = Webhook(url, SECRET)
        outcome = sent(tmp_path, issued, hook)[hook.name]
    assert (outcome.state, outcome.attempts, len(got)) == ("failed", 1, 1)
    told = f"{outcome} {hook!r} {hook.name} {Deliveries(Issues(tmp_path)).of(1)}"
    assert "s3cr3t-path" not in told
    assert SECRET not in told


def test_a_redirect_is_not_followed(tmp_path: Path, issued: Report) -> None:
    with receiver(302) as (url, got):
        hook = Webhook(url, SECRET)
        assert sent(tmp_path, issued, hook)[hook.name].state == "failed"
        assert len(got) == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"report_mail_to": "a@b.c"}, "report_mail_to needs smtp_host"),
        ({"report_mail_to": "a@b.c", "smtp_host": "h"}, "report_mail_to needs report_mail_from"),
        ({"report_mail_to": "nobody", "smtp_host": "h", "report_mail_from": "x@y.z"}, "'nobody' is no mail address"),
        ({"report_webhook": "https://h/x"}, "report_webhook needs a secret to sign with"),
        ({"report_webhook": "http://h.example/x", "report_webhook_secret": "s"}, "in the open; use https"),
        ({"report_webhook": "h/x", "report_webhook_secret": "s"}, "is no address"),
    ],
)
def test_settings_that_lack_something_are_told(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        targets_of(Settings(**settings))


def test_every_recipient_and_address_is_a_target_of_its_own() -> None:
    found = targets_of(Settings(report_mail_to="a@b.c, d@e.f,a@b.c", smtp_host="h", report_mail_from="x@y.z",
                                report_webhook="https://h/x, https://h/y", report_webhook_secret=SECRET))  # fmt: skip
    assert len(found) == 4
    assert len({t.name for t in found}) == 4
    check_webhook("http://127.0.0.1:8080/x")


@pytest.mark.parametrize(
    ("now", "month"),
    [("2026-11-03T07:59:00", "2026-09"), ("2026-11-03T08:00:00", "2026-10"), ("2027-01-02T12:00:00", "2026-11")],
)
def test_a_month_is_due_on_its_day_at_its_local_time(now: str, month: str) -> None:
    zoned = Organisation(zone="Europe/Zurich")
    assert due_month(zoned, "3 08:00", datetime.fromisoformat(f"{now}+01:00")) == month
