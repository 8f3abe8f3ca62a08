"""Delivering issues: each issue to each target once, tried again until it is taken, every outcome recorded.

An outcome is written before and after sending. A crash in between may send an issue twice; both carry the same id
(``reports.targets.delivery_id``), by which mail systems and webhooks tell.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
import stamina

from pipeline.errors import ConfigError, ReportRefused, ServiceUnavailable
from pipeline.report.model import Report
from reports.files import replace_file
from reports.issues import Issues
from reports.targets import Target, Undeliverable, rendered_once

#: Attempts of one run, and the longest wait between two, seconds; what still failed is tried in the next run.
ATTEMPTS = 4
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 15.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an issue on its way to a target.

    Attributes:
        state: ``sending`` is one that was broken off: whether it arrived nobody knows, and it is sent again.
        at: local time of the last attempt.
        attempts: in all.
        detail: why it failed, in a sentence without secrets.
    """

    state: Literal["sending", "delivered", "failed"]
    at: str
    attempts: int = 0
    detail: str = ""


class Deliveries:
    """Outcomes of the issues of a folder, a file beside each issue."""

    def __init__(self, issues: Issues) -> None:
        self._issues = issues

    def _path(self, number: int) -> Path:
        return self._issues.path(number).with_suffix(".deliveries.json")

    def of(self, number: int) -> dict[str, Outcome]:
        """Return the outcomes of an issue, by target."""
        path = self._path(number)
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Outcome])
        except FileNotFoundError:
            return {}
        except OSError as e:
            raise ConfigError(f"{path} cannot be read: {e.strerror}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as e:
            raise ReportRefused(
                f"{path} is damaged ({e}); move it away, and the issue is delivered to all targets again"
            ) from None

    def note(self, number: int, target: str, outcome: Outcome) -> None:
        """Keep an outcome, whole or not at all."""
        path = self._path(number)
        found = {**self.of(number), target: outcome}
        try:
            replace_file(path, msgspec.json.format(msgspec.json.encode(found, order="sorted"), indent=2) + b"\n")
        except OSError as e:
            raise ConfigError(f"{path} cannot be written: {e.strerror}") from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from delivering at the same time."""
        path = self._issues.folder / ".delivering"
        try:
            lock = path.open("w")
        except OSError as e:
            raise ConfigError(f"{path} cannot be written: {e.strerror}") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def deliver(
    report: Report, targets: Sequence[Target], deliveries: Deliveries, now: Callable[[], str], attempts: int = ATTEMPTS
) -> dict[str, Outcome]:
    """Send an issue to those targets that have not got it; return the outcome of every target.

    Args:
        report: the issue.
        targets: where it goes.
        deliveries: where outcomes are kept.
        now: local RFC 3339 time.
        attempts: of each target in this run.
    """
    if report.issue is None:
        raise ConfigError("a draft is not delivered: issue it first, with `csf report issue`")
    number = report.issue.number
    pdf = rendered_once(report)
    with deliveries.alone():
        for target in targets:
            before = deliveries.of(number).get(target.name)
            if before is None or before.state != "delivered":
                tried = before.attempts if before else 0
                _send(report, number, target, deliveries, now, attempts, tried, pdf)
        found = deliveries.of(number)
    return {target.name: found[target.name] for target in targets}


def _send(
    report: Report, number: int, target: Target, deliveries: Deliveries, now: Callable[[], str], attempts: int,
    tried: int, pdf: Callable[[], bytes],
) -> None:  # fmt: skip
    try:
        for attempt in stamina.retry_context(
            on=ServiceUnavailable, attempts=attempts, wait_initial=_FIRST_WAIT_S, wait_max=_LONGEST_WAIT_S, timeout=None
        ):
            with attempt:
                tried += 1
                deliveries.note(number, target.name, Outcome(state="sending", at=now(), attempts=tried))
                target.send(report, pdf)
    except (ServiceUnavailable, Undeliverable) as e:
        outcome = Outcome(state="failed", at=now(), attempts=tried, detail=str(e))
    else:
        outcome = Outcome(state="delivered", at=now(), attempts=tried)
    deliveries.note(number, target.name, outcome)
