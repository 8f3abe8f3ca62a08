"""The direct path leads every event to the exit and into the cells that the long way leads it to."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.ingest import IngestAgent
from agents.transport import Batch
from pipeline.catalogue import model as m
from pipeline.engine import direct, ingest, seen
from pipeline.engine.bases import Base
from pipeline.engine.cells import Cells
from pipeline.engine.ingest import IngestPartition
from pipeline.engine.output import IngestOutput
from pipeline.engine.plan import Plan, build_plan
from pipeline.engine.seen import SeenIds
from pipeline.errors import SettlingFailed
from pipeline.time.calendar import to_ms
from pipeline.time.panes import LEVELS
from tests.core.bench_world import NOW, catalogue, kpi

TOPICS = {"csf.events.usage", "csf.events.uptime", "csf.events.performance", "csf.events.insight"}
PLAN = build_plan(catalogue())
ARRIVAL = to_ms(NOW)


def view(**changed: Any) -> dict[str, Any]:
    """Return a page view with what is changed; None takes an attribute out."""
    event = {
        "specversion": "1.0", "id": "e", "source": "s", "type": "page.viewed", "subject": "shop", "time": NOW.isoformat(),
        "data": {"user": "u", "status": 200, "duration_ms": 5},
    }  # fmt: skip
    return {k: v for k, v in (event | changed).items() if v is not None}


WRONG: list[Any] = [
    view(specversion="0.3"), view(specversion=None), view(id=""), view(source=""), view(id=None), view(type="nothing"),
    view(type=None), view(time="2026-11-24T10:00:00"), view(time="then"), view(time=None), view(data=None),
    view(data={"user": ""}), view(data={"user": "u", "status": 1000}), view(data={"user": "u", "duration_ms": -1}),
    view(data={"user": "u", "duration_ms": 2e12}), view(data={"user": "u", "error": 1}), view(data=[1]),
    view(data={"user": "u", "path": 5}), view(datacontenttype=7), view(sequence=[]), view(subject=3),
    view(type="incident.updated"), view(type="clock.ticked", data={"partition": 0, "time": NOW.isoformat()}),
    view(type="session.ended", data={"user": "u", "session": "s", "pages": 3, "duration_s": 9}), [], 5, "text", {},
]  # fmt: skip
AT = st.sampled_from(
    [
        timedelta(0),
        -timedelta(minutes=3),
        -timedelta(hours=2),
        -timedelta(hours=2, seconds=1),
        -timedelta(days=3),
        -timedelta(days=40),
        timedelta(hours=24),
        timedelta(hours=24, milliseconds=1),
        timedelta(hours=23, minutes=59),
    ]
)


@st.composite
def events(draw: Any) -> bytes:
    if draw(st.integers(0, 5)) == 0:
        event: Any = draw(st.sampled_from(WRONG))
    else:
        at = (NOW + draw(AT)).isoformat()
        user = draw(st.sampled_from(["u", "v", "w"]))
        kind, data = draw(
            st.sampled_from(
                [
                    ("page.viewed", {"user": user, "status": 500, "duration_ms": 12.5}),
                    ("page.viewed", {"user": user}),
                    ("task.finished", {"user": user, "completed": True}),
                    ("uptime.checked", {"up": True, "check": user}),
                    ("request.measured", {"latency_ms": 80, "status": 503, "count": 3}),
                    ("prediction.scored", {"model": user, "predicted": 3.5, "actual": 4}),
                ]
            )
        )
        team = draw(st.sampled_from([None, None, "web"]))
        subject = draw(st.sampled_from(["shop", "SHOP-1", "portal", "mail", "new", ""]))
        event = view(type=kind, data=data, time=at, id=f"e{draw(st.integers(0, 30))}", subject=subject, csfteam=team)
    raw = json.dumps(event).encode()
    twice = [raw.replace(b"{", b'{"type": "nothing", ', 1), raw[:-1] + b', "type": "page.viewed"}']
    return draw(st.sampled_from([raw, raw, raw, raw, raw, raw, raw[:-1], b" " + raw, raw + b" ", b"", *twice]))


@st.composite
def logs(draw: Any) -> list[tuple[int, int, bytes]]:
    drawn = draw(st.lists(events(), min_size=1, max_size=60))
    messages: list[bytes] = []
    while drawn:
        many = draw(st.sampled_from([1, 1, 1, 4]))
        part, drawn = drawn[:many], drawn[many:]
        messages.append(part[0] if many == 1 else b"[" + b",".join(part) + b"]")
    steps = draw(
        st.lists(st.sampled_from([0, 0, 0, 1, -5_000, 1_800_000]), min_size=len(messages), max_size=len(messages))
    )
    return [(i, ARRIVAL + sum(steps[: i + 1]), message) for i, message in enumerate(messages)]


def folded(plan: Plan, topic: str, log: list[tuple[int, int, bytes]], cuts: list[int]) -> IngestOutput:
    engine = IngestPartition(plan, topic, 0)
    last = 0
    for cut in [*sorted(cuts), len(log)]:
        engine.fold(log[last:cut])
        last = max(last, cut)
    return engine.take()


def content(out: IngestOutput) -> Any:
    """Return what does not depend on the order in which ids and rows were written."""
    cells = {key: value for key, value in out.chunks if key[:1] == b"c"}
    ids = sorted(v[i : i + 16] for k, v in out.chunks if k[:1] == b"x" and v for i in range(0, len(v), 16))
    return cells.keys(), ids, out.exits, sorted(out.dead_letters), len(out.partials)


@given(
    log=logs(), topic=st.sampled_from(sorted(TOPICS)), cuts=st.lists(st.integers(0, 60), max_size=2),
    size=st.sampled_from([8, 1024]), unsettled=st.sampled_from([1, ingest.MOST_UNSETTLED]),
)  # fmt: skip
def test_both_ways_lead_to_the_same(
    log: list[tuple[int, int, bytes]], topic: str, cuts: list[int], size: int, unsettled: int
) -> None:
    most = ingest.MOST_UNSETTLED
    try:
        direct._LEAST, ingest.MOST_UNSETTLED = size, unsettled
        quick = folded(PLAN, topic, log, cuts)
        additive, direct.additive_types = direct.additive_types, set
        long = folded(PLAN, topic, log, cuts)
    finally:
        direct._LEAST, ingest.MOST_UNSETTLED = 8, most
        direct.additive_types = additive
    assert content(quick) == content(long)
    states = [[(k, v) for k, v in sorted(out.chunks, key=lambda c: c[0]) if k[:1] == b"c"] for out in (quick, long)]
    for (key, ours), (_, theirs) in zip(*states, strict=True):
        assert unpacked(ours) == unpacked(theirs), key


def unpacked(raw: bytes | None) -> Any:
    assert raw is not None
    states = msgspec.msgpack.decode(raw, type=dict[str, bytes])
    return {k: PLAN.bases[k].aggregator.unpack(msgspec.msgpack.decode(v)) for k, v in states.items()}


def test_most_events_go_the_direct_way(monkeypatch: Any) -> None:
    log = [(i, ARRIVAL, json.dumps(view(id=f"e{i}")).encode()) for i in range(3_000)]
    log[700] = (700, ARRIVAL, json.dumps(view(id="wrong", data={})).encode())
    engine = IngestPartition(PLAN, "csf.events.usage", 0)
    long: list[int] = []
    one = IngestPartition._one
    monkeypatch.setattr(IngestPartition, "_one", lambda self, *a: (long.append(a[1]), one(self, *a))[1])
    engine.fold(log)
    assert long == [700]
    assert engine.take().exits.kpi == 2_999


def test_events_are_gathered_until_a_flush_or_a_new_minute_or_until_they_are_many(monkeypatch: Any) -> None:
    monkeypatch.setattr(ingest, "MOST_UNSETTLED", 30)
    engine = IngestPartition(PLAN, "csf.events.usage", 0)
    settled: list[int] = []
    settle = IngestPartition._settle
    monkeypatch.setattr(IngestPartition, "_settle", lambda self: (settled.append(self.position), settle(self))[1])

    def views(first: int, arrival_ms: int, subject: str = "shop") -> list[tuple[int, int, bytes]]:
        return [
            (i, arrival_ms, json.dumps(view(id=f"e{i}", subject=subject)).encode()) for i in range(first, first + 10)
        ]

    engine.fold(views(0, ARRIVAL))
    assert settled == [9]  # the first minute there is
    engine.fold(views(10, ARRIVAL))
    engine.fold(views(20, ARRIVAL, "portal"))
    assert settled == [9]
    assert engine.changed_cells == len(LEVELS) + 2  # those of the shop, and what waits of it and of the portal
    engine.fold(views(30, ARRIVAL))
    assert settled == [9, 39]  # so many
    engine.fold(views(40, ARRIVAL + 60_000))
    assert settled == [9, 39, 49]
    engine.fold(views(50, ARRIVAL + 60_000))
    assert engine.take().exits.kpi == 60
    assert settled == [9, 39, 49, 59]
    assert engine.changed_cells == 0
    monkeypatch.setattr(ingest, "MOST_TOUCHED", 2)
    engine.fold(views(60, ARRIVAL + 60_000))
    assert settled[-1] == 59
    engine.fold(views(70, ARRIVAL + 60_000, "portal"))
    assert settled[-1] == 79  # so many cells


def of_one(measure: m.AnyMeasure) -> Plan:
    return build_plan(msgspec.structs.replace(catalogue(), kpis={"far": kpi("far", "data_driven_insights", measure)}))


SCORED = ["prediction.scored"]


@pytest.mark.parametrize("subject", ["shop", "new"])  # the direct way; the long one, of a service nobody knows yet
@pytest.mark.parametrize(
    "measure",
    [
        m.Mean(events=SCORED, value="predicted / actual"),
        m.Quantile(events=SCORED, value="predicted / actual", q=0.5),
        m.Ratio(events=SCORED, numerator="predicted / actual", denominator="1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("divisor", [1e-310, 1e-200])
def test_what_comes_of_a_division_by_next_to_nothing_is_unknown(
    measure: m.AnyMeasure, subject: str, divisor: float
) -> None:
    plan = of_one(measure)
    engine = IngestPartition(plan, "csf.events.insight", 0)
    for i, actual in enumerate([divisor, 2.5, 5.0]):
        data = {"model": "a", "predicted": 1000.5, "actual": actual}
        event = view(
            type="prediction.scored", id=f"e{i}", subject=subject if not i else "shop", csfteam="web", data=data
        )
        engine.fold([(i, ARRIVAL, json.dumps(event).encode())])
    out = engine.take()
    assert (out.exits.kpi, out.dead_letters) == (3, [])
    days = [msgspec.msgpack.decode(value, type=dict[str, bytes]) for key, value in out.chunks
            if value is not None and key.startswith(b"c|3|")]  # fmt: skip
    (base,) = (b for b in plan.bases.values() if b.spec.how not in {"count"})
    states = [base.aggregator.unpack(msgspec.msgpack.decode(day[base.key])) for day in days if base.key in day]
    assert [sum(s.values()) if isinstance(s, dict) else s[0] for s in states] == [2]


def poisoned(monkeypatch: Any, engine: IngestPartition) -> None:
    """Let the engine's bases fail on events of one user, on either way."""

    def failing(read: Any) -> Any:
        def reads(data: Any) -> Any:
            if any(d.user == "poison" for d in (data if isinstance(data, list) else [data])):
                raise ValueError("a fault of ours with this event")
            return read(data)

        return reads

    for how in engine._direct._types.values():
        monkeypatch.setattr(how, "by", replace(how.by, read=failing(how.by.read)))
    hot, others = engine._plan.hot["page.viewed"]
    failed = tuple((key, add, failing(contribution_of)) for key, add, contribution_of in hot)
    monkeypatch.setitem(engine._plan.hot, "page.viewed", (failed, others))


