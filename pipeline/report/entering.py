"""What may be entered into the register: every rule with its own sentence; what passes becomes an entry."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from math import isfinite
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from pipeline.catalogue.model import Catalogue, Kpi
from pipeline.errors import EntryRefused
from pipeline.plain import OBEYED
from pipeline.report.register import Entry, Kind, Sip, Value, action_fields, comment_subject

#: Most characters of a title, of a name (owner, author), of an action, of a reason, of a comment.
TITLE, NAME, ACTION, WHY, COMMENT = 200, 100, 500, 2_000, 2_000
#: Most actions of a SIP.
ACTIONS = 50
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class SipDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A SIP that is to be opened; without ``baseline`` it is the KPI's value in the latest closed month."""

    kpi: str
    title: str
    owner: str
    goal: float
    scope: str = "org"
    baseline: float | UnsetType = UNSET
    start: str | None = None
    due: str | None = None
    actions: list[str] = []
    why: str = ""


class SipChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change of a SIP; what is not said stays. ``done`` and ``undone`` number its actions from 1."""

    title: str | UnsetType = UNSET
    owner: str | UnsetType = UNSET
    goal: float | UnsetType = UNSET
    baseline: float | UnsetType = UNSET
    due: str | UnsetType | None = UNSET
    status: Literal["open", "in_progress", "on_hold"] | UnsetType = UNSET
    add: list[str] = []
    done: list[int] = []
    undone: list[int] = []
    why: str = ""


class CommentDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A manager's comment on a CSF in a month's report of a scope; without text the one that stands is withdrawn."""

    csf: str
    month: str
    text: str | None
    scope: str = "org"
    why: str = ""


@dataclass(frozen=True)
class Signature:
    """Whose an entry is: the name given, how it came, when (epoch milliseconds), and the entry's id."""

    who: str
    via: str
    at: int
    id: str


@dataclass(frozen=True)
class Baseline:
    """A KPI's value in a month; None where none is known."""

    value: float | None = None
    month: str | None = None


