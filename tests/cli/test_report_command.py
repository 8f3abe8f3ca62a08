"""``csf report`` on a store: forms, files, issues, and what is due by schedule, delivered once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.stores.sqlite import SqliteStore
from pipeline.time.due import newest_due
from pipeline.values import Exits, KpiValue
from tests.cli import running
from tests.cli.running import Done
from tests.paths import ROOT
from tests.report.smtp import mail_server
from tests.report.test_build import CALENDAR
from tests.report.test_delivery import receiver

SECRET = "correct horse battery staple"
DUE = "1 00:00"
LAST_MONTH = newest_due("UTC", 1, "00:00", datetime.now(UTC))
MONTH = f"{LAST_MONTH:%Y-%m}"


def csf(*arguments: str, **environment: str) -> Done:
    return running.csf("report", *arguments, **environment)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a data directory with last month's closed value."""
    write(tmp_path, "closed", 1)
    return tmp_path


def write(folder: Path, state: str, revision: int, value: float = 6.0) -> None:
    start = CALENDAR.start_of(LAST_MONTH)
    store = SqliteStore(folder / "kpis.db")
    store.write_values([
        KpiValue(csf="reliability", kpi="mttr", scope="org", period="month", start=start, end=CALENDAR.next_month(start),
                 value=value, unit="h", count=9, target=8.0, status="on_target", score=100.0, state=state, revision=revision)
    ])  # type: ignore[arg-type] # one of the states  # fmt: skip
    store.write_exits([Exits(topic="t", partition=0, received=1, kpi=1, clock=datetime.now(UTC).timestamp())])
    store.close()


@pytest.mark.parametrize(
    ("form", "begins"), [("html", b"<!"), ("pdf", b"%PDF"), ("md", b"# "), ("json", b"{"), ("csv", b"")]
)
def test_every_form_is_written_and_the_same_again(data: Path, form: str, begins: bytes) -> None:
    files = [data / f"{n}.{form}" for n in (1, 2)]
    for file in files:
        done = csf(MONTH, "--format", form, "--out", str(file), "--data-dir", str(data))
        assert done.returncode == 0, done.stderr
    assert files[0].read_bytes().startswith(begins)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_text_is_printed_and_pages_get_a_file_of_their_own(data: Path) -> None:
    assert json.loads(csf("latest", "--data-dir", str(data)).stdout)["month"] == MONTH
    done = subprocess.run([sys.executable, "-m", "cli", "report", MONTH, "--format", "html", "--data-dir", str(data)],
                          cwd=data, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (data / f"report-{MONTH}-org.html").stat().st_size > 10_000


def test_an_issue_is_shown_from_its_file_alone(data: Path) -> None:
    assert "issue 1" in csf("issue", MONTH, "--by", "Ann", "--data-dir", str(data)).stdout
    shown = csf("show", "1", "--format", "md", "--data-dir", str(data))
    for file in data.glob("kpis.db*"):
        file.unlink()
    again = csf("show", "1", "--format", "md", "--data-dir", str(data))
    assert (again.returncode, again.stdout) == (0, shown.stdout)
    assert "Ann" in csf("list", "--data-dir", str(data)).stdout


def test_what_is_due_is_issued_and_delivered_once(data: Path) -> None:
    with mail_server() as mail, receiver(200) as (url, got):
        settings = {
            "CSF_DATA_DIR": str(data), "CSF_REPORT_SCHEDULE": DUE, "CSF_REPORT_MAIL_TO": "board@example.org",
            "CSF_REPORT_MAIL_FROM": "csf@example.org", "CSF_SMTP_HOST": "127.0.0.1", "CSF_SMTP_PORT": str(mail.port),
            "CSF_SMTP_SECURITY": "none", "CSF_REPORT_WEBHOOK": url, "CSF_REPORT_WEBHOOK_SECRET": SECRET,
        }  # fmt: skip
        mail.refusals = ["550 not today"]
        first = csf("due", **settings)
        assert first.returncode == 1, first.stderr
        assert f"issue 1: {MONTH} of org, by schedule" in first.stdout
        assert "failed after 1 attempts" in first.stdout
        second = csf("due", **settings)
        assert second.returncode == 0, second.stdout + second.stderr
        write(data, "restated", 2, value=30.0)
        third = csf("due", **settings)
        assert (third.returncode, third.stdout) == (0, "")
        (taken,) = mail.mails
        assert len(got) == 1
    pdf = next(iter(taken[2].iter_attachments())).get_content()
    assert pdf.startswith(b"%PDF")
    everything = first.stdout + first.stderr + second.stdout + second.stderr
    assert SECRET not in everything
    assert "s3cr3t-path" not in everything
    assert csf("list", "--format", "json", "--data-dir", str(data)).stdout.count('"number"') == 1


def test_a_month_that_is_not_closed_waits(tmp_path: Path) -> None:
    write(tmp_path, "to_date", 0)
    done = csf("due", CSF_DATA_DIR=str(tmp_path), CSF_REPORT_SCHEDULE=DUE)
    assert done.returncode == 0
    assert f"{MONTH} of org is due, but not closed yet" in done.stdout
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("schedule", ["", "29 08:00", "3", "3 24:00", "x"])
def test_a_schedule_that_is_none_is_told(tmp_path: Path, schedule: str) -> None:
    done = csf("due", CSF_DATA_DIR=str(tmp_path), **({"CSF_REPORT_SCHEDULE": schedule} if schedule else {}))
    assert done.returncode == 2
    assert "report_schedule is '" in done.stderr
