"""Write what this program keeps of a small history: ``python -m tests.core.golden.make VERSION``.

Run once for each version of the state's format, with the last program that wrote it; the file is kept for good.
"""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from pathlib import Path

from pipeline.engine import cellstore
from tests.core.bench_world import World
from tests.core.golden.history import HALF, PARTITIONS, history, write

HERE = Path(__file__).parent


def main(version: str) -> None:
    """Fold the first half of the history and write the state it leaves."""
    cellstore.FLUSHES, cellstore.IDLE_S = 1, -1  # so that cells are packed within so short a history
    world = World(partitions=PARTITIONS)
    for action in history()[:HALF]:
        write(world, action)
    world.run()
    kept = {
        "ingest": [
            [topic, partition, world.saved[(topic, partition)], _packed(world.chunks[(topic, partition)])]
            for topic, partition in sorted(world.saved)
        ],
        "rollup": [world.rollup.position, _packed(world.rollup_chunks)],
    }
    (HERE / f"state-{version}.json").write_text(json.dumps(kept, indent=1) + "\n")


def _packed(chunks: dict[bytes, bytes]) -> dict[str, str]:
    return {key.decode(): b64encode(value).decode() for key, value in sorted(chunks.items())}


if __name__ == "__main__":
    main(sys.argv[1])
