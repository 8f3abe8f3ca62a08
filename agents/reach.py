"""What the group has acknowledged must be in the state: a worker that lacks some of it stops, it does not go on behind it.

State is durable before its offset is committed. So a committed offset beyond the recovered state means that state was lost, and
to read on from there would leave what lies between out of every value without a word.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from faust.types import TP

from agents.changelog import StateError


async def refuse_holes(ctx: Any, sources: Iterable[TP]) -> None:
    """Compare the recovered state with what the group has committed.

    What Kafka has deleted meanwhile is no hole: nothing that could be read again is left out. Nor is what another
    worker committed after this one recovered: it wrote into the changelog first, and this one will be told to let go.

    Args:
        ctx: the worker's ``Context``, just recovered.
        sources: its source partitions.

    Raises:
        StateError: state of a source partition is missing.
    """
    table, consumer = ctx.table, ctx.app.consumer
    epoch = table.epoch
    committed = await consumer.committed_offsets(set(sources))
    behind = {tp: at for tp, at in committed.items() if at > table.position(tp.topic, tp.partition) + 1}
    if not behind:
        return
    begins = await consumer.earliest_offsets(*behind)
    changelogs = {TP(table.changelog_name, tp.partition) for tp in behind}
    ends = {tp.partition: at for tp, at in (await consumer.highwaters(*changelogs)).items()}
    if epoch != table.epoch:
        return
    holes = sorted(
        tp for tp, at in behind.items() if at > begins[tp] and ends[tp.partition] == table.ends_at(tp.partition)
    )
    if holes:
        first, more = holes[0], f" (and {len(holes) - 1} more)" if holes[1:] else ""
        position = table.position(first.topic, first.partition)
        raise StateError(
            f"{first.topic}/{first.partition}{more}: group {ctx.config.group} acknowledged all before offset "
            f"{behind[first]}, but the state in {table.changelog_name} "
            f"{'holds nothing of it' if position < 0 else f'ends at offset {position}'}; to go on would leave these messages "
            "out of every value: stop the workers and run csf replay, which makes the state anew from the archive (without "
            "an archive: docs/operations.md, State that is missing)"
        )
