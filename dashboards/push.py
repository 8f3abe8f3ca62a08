"""Sending boards, their folder and annotations to a Grafana: what is there already stays, what is others' is left alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from dashboards.boards.parts import MONTH_CLOSED_TAG, TAG
from dashboards.grafana import BoardChanged, Grafana
from pipeline.report.words import month as month_name
from pipeline.stores.influx_lines import month_label
from pipeline.stores.port import KpiStore

#: the folder of generated boards; no board has this title
FOLDER_UID, FOLDER_TITLE = "csf-pulse", "csf-pulse"


class Pushed(msgspec.Struct):
    """What was done, in numbers, and why something was left alone."""

    made: int = 0
    changed: int = 0
    current: int = 0
    annotations: int = 0
    left_alone: list[str] = []


class MonthClose(msgspec.Struct, frozen=True):
    """A month that was closed: its name (``2026-05``), its end (epoch seconds), and what is said of it."""

    month: str
    end: int
    text: str


def push_boards(grafana: Grafana, files: dict[str, str], message: str) -> Pushed:
    """Make the folder where it is missing, and save every board that is not as it should be.

    A board of ours that lies in another folder was moved there by somebody, one that files on Grafana's disk own cannot
    be saved: both are left alone and named.
    """
    pushed = Pushed()
    if grafana.folder_title(FOLDER_UID) is None:
        grafana.make_folder(FOLDER_UID, FOLDER_TITLE)
    for text in files.values():
        try:
            _push_board(grafana, json.loads(text), message, pushed)
        except BoardChanged:  # read it once more: what we want to be there does not depend on what was
            _push_board(grafana, json.loads(text), message, pushed)
    return pushed


def _push_board(grafana: Grafana, board: dict[str, Any], message: str, pushed: Pushed) -> None:
    there = grafana.board(board["uid"])
    if there is None:
        grafana.save_board(board, FOLDER_UID, message)
        pushed.made += 1
    elif there.folder_uid != FOLDER_UID:
        pushed.left_alone.append(
            f"board {board['uid']} lies in the folder {there.folder_title!r}; move it to {FOLDER_TITLE!r} to have it renewed"
        )
    elif there.provisioned:
        pushed.left_alone.append(f"board {board['uid']} is provisioned from a file on Grafana's disk; renew that file")
    elif _holds(there.json, board):
        pushed.current += 1
    else:
        grafana.save_board({**board, "id": there.json["id"], "version": there.json["version"]}, FOLDER_UID, message)
        pushed.changed += 1


def _holds(there: Any, wanted: Any) -> bool:
    """Return whether Grafana's JSON says what ours says; it may have filled in more."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(_holds(there.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        same_length = isinstance(there, list) and len(there) == len(wanted)
        return same_length and all(_holds(a, b) for a, b in zip(there, wanted, strict=True))
    return bool(there == wanted)


def month_closes(store: KpiStore) -> list[MonthClose]:
    """Return the organisation's months that were closed, with the newest revision and why it was made."""
    newest: dict[int, tuple[int, int]] = {}
    for value in store.periods(period="month", scopes=["org"]):
        if value.revision:
            end, revision = newest.get(value.start, (value.end, 0))
            newest[value.start] = (end, max(revision, value.revision))
    reasons = {r.start: r.reason for r in store.revisions(period="month") if r.scope == "org"}
    return [
        _month_close(start, end, revision, reasons.get(start, ""))
        for start, (end, revision) in sorted(newest.items())
    ]  # fmt: skip


def _month_close(start: int, end: int, revision: int, reason: str) -> MonthClose:
    month = month_label(start, end)
    name = month_name(month)
    if revision == 1:
        return MonthClose(month, end, f"{name} is closed")
    why = f": {reason}" if reason else ""
    return MonthClose(month, end, f"{name} is closed and was restated (revision {revision}){why}")


def push_month_closes(grafana: Grafana, closes: Sequence[MonthClose]) -> int:
    """Tell Grafana which months are closed, at their ends; return how many annotations were added or changed."""
    there = {tag: one for one in grafana.annotations([TAG, MONTH_CLOSED_TAG]) for tag in one.tags}
    told = 0
    for close in closes:
        mark, at = f"month:{close.month}", close.end * 1000
        tags = [TAG, MONTH_CLOSED_TAG, mark]
        known = there.get(mark)
        if known is None:
            grafana.add_annotation(at, tags, close.text)
        elif (known.time, known.text) != (at, close.text):
            grafana.change_annotation(known.id, at, tags, close.text)
        else:
            continue
        told += 1
    return told