@dataclass(frozen=True)
class Rules:
    """The rules of one installation on one day.

    Attributes:
        catalogue: whose CSFs and KPIs there are.
        scopes: all that has or may have values.
        today: the local date.

    Every method raises EntryRefused with the one sentence that says what is wrong.
    """

    catalogue: Catalogue
    scopes: Collection[str]
    today: date

    def kpi(self, ident: str) -> Kpi:
        """Return a KPI of the catalogue."""
        found = self.catalogue.kpis.get(ident)
        if found is None:
            hint = _hint(ident, self.catalogue.kpis)
            raise EntryRefused(f"kpi {ident[:80]!r} is not in the catalogue{hint}; `csf catalogue list` names them all")
        return found

    def scope(self, scope: str) -> str:
        """Return a scope that is known."""
        if scope not in self.scopes:
            hint = _hint(scope, self.scopes)
            raise EntryRefused(
                f"scope {scope[:80]!r} is unknown{hint}; allowed: org, team:ID, service:ID of the catalogue"
            )
        return scope

    def start(self, start: str | None) -> date:
        """Return the first day of a SIP, today by default."""
        return self.today if start is None else _day("start", start)

    def opened(self, draft: SipDraft, ident: str, baseline: Baseline, signature: Signature) -> Entry:
        """Return the entry that opens a SIP.

        Args:
            draft: what is wanted.
            ident: the SIP's id.
            baseline: taken where the draft gives none.
            signature: whose it is.
        """
        kpi, start = self.kpi(draft.kpi), self.start(draft.start)
        if draft.baseline is not UNSET:
            baseline = Baseline(_finite("baseline", draft.baseline))
        goal = _goal(kpi, _finite("goal", draft.goal), baseline.value)
        if len(draft.actions) > ACTIONS:
            raise EntryRefused(f"{len(draft.actions)} actions are given; a SIP has at most {ACTIONS}")
        changes: dict[str, Value] = {
            "title": text("title", draft.title, TITLE),
            "kpi": kpi.id,
            "scope": self.scope(draft.scope),
            "owner": text("owner", draft.owner, NAME),
            "status": "open",
            "start": start.isoformat(),
            "due": _due(draft.due, start),
            "baseline": baseline.value,
            "baseline_month": baseline.month,
            "goal": goal,
            **_new_actions(draft.actions, signature),
        }
        return _entry("sip.opened", ident, changes, draft.why, signature)

    def updated(self, sip: Sip, change: SipChange, signature: Signature) -> Entry:
        """Return the entry that changes a SIP, with only those fields that differ from what holds."""
        kpi = self.kpi(sip.kpi)
        said: dict[str, Value] = {}
        if change.title is not UNSET:
            said["title"] = text("title", change.title, TITLE)
        if change.owner is not UNSET:
            said["owner"] = text("owner", change.owner, NAME)
        if change.due is not UNSET:
            said["due"] = _due(change.due, date.fromisoformat(sip.start))
        if change.status is not UNSET:
            said["status"] = change.status
        if change.baseline is not UNSET:
            said["baseline"] = _finite("baseline", change.baseline)
        if change.goal is not UNSET or change.baseline is not UNSET:
            goal = sip.goal if change.goal is UNSET else _finite("goal", change.goal)
            baseline = sip.baseline if change.baseline is UNSET else change.baseline
            said["goal"] = None if goal is None else _goal(kpi, goal, baseline)
        said = {name: value for name, value in said.items() if getattr(sip, name) != value}
        if "baseline" in said:
            said["baseline_month"] = None
        said |= _marked(sip, change.done, done=True) | _marked(sip, change.undone, done=False)
        if len(sip.actions) + len(change.add) > ACTIONS:
            raise EntryRefused(
                f"{sip.id} has {len(sip.actions)} actions and would get {len(change.add)} more; "
                f"a SIP has at most {ACTIONS}"
            )
        said |= _new_actions(change.add, signature)
        if sip.status == "closed":
            if "status" not in said:
                raise EntryRefused(
                    f"{sip.id} is closed since {sip.closed_on}; give it the status open to go on with it"
                )
            said["closed_on"] = None
        if not said:
            raise EntryRefused(f"nothing of {sip.id} would change; say what is to be different")
        return _entry("sip.updated", sip.id, said, change.why, signature)

    def closed(self, sip: Sip, why: str, signature: Signature) -> Entry:
        """Return the entry that closes a SIP; it says why."""
        if sip.status == "closed":
            raise EntryRefused(f"{sip.id} is closed already, since {sip.closed_on}")
        if not why.strip():
            raise EntryRefused(f"say why {sip.id} is closed: what was reached, or why it ends")
        changes: dict[str, Value] = {"status": "closed", "closed_on": self.today.isoformat()}
        return _entry("sip.closed", sip.id, changes, why, signature)

    def commented(self, draft: CommentDraft, signature: Signature) -> Entry:
        """Return the entry that sets or withdraws a comment."""
        if draft.csf not in self.catalogue.csfs:
            raise EntryRefused(f"csf {draft.csf[:80]!r} is unknown; allowed: {', '.join(self.catalogue.csfs)}")
        if not _MONTH.fullmatch(draft.month) or not 1970 <= int(draft.month[:4]) <= 2199:
            raise EntryRefused(f"month {draft.month[:80]!r} is no month; write it like 2026-10")
        if draft.month > self.today.isoformat()[:7]:
            raise EntryRefused(f"month {draft.month} has not begun yet; comment on one that has")
        changes: dict[str, Value] = {"csf": draft.csf, "month": draft.month, "scope": self.scope(draft.scope)}
        changes["text"] = None if draft.text is None else text("text", draft.text, COMMENT, lines=True)
        kind: Kind = "comment.withdrawn" if draft.text is None else "comment.set"
        return _entry(kind, comment_subject(draft.month, draft.scope, draft.csf), changes, draft.why, signature)


