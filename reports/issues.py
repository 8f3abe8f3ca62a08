"""Issued reports: one data file each, numbered, written once and never changed; everything shown is rendered from it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import ConfigError, ReportRefused
from pipeline.plain import OBEYED
from pipeline.report.differences import differences
from pipeline.report.model import SCHEMA_VERSION, Issue, Report
from reports.files import create_file

_NAME = re.compile(r"issue-(\d{4,9})\.json")
#: Documents of older schemas: version → what makes of such a document one of the next version.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of issues shows of one, without its figures."""

    schema_version: int
    month: str
    scope: str
    scope_name: str
    state: str
    revision: int
    cut_off: str | None
    issue: Issue


class Issues:
    """The issued reports of a folder.

    Args:
        folder: made when the first report is issued.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, number: int) -> Path:
        """Return the data file of an issue."""
        return self.folder / f"issue-{number:04d}.json"

    def numbers(self) -> list[int]:
        """Return the numbers of all issues, oldest first."""
        try:
            names = [_NAME.fullmatch(path.name) for path in self.folder.iterdir()] if self.folder.exists() else []
        except OSError as e:
            raise ConfigError(f"{self.folder} cannot be read: {e.strerror}") from None
        return sorted(int(found[1]) for found in names if found)

    def entries(self) -> list[Entry]:
        """Return what each issue is, oldest first."""
        return [self._entry(number) for number in self.numbers()]

    def _entry(self, number: int) -> Entry:
        try:
            return msgspec.json.decode(self._raw(number), type=Entry)
        except msgspec.MsgspecError:
            report = self.load(number)  # an older schema, or a sentence that says what is wrong
            assert report.issue is not None
            return Entry(
                schema_version=report.schema_version, month=report.month, scope=report.scope,
                scope_name=report.scope_name, state=report.state, revision=report.revision, cut_off=report.cut_off,
                issue=report.issue,
            )  # fmt: skip

    def _raw(self, number: int) -> bytes:
        path = self.path(number)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            there = self.numbers()
            known = f"there are {there[0]} to {there[-1]}" if there else "none was issued yet"
            raise ConfigError(f"there is no issue {number} in {self.folder}; {known}") from None
        except OSError as e:
            raise ConfigError(f"{path} cannot be read: {e.strerror}") from None

    def load(self, number: int) -> Report:
        """Return an issue from its data file alone.

        Raises:
            ConfigError: there is none of that number, or it cannot be read.
            ReportRefused: a newer program wrote it, or it is damaged.
        """
        return decode(self._raw(number), str(self.path(number)))

    def latest(self, month: str, scope: str) -> Report | None:
        """Return the newest issue of a month and scope."""
        of_it = [e.issue.number for e in self.entries() if (e.month, e.scope) == (month, scope)]
        return self.load(of_it[-1]) if of_it else None

    def issue(self, report: Report, by: str, at: str, *, force: bool = False) -> tuple[Report, bool]:
        """Keep a report as the next issue of its month and scope; return it, and whether it is a new one.

        Without a difference from the issue before, that one is returned and nothing is written, unless forced. Two
        processes that issue at once get different numbers.

        Args:
            report: a draft.
            by: who issues it.
            at: local RFC 3339 time.
            force: issue it though it does not differ.

        Raises:
            ConfigError: the folder cannot be written.
        """
        before = self.latest(report.month, report.scope)
        found = [] if before is None else differences(before, report)
        if before is not None and not found and not force:
            return before, False
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for number in range(max(self.numbers(), default=0) + 1, 10**9):
                issued = msgspec.structs.replace(
                    report, issue=Issue(number=number, at=at, by=by, differences=found)
                )  # fmt: skip
                if create_file(self.path(number), encode(issued)):
                    return issued, True
        except OSError as e:
            raise ConfigError(f"{self.folder} cannot be written: {e.strerror}; name another by reports_dir") from None
        raise ConfigError(f"{self.folder} holds too many issues")


def encode(report: Report) -> bytes:
    """Return a report as its JSON document; the same report gives the same bytes, none of which a terminal obeys."""
    text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
    # still the same JSON: but for the line breaks between its parts, these stand in its strings only
    return (OBEYED.sub(lambda f: f[0] if f[0] == "\n" else f"\\u{ord(f[0]):04x}", text) + "\n").encode()


def decode(raw: bytes, where: str) -> Report:
    """Return the report of a JSON document, brought up to today's schema.

    Args:
        raw: the document.
        where: names it in messages.

    Raises:
        ReportRefused: a newer program wrote it, no migration leads from its schema, or it is no report.
    """
    try:
        document = msgspec.json.decode(raw, type=dict[str, Any])
        version = document["schema_version"]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError) as e:
        raise ReportRefused(f"{where} is no issued report ({e}); restore it from a backup") from None
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise ReportRefused(
            f"{where} was written by a newer csf-pulse (schema {version}, this one knows {SCHEMA_VERSION}); install "
            "that version"
        )
    while version < SCHEMA_VERSION:
        step = MIGRATIONS.get(version)
        if step is None:
            raise ReportRefused(f"{where} has schema {version}, from which this csf-pulse knows no way; issue it again")
        document = step(document)
        version += 1
        document["schema_version"] = version
    try:
        return msgspec.convert(document, Report)
    except msgspec.ValidationError as e:
        raise ReportRefused(f"{where} is no issued report ({e}); restore it from a backup") from None
