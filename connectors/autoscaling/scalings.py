"""From activities to scalings: AWS tells of every instance apart, the people who wait for capacity of all together."""

from __future__ import annotations

import re
from typing import Any

Record = dict[str, Any]
#: Statuses that do not change any more.
FINAL = frozenset({"Successful", "Failed", "Cancelled"})
_CAPACITY = re.compile(r"capacity from (\d+) to (\d+)")
_ASKED = re.compile(r"\bAt (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")


def shaped(records: list[Record]) -> list[Record]:
    """Return one record for every scaling whose activities all have ended.

    Activities of one group with the same cause are one scaling; a cause that names no change of capacity (an instance that
    was replaced since it was ill) is none. A scaling is asked for when its cause says first ("At 2026-11-02T09:20:00Z a
    monitor alarm ..."), and ready when its last instance is. It was successful if every instance was.

    Args:
        records: activities, as AWS tells them.
    """
    alike: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        alike.setdefault((str(record.get("AutoScalingGroupName")), str(record.get("Cause"))), []).append(record)
    return [s for (group, cause), each in alike.items() if (s := _scaling(group, cause, each)) is not None]


def _scaling(group: str, cause: str, activities: list[Record]) -> Record | None:
    capacities = _CAPACITY.findall(cause)
    if not capacities or any(each.get("StatusCode") not in FINAL for each in activities):
        return None
    before, after = (int(number) for number in capacities[-1])
    if before == after:
        return None
    asked = _ASKED.search(cause)
    ends = [str(each["EndTime"]) for each in activities if each.get("EndTime")]
    successful = all(each["StatusCode"] == "Successful" for each in activities)
    return {
        "AutoScalingGroupName": group,
        "cause": cause,
        "direction": "up" if after > before else "down",
        "from": before,
        "to": after,
        "requested_at": asked[1] if asked else min(str(each.get("StartTime")) for each in activities),
        "ended_at": max(ends, default=None),
        "ready_at": max(ends, default=None) if successful else None,
        "outcome": "successful" if successful else "failed",
    }