def text(name: str, given: str, most: int, *, lines: bool = False, empty: bool = False) -> str:
    """Return a text that people may read: without blanks around it, not empty, not too long, nothing that is obeyed.

    Args:
        name: what it is called in the sentence that refuses it.
        given: as it came.
        most: characters.
        lines: it may have several lines.
        empty: it may be empty.
    """
    found = given.replace("\r\n", "\n").strip()
    if not found and not empty:
        raise EntryRefused(f"{name} is empty; say it in a few words")
    if len(found) > most:
        raise EntryRefused(f"{name} has {len(found):,} characters; at most {most:,} are kept: shorten it")
    bad = next((c for c in OBEYED.findall(found) if not (lines and c in "\n\t")), None)
    if bad is not None:
        raise EntryRefused(f"{name} holds the control character U+{ord(bad):04X}; take it out")
    return found


def _entry(kind: Kind, subject: str, changes: dict[str, Value], why: str, signature: Signature) -> Entry:
    return Entry(
        id=signature.id,
        kind=kind,
        subject=subject,
        at=signature.at,
        who=text("who", signature.who, NAME),
        via=signature.via,
        changes=changes,
        why=text("why", why, WHY, lines=True, empty=True),
    )


def _hint(given: str, allowed: Collection[str]) -> str:
    close = difflib.get_close_matches(given[:80], list(allowed), 1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _finite(name: str, number: float) -> float:
    if not isfinite(number):
        raise EntryRefused(f"{name} is {number}; give a finite number")
    return float(number)


def _day(name: str, given: str) -> date:
    found = None
    if _DAY.fullmatch(given):
        with suppress(ValueError):
            found = date.fromisoformat(given)
    if found is None:
        raise EntryRefused(f"{name} {given[:80]!r} is no day; write it like 2026-12-31")
    if not 1970 <= found.year <= 2199:
        raise EntryRefused(f"{name} {given} is out of range; allowed: years 1970 to 2199")
    return found


def _due(given: str | None, start: date) -> str | None:
    if given is None:
        return None
    due = _day("due", given)
    if due < start:
        raise EntryRefused(f"due {due} is before the start {start}; give a later day")
    return due.isoformat()


def _goal(kpi: Kpi, goal: float, baseline: float | None) -> float:
    """Return a goal that is better than the baseline by the KPI's direction."""
    if baseline is None:
        return goal
    unit = f" {kpi.unit}"
    if kpi.direction == "up" and goal <= baseline:
        raise EntryRefused(
            f"goal {goal:g}{unit} is not above the baseline {baseline:g}{unit}: more is better for {kpi.id}; "
            "give a goal above it"
        )
    if kpi.direction == "down" and goal >= baseline:
        raise EntryRefused(
            f"goal {goal:g}{unit} is not below the baseline {baseline:g}{unit}: less is better for {kpi.id}; "
            "give a goal below it"
        )
    if kpi.direction == "zero" and abs(goal) >= abs(baseline):
        raise EntryRefused(
            f"goal {goal:g}{unit} is not nearer to 0 than the baseline {baseline:g}{unit}: {kpi.id} should be near 0; "
            "give a goal nearer to it"
        )
    return goal


def _new_actions(texts: Sequence[str], signature: Signature) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for number, given in enumerate(texts):
        # named by their entry: two people may add actions at the same time
        found |= action_fields(f"{signature.id}-{number}", text("an action", given, ACTION), done=False)
    return found


def _marked(sip: Sip, numbers: Sequence[int], *, done: bool) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for number in numbers:
        if not 1 <= number <= len(sip.actions):
            there = f"it has 1 to {len(sip.actions)}" if sip.actions else "it has none"
            raise EntryRefused(f"{sip.id} has no action {number}; {there}")
        action = sip.actions[number - 1]
        if action.done != done:
            found |= action_fields(action.key, done=done)
    return found
