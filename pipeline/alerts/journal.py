"""What the notes about alerts come to: which silences run, who took what on, how the channels are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.alerts.matching import decode, matches
from pipeline.catalogue.alerts import AnyRule, Match
from pipeline.catalogue.model import Catalogue
from pipeline.values import AlertChange, AlertNote

#: Silences end after at most so long, so that notes of this time tell all that run, seconds.
LOOK_BACK_S = 90 * 86_400
#: How a reason begins by which a silence holds a raise back.
SILENCED = "silenced by "
_ENDS = {"delivered", "failed", "expired", "dropped"}


@dataclass(frozen=True)
class SilenceShown:
    """A silence as people look at it; times are epoch seconds."""

    id: str
    match: Match
    start: int
    end: int
    by: str
    via: str
    why: str
    state: Literal["running", "ended", "lifted"]
    lifted_by: str = ""
    lifted_why: str = ""


@dataclass(frozen=True)
class ChannelShown:
    """How a channel is: ``ok``, ``down`` (takes nothing), ``refused`` (the last one was not taken) or ``unused``.

    ``since``: of that state, epoch seconds; ``why``: of a bad one; ``delivered_at``: when it took one last.
    """

    id: str
    state: Literal["ok", "down", "refused", "unused"]
    since: int | None = None
    why: str = ""
    waiting: str = ""
    delivered_at: int | None = None


def silences(notes: Iterable[AlertNote], now: float) -> list[SilenceShown]:
    """Return the silences that notes tell of, the newest first."""
    found: dict[str, SilenceShown] = {}
    # of one second a silence comes before its end
    for note in sorted(notes, key=lambda n: (n.at, n.kind == "lifted")):
        if note.kind == "silenced" and note.until is not None:
            state: Literal["running", "ended"] = "running" if now < note.until else "ended"
            found[note.ref] = SilenceShown(
                note.ref, decode(note.about), note.at, note.until, note.who, note.via, note.why, state
            )
        elif note.kind == "lifted" and note.ref in found:
            found[note.ref] = replace(
                found[note.ref], end=note.at, state="lifted", lifted_by=note.who, lifted_why=note.why
            )
    return sorted(found.values(), key=lambda s: (-s.start, s.id))


def silenced_by(
    change: AlertChange, rule: AnyRule | None, running: Sequence[SilenceShown], catalogue: Catalogue
) -> SilenceShown | None:
    """Return the running silence that holds back an alert, None where there is none."""
    if rule is None:
        return None
    return next(
        (s for s in running if s.state == "running" and matches(s.match, rule, change.csf, change.scope, catalogue)),
        None,
    )


def held_back(change: AlertChange, notes: Iterable[AlertNote], now: float) -> AlertNote | None:
    """Return what holds back the raise of an alert that fires, None where it was told or nothing does.

    What a silence holds back is not among it: that one may have been lifted since (``silenced_by``).
    """
    name = f"{change.rule}|{change.scope}"
    about = [n for n in notes if n.kind in {"held", "freed"} and name in n.alerts and n.at >= change.since]
    # of one second what is held comes before its end
    newest = max(about, key=lambda n: (n.at, n.kind == "freed"), default=None)
    if newest is None or newest.kind == "freed" or (newest.until is not None and newest.until <= now):
        return None
    return None if newest.why.startswith(SILENCED) else newest


def is_routed(change: AlertChange, rule: AnyRule | None, catalogue: Catalogue) -> bool:
    """Return whether a route takes an alert; where there are routes and none does, it is only shown."""
    routes = catalogue.routes if rule is not None else []
    return not routes or any(matches(r.match, rule, change.csf, change.scope, catalogue) for r in routes if rule)


def taken_on_by(change: AlertChange, notes: Iterable[AlertNote]) -> str:
    """Return who took an alert on since it began to fire, empty where nobody did."""
    name = f"{change.rule}|{change.scope}"
    found = [n for n in notes if n.kind == "acknowledged" and name in n.alerts and n.at >= change.since]
    return found[-1].who if found else ""


def deliveries(notes: Iterable[AlertNote], rule: str, scope: str) -> list[AlertNote]:
    """Return what became of the notifications about an alert, oldest first."""
    name = f"{rule}|{scope}"
    return [n for n in notes if n.kind in _ENDS and name in n.alerts]


def channel_states(notes: Iterable[AlertNote], channels: Iterable[str]) -> list[ChannelShown]:
    """Return how channels are, those that take nothing first."""
    found = {name: ChannelShown(name, "unused") for name in channels}
    for note in sorted(notes, key=lambda n: (n.at, n.kind == "down")):
        known = found.get(note.channel)
        if known is None:
            continue
        match note.kind:
            case "delivered":
                since = known.since if known.state == "ok" else note.at
                found[known.id] = ChannelShown(known.id, "ok", since, delivered_at=note.at)
            case "failed":
                since = known.since if known.state == "refused" else note.at
                found[known.id] = replace(known, state="refused", since=since, why=note.why, waiting="")
            case "down":
                found[known.id] = replace(known, state="down", since=note.at, why=note.why, waiting=note.about)
    return sorted(found.values(), key=lambda c: (c.state not in {"down", "refused"}, c.id))