def test_an_event_that_cannot_be_folded_is_a_letter_alone_and_can_be_sent_again(monkeypatch: Any) -> None:
    plan = build_plan(catalogue())
    log = [
        (i, ARRIVAL, json.dumps(view(id=f"e{i}", data={"user": "poison" if i == 50 else "u"})).encode())
        for i in range(100)
    ]
    engine = IngestPartition(plan, "csf.events.usage", 0)
    with monkeypatch.context() as patched:
        poisoned(patched, engine)
        engine.fold(log)
    out = engine.take()
    assert (out.exits.kpi, out.exits.duplicate, out.exits.dead_letter) == (99, 0, 1)
    (letter,) = out.dead_letters
    again = IngestPartition(plan, "csf.events.usage", 0)
    again.restore(engine.position, [(key, value) for key, value in out.chunks if value is not None])
    again.fold([(100, ARRIVAL, json.loads(letter[1])["event"].encode()), (101, ARRIVAL, log[0][2])])
    exits = again.take().exits
    assert (exits.kpi, exits.duplicate, exits.dead_letter) == (100, 1, 1)


def test_an_event_that_a_base_without_columns_fails_on_is_a_letter_alone(monkeypatch: Any) -> None:
    def failing(base: Base) -> Base:
        def extract(record: Any, t_ms: int, entity: str) -> Any:
            if record.latency_ms == 666:
                raise ValueError("a fault of ours with this event")
            return base.extract(record, t_ms, entity)

        return replace(base, extract=extract)

    plan = build_plan(catalogue())
    engine = IngestPartition(plan, "csf.events.performance", 0)
    (how,) = (h for h in engine._direct._types.values() if h.by.others)
    monkeypatch.setattr(how, "by", replace(how.by, others=tuple(map(failing, how.by.others))))
    hot, others = plan.hot["request.measured"]
    monkeypatch.setitem(plan.hot, "request.measured", (hot, tuple(map(failing, others))))
    measured = [{"latency_ms": 666 if i == 5 else 20, "count": 1} for i in range(20)]
    events = [view(type="request.measured", id=f"e{i}", data=data) for i, data in enumerate(measured)]
    engine.fold([(i, ARRIVAL, json.dumps(event).encode()) for i, event in enumerate(events)])
    exits = engine.take().exits
    assert (exits.kpi, exits.duplicate, exits.dead_letter) == (19, 0, 1)


