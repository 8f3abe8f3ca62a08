"""Sending boards and their folder to a Grafana: what is there already stays, what is others' is left alone."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from dashboards.grafana import BoardChanged, Grafana

#: the folder of generated boards; no board has this title
FOLDER_UID, FOLDER_TITLE = "csf-pulse", "csf-pulse"


class Pushed(msgspec.Struct):
    """What was done, in numbers, and why something was left alone."""

    made: int = 0
    changed: int = 0
    current: int = 0
    left_alone: list[str] = []


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
