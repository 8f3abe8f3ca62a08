"""Where there is more than may be, engine and oracle still agree, however it was fetched and whoever died."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from random import Random

import msgspec
import pytest

from pipeline.catalogue.model import Catalogue
from pipeline.engine.plan import build_plan
from tests.oracle.oracle import Oracle
from tests.properties.compare import differences
from tests.properties.harness import Cluster
from tests.properties.histories import MINUTE, NOW, Sent, catalogue, text, write
from tests.properties.test_oracle_agrees import disturbed

ZONE = "Europe/Zurich"


def tight(most: int) -> Catalogue:
    """Return a catalogue under which hardly anything may be kept."""
    held = catalogue(ZONE)
    organisation = msgspec.structs.replace(held.organisation, remembered_ids=most, open_sessions=most, entities=most)
    return msgspec.structs.replace(held, organisation=organisation)


def crowd(rng: Random) -> list[Sent]:
    """Return what many visitors, incidents and services do, in batches of a few events, some of them sent again."""
    sent: list[Sent] = []
    arrival = NOW - timedelta(hours=rng.choice([2, 60]))
    while arrival < NOW and len(sent) < 120:
        arrival += rng.choice([1, 5, 20, 90]) * MINUTE
        at = arrival - rng.choice([0, 0, 3, 29, 31, 70]) * MINUTE
        batch = []
        for _ in range(rng.choice([1, 1, 3])):
            number = len(sent) - rng.choice([0, 0, 0, 1, 3, 8, 20])
            event = {"specversion": "1.0", "id": f"e{number}", "source": "src", "time": text(at), "subject": "shop"}
            kind, user = (
                rng.choice(["page.viewed", "page.viewed", "task.finished", "incident.updated"]),
                f"u{rng.randrange(7)}",
            )
            if kind == "incident.updated":
                data = {"number": f"I{rng.randrange(12)}", "opened_at": text(at - MINUTE), "updated_at": text(at)}
                data |= {"state": rng.choice(["new", "resolved"]), "resolved_at": text(at)}
            else:
                data = {"user": user, **({"completed": True} if kind == "task.finished" else {})}
            if rng.random() < 0.2:
                event |= {"subject": f"found {rng.randrange(4)}", "csfteam": "Finders"}
            batch.append({**event, "type": kind, "data": data})
        for topic in ("usage", "incident"):
            mine = [e for e in batch if (e["type"] == "incident.updated") == (topic == "incident")]
            if mine:
                sent.append(Sent(f"csf.events.{topic}", "one", min(arrival, NOW), json.dumps(mine).encode()))
    return sent


def reasons(cluster: Cluster) -> Counter[str]:
    found: Counter[str] = Counter()
    for exits in cluster.exits.values():
        found.update(exits.reasons)
    return found


@pytest.mark.parametrize("shard", range(4))
def test_limits_are_kept_by_the_rules_whatever_was_fetched_together_and_whoever_died(shard: int) -> None:
    hit: Counter[str] = Counter()
    for seed in range(shard, 40, 4):
        rng = Random(seed)
        sent, most = crowd(rng), rng.randrange(4, 12)
        cluster = write(sent, ZONE, 1, 3)
        cluster.plan = build_plan(tight(most))
        cluster = disturbed(cluster, rng) if seed % 3 else cluster.run()
        assert differences(cluster, Oracle(tight(most), cluster.messages())) == [], seed
        hit += reasons(cluster)
    for reason in ("forgotten:ids", "forgotten:sessions", "unmapped:entity-limit", "unmapped:service-limit"):
        assert hit[reason] > 10, (reason, hit)