def test_a_fault_while_settling_is_no_events_and_is_not_passed_over(monkeypatch: Any) -> None:
    engine = IngestPartition(PLAN, "csf.events.usage", 0)
    log = [(0, ARRIVAL, json.dumps(view()).encode())]
    monkeypatch.setattr(Cells, "settle", lambda _self: 1 / 0)
    batch = Batch("csf.events.usage", 0, 0, ARRIVAL, log, None)
    with pytest.raises(
        SettlingFailed, match=r"csf\.events\.usage/0: what was gathered up to offset 0 cannot be folded"
    ):
        IngestAgent._fold(cast(IngestAgent, None), engine, batch)


def test_events_that_no_base_takes_make_no_cell() -> None:
    errors = m.Count(events=["page.viewed"], where="status >= 500")
    plan = build_plan(msgspec.structs.replace(catalogue(), kpis={"errors": kpi("errors", "reliability", errors)}))
    statuses = {"shop": [200, 503], "portal": [200, 200]}
    raws = [json.dumps(view(id=f"{s}{i}", subject=s, data={"user": "u", "status": code})).encode()
            for s, codes in statuses.items() for i, code in enumerate(codes)]  # fmt: skip
    engine = IngestPartition(plan, "csf.events.usage", 0)
    engine.fold([(i, ARRIVAL, raw) for i, raw in enumerate(raws)])
    services = {key.rsplit(b"|", 1)[1] for key, _ in engine.take().chunks if key[:1] == b"c"}
    assert services == {b"shop"}


def test_ids_kept_by_earlier_versions_are_duplicates_until_they_are_over() -> None:
    old, ids, hour = SeenIds(10), SeenIds(10), 3_600_000
    assert old.add("s", "e", 5 * hour)
    ids.restore(b"d|5|0|0", seen._legacy_key("s", "e"))
    assert not ids.add("s", "e", 6 * hour)
    assert ids.add("s", "other", 6 * hour)
    ids.expire((5 + seen.HORIZON_HOURS + 1) * hour)
    assert not ids.legacy
    assert (b"d|5|0|0", None) in list(ids.chunks())
