"""The flushes of one source partition: what they write to the changelog, and what each leaves the next to write.

See ``agents.changelog`` for the rules that the records follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agents import changelog
from agents.changelog import Record, TopicState
from pipeline.engine.state import Step, upgrade
from pipeline.events.families import EVENT_TOPICS
from pipeline.topics import ALERT_INPUTS, PARTIALS


def _kind(topic: str) -> str:
    """Return whose state is kept for a topic."""
    if topic in EVENT_TOPICS:
        return "ingest"
    return {PARTIALS: "rollup", ALERT_INPUTS: "alerting"}.get(topic, "closing")


class Flushes:
    """Where the durable state of a source partition stands, and what the next flush must write besides what changed.

    Attributes:
        number: of the last flush.
        position: last offset of the source partition that durable state holds, -1 for none.
        ahead: whether an engine folded what is not flushed.
    """

    def __init__(self, topic: str, recovered: TopicState | None = None) -> None:
        self.number, self.position = (recovered.flush, recovered.position) if recovered else (0, -1)
        self.ahead = False
        self._topic = topic
        #: what the changelog says, until the engine takes it
        self._recovered = recovered
        self._repairs: dict[bytes, bytes | None] = {}
        #: chunks of which the last flush said that they are gone
        self._dropped: set[bytes] = set()
        #: how many parts each of the large chunks has
        self._parts: dict[bytes, int] = {}

    def recovered(self, *, version: int, steps: Mapping[int, Step]) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Return position and chunks of what was recovered, once; -1 and nothing where that was nothing.

        Args:
            version: of the state's format, to which the chunks are brought.
            steps: that lead there, by the version from which each leads on.

        Raises:
            StateRefused: the format is newer than this program, or too old.
        """
        state, self._recovered = self._recovered, None
        if state is None:
            return -1, []
        held = dict(state.chunks())
        chunks = upgrade(_kind(self._topic), state.version, held, to=version, steps=steps)
        self._repairs = state.repairs()
        for chunk, payload in held.items():
            self._note_parts(chunk, payload)
        if chunks is not held:  # written with the next flush, whose commit says the new version
            changed = {c for c in chunks.keys() | held.keys() if chunks.get(c) != held.get(c)}
            self._repairs |= {c: chunks.get(c) for c in changed}
        return state.position, list(chunks.items())

    def owed(self) -> list[bytes]:
        """Return the chunks that must be written again."""
        if self._recovered is not None and self._recovered.disturbed:
            return list(self._recovered.disturbed)
        return list(self._repairs)

    def next(
        self, generation: int, chunks: Iterable[tuple[bytes, bytes | None]], position: int, version: int
    ) -> list[Record]:
        """Return the records of the next flush: tombstones of the one before, chunks (None: gone), commit.

        Args:
            generation: that owns the changelog partition.
            chunks: that changed.
            position: offset of the source partition that the state holds with them.
            version: of the state's format.
        """
        self.number += 1
        changed, self._repairs = self._repairs | dict(chunks), {}
        gone, self._dropped = self._dropped, set()
        records = [changelog.tombstone_record(self._topic, key) for key in gone if key not in changed]
        for chunk, payload in changed.items():
            records += changelog.chunk_records(self._topic, generation, self.number, chunk, payload)
            had = self._note_parts(chunk, payload)
            for number in range(self._parts.get(chunk, 1), had):
                name = changelog.part_name(chunk, number)
                records += changelog.chunk_records(self._topic, generation, self.number, name, None)
                self._dropped.add(name)
            if payload is None:
                self._dropped.add(chunk)
        return [*records, changelog.commit_record(self._topic, generation, self.number, position, version)]

    def _note_parts(self, chunk: bytes, payload: bytes | None) -> int:
        """Remember how many parts a large chunk has; return how many it had."""
        before = self._parts.pop(chunk, 1)
        parts = 1 if payload is None else max(1, -(-len(payload) // changelog.PART_BYTES))
        if parts > 1:
            self._parts[chunk] = parts
        return before
