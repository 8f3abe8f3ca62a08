"""Bodies that would enter something: a rule's sentence or an entry that reads, folds and shows as it was entered."""

from __future__ import annotations

import itertools
import random
from datetime import date
from typing import Any

import msgspec

from agents.console.programmes import Changing, Closing, Commenting, Opening
from pipeline.catalogue.loader import load_catalogue
from pipeline.errors import EntryConflict, EntryRefused
from pipeline.report.desk import Desk
from pipeline.report.programmes import sip_reports
from pipeline.report.register import Entry, entry_bytes, fold_comments, fold_sips
from pipeline.report.trail import changes
from pipeline.stores.register_common import is_there, require_seen
from pipeline.time.calendar import Calendar
from tests.fuzz import mutate
from tests.fuzz.run import fuzz
from tests.stores.entries import AT, entry

GOOD: tuple[tuple[type, dict[str, Any]], ...] = (
    (Opening, {"kpi": "mttr", "title": "Sooner", "owner": "Desk", "goal": 6.0, "scope": "org", "baseline": 9.0,
               "start": "2026-10-01", "due": "2026-12-31", "actions": ["Rota"], "why": "Slow", "who": "Ada"}),
    (Changing, {"title": "Sooner still", "goal": 5.0, "due": None, "status": "on_hold", "add": ["More"], "done": [1],
                "undone": [], "why": "x", "who": "Ada", "seen": "entry0001"}),
    (Closing, {"why": "Reached", "who": "Ada", "seen": "entry0001"}),
    (Commenting, {"csf": "reliability", "month": "2026-09", "text": "We moved.", "scope": "org", "who": "Ada"}),
)  # fmt: skip


class Log:
    """A register in memory."""

    def __init__(self) -> None:
        self.held = [entry(1)]

    def append(self, new: Entry, *, after: str | None = None) -> None:
        entry_bytes(new)
        if not is_there(self.held, new):
            require_seen([e for e in self.held if e.subject == new.subject], new, after)
            self.held.append(new)

    def entries(self, *, subject: str | None = None) -> list[Entry]:
        return [e for e in self.held if subject in {None, e.subject}]

    def check(self) -> str:
        return "register: in memory"

    def close(self) -> None:
        return


def bodies(rng: random.Random) -> tuple[type, bytes]:
    shape, good = mutate.one_of(GOOD, rng)
    return shape, mutate.json_bytes(mutate.mutated(good, rng), rng)


def test_bodies() -> None:
    catalogue, calendar = load_catalogue(), Calendar("UTC")

    def check(given: tuple[type, bytes]) -> None:
        shape, raw = given
        try:
            body = msgspec.json.decode(raw, type=shape)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return  # what ``Changes.body`` turns into a sentence
        log = Log()
        ids, sips = (f"id{n}" for n in itertools.count()), (f"SIP-{n}" for n in itertools.count())
        desk = Desk(log, None, catalogue, now_ms=lambda: AT, new_id=ids.__next__, new_sip=sips.__next__)
        try:
            if isinstance(body, Opening):
                desk.open(body, body.who, "console")
            elif isinstance(body, Changing):
                desk.update("SIP-K7Q2F", body, body.who, "console", body.seen)
            elif isinstance(body, Closing):
                desk.close("SIP-K7Q2F", body.why, body.who, "console", body.seen)
            else:
                desk.comment(body, body.who, "console")
        except (EntryRefused, EntryConflict) as e:
            told(e)
            return
        made = log.held[-1]
        assert msgspec.json.decode(entry_bytes(made), type=Entry) == made
        folded = fold_sips(log.held)
        fold_comments(log.held, calendar)
        changes(made, folded.get(made.subject))
        msgspec.json.encode(sip_reports(folded.values(), {}, catalogue, date(2026, 10, 20)))

    def told(error: Exception) -> None:
        assert 0 < len(str(error)) < 3000
        assert str(error).encode(), "a sentence that can be sent"

    fuzz(bodies, check)
