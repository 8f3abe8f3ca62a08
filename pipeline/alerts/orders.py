"""What people order: silences, the end of one, taking an alert on. Checked before anything is sent to alerting."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from pipeline.alerts.inputs import Acknowledgement, Lift, Silence
from pipeline.alerts.journal import silences
from pipeline.catalogue import alerts as a
from pipeline.catalogue.check_alerts import known_scope
from pipeline.catalogue.expressions import suggest
from pipeline.catalogue.model import Catalogue
from pipeline.errors import EntryRefused
from pipeline.values import AlertChange, AlertNote

#: A silence of more than this is a rule that should be switched off, seconds.
MOST_S = 90 * 86_400
_MOST_TEXT = 1_000


@dataclass(frozen=True)
class Author:
    """Who orders something, how it came (``csf``, ``console``, ``console with token``), and when, epoch seconds."""

    who: str
    via: str
    at: float


class SilenceDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A silence as a person asks for it: what it matches (an empty list: any), for how long (``2h``), and why."""

    reason: str
    length: str = "1h"
    rules: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    csfs: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    severities: tuple[a.Severity, ...] = ()


def silence(draft: SilenceDraft, catalogue: Catalogue, author: Author, *, name: str) -> Silence:
    """Return the order for a silence from now on.

    Args:
        draft: what was asked for.
        catalogue: whose rules, CSFs and teams it may name.
        author: who asks.
        name: the silence's id.

    Raises:
        EntryRefused: it matches everything or nothing that exists, or says not how long, who or why.
    """
    seconds = a.duration_s(draft.length)
    if not seconds or seconds > MOST_S:
        raise EntryRefused(
            f"for: {draft.length!r} is no length of a silence; write a number with s, m, h or d, at most 90d, such as 4h"
        )
    teams = {s.team for s in catalogue.services.values()}
    for what, given, known in (("rule", draft.rules, catalogue.alerts), ("csf", draft.csfs, catalogue.csfs), ("team", draft.teams, teams)):  # fmt: skip
        for each in given:
            if each not in known:
                raise EntryRefused(f"{what}: there is no {what} {each!r}{suggest(each, known)}; nothing is silenced")
    for scope in draft.scopes:
        if not known_scope(scope):
            raise EntryRefused(f"scope: {scope!r} is none; write org, team:ID, service:ID, team:* or service:*")
    match = a.Match(
        rule=list(draft.rules) or None, scope=list(draft.scopes) or None, csf=list(draft.csfs) or None,
        team=list(draft.teams) or None, severity=list(draft.severities) or None,
    )  # fmt: skip
    if match == a.Match():
        raise EntryRefused("a silence of everything is none: name a rule, scope, CSF, team or severity")
    who, reason = _text(author.who, "who"), _text(draft.reason, "reason")
    return Silence(
        id=name, match=match, start=author.at, end=author.at + seconds, by=who, reason=reason, via=author.via
    )


def lift(name: str, notes: list[AlertNote], author: Author, *, reason: str) -> Lift:
    """Return the order that ends a silence.

    Args:
        name: its id.
        notes: of the store, of the last 90 days.
        author: who asks.
        reason: why; may be empty.

    Raises:
        EntryRefused: no such silence runs.
    """
    found = {s.id: s for s in silences(notes, author.at)}.get(name)
    if found is None or found.state != "running":
        raise EntryRefused(
            f"silence {name[:40]!r}: does not run; `csf alerts silences` and the page Alerts list those that do"
        )
    why = _text(reason, "reason") if reason.strip() else ""
    return Lift(id=name, at=author.at, by=_text(author.who, "who"), reason=why, via=author.via)


def acknowledgement(rule: str, scope: str, changes: list[AlertChange], author: Author) -> Acknowledgement:
    """Return the order that takes an alert on.

    Args:
        rule: of the alert.
        scope: of the alert.
        changes: of alerts, of the store, in order of time.
        author: who takes it on.

    Raises:
        EntryRefused: it does not fire.
    """
    newest = next((c for c in reversed(changes) if (c.rule, c.scope) == (rule, scope)), None)
    if newest is None or newest.state == "resolved":
        raise EntryRefused(f"{rule[:80]} of {scope[:80]} does not fire, so there is nothing to take on")
    return Acknowledgement(rule=rule, scope=scope, by=_text(author.who, "who"), at=author.at, via=author.via)


def _text(text: str, what: str) -> str:
    text = text.strip()
    if not text:
        raise EntryRefused(f"{what}: is missing; people read it when they look at what was silenced")
    if len(text) > _MOST_TEXT:
        raise EntryRefused(f"{what}: has {len(text):,} characters; at most {_MOST_TEXT:,} are kept")
    return text
