"""What the code of the Prometheus connector makes of series of kube-state-metrics: rescales, each told by one window."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from connectors.prometheus import rescales
from pipeline.errors import ConfigError, SourceRefused
from tests.connectors.desk import declared
from tests.connectors.pulling import on_bench
from tests.connectors.vendor import Says, serving

#: A moment on whole hours: samples are told by seconds since then.
T0 = 1793610000


def series(name, values, *, start=0, step=15, **labels):
    """Return a series of samples ``step`` seconds apart; None: none at that time."""
    points = [[T0 + start + step * n, str(value)] for n, value in enumerate(values) if value is not None]
    return {"metric": {"__name__": f"kube_{name}", "namespace": "pay", **labels}, "values": points}


def scaled(desired, *, ready=None, size=None, current=None, kind="Deployment", name="api", **more):
    """Return the series of an autoscaler and of what it scales."""
    scaler = {"horizontalpodautoscaler": name, **more}
    found = [
        series("horizontalpodautoscaler_status_desired_replicas", desired, **scaler),
        series("horizontalpodautoscaler_info", [1] * len(desired), scaletargetref_kind=kind, scaletargetref_name="shop", **scaler),
    ]  # fmt: skip
    target = {kind.lower(): "shop", **more}
    for what, values in (("status_replicas_ready", ready), ("status_replicas", size)):
        found += [series(f"{kind.lower()}_{what}", values, **target)] if values else []
    return found + ([series("horizontalpodautoscaler_status_current_replicas", current, **scaler)] if current else [])


def told(records):
    """Return (direction, from, to, asked for, ready) of rescales, in seconds since the moment; failed ones are never ready."""
    found = []
    for r in rescales.shaped(records):
        assert (r["outcome"] == "failed") == (r["ready_at"] is None)
        ready = None if r["ready_at"] is None else r["ready_at"] - T0
        found.append((r["direction"], r["from"], r["to"], r["requested_at"] - T0, ready))
    return found


def test_up_is_ready_with_the_last_ready_pod_and_down_when_no_more_pods_are_there():
    desired = [3, 5, 5, 5, 5, 4, 4, 4]
    ready, size = [3, 3, 4, 5, 5, 5, 5, 5], [3, 3, 5, 5, 5, 5, 4, 4]
    assert told(scaled(desired, ready=ready, size=size)) == [("up", 3, 5, 15, 45), ("down", 5, 4, 75, 90)]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_readiness_is_that_of_the_target_whatever_the_autoscaler_counts(kind):
    assert told(scaled([3, 5, 5, 5], ready=[3, 3, 3, 5], current=[3, 3, 5, 5], kind=kind)) == [("up", 3, 5, 15, 45)]


def test_without_series_of_the_target_down_is_told_and_up_is_not_known():
    assert told(scaled([3, 5, 5, 4, 4], current=[3, 3, 5, 5, 4], kind="Rollout")) == [("down", 5, 4, 45, 60)]


def test_one_that_is_there_at_the_scrape_that_shows_it_took_no_time_that_scrapes_could_tell():
    assert told(scaled([3, 5], ready=[3, 5])) == [("up", 3, 5, 15, 15)]


def test_what_is_not_there_after_ten_minutes_has_failed_and_is_waited_for_until_then():
    desired, never = [3] + [5] * 41, [3] * 42
    assert told(scaled(desired, ready=never)) == []  # the last sample is ten minutes old to the second
    assert told(scaled([*desired, 5], ready=[*never, 3])) == [("up", 3, 5, 15, None)]
    assert told(scaled([*desired, 5], ready=[*never, 5])) == [("up", 3, 5, 15, None)]
    assert told(scaled(desired, ready=[*never[:-1], 5])) == [("up", 3, 5, 15, 615)]


def test_one_that_another_carries_further_is_judged_by_its_own_size():
    assert told(scaled([3, 5, 8, 8, 8], ready=[3, 3, 4, 6, 8])) == [("up", 3, 5, 15, 45), ("up", 5, 8, 30, 60)]


def test_one_that_is_taken_back_before_it_is_there_is_left_out():
    ready, size = [3, 3, 3, 3, 3], [3, 3, 5, 5, 4]
    assert told(scaled([3, 5, 5, 4, 4], ready=ready, size=size)) == [("down", 5, 4, 45, 60)]
    # down again to no less than it asked for takes nothing back
    assert ("up", 3, 5, 15, 60) in told(scaled([3, 5, 8, 6, 6], ready=[3, 3, 3, 4, 5], size=[3] * 5))


def test_one_that_is_taken_back_after_ten_minutes_has_failed():
    assert told(scaled([3] + [5] * 41 + [3], ready=[3] * 43)) == [("up", 3, 5, 15, None)]


@pytest.mark.parametrize("desired", [[0, 3, 3], [3, 0, 0], [3, 0, 3]])
def test_a_desired_size_of_0_is_no_request(desired):
    assert told(scaled(desired, ready=[3, 3, 3], size=[3, 3, 0])) == []


def test_one_that_lies_at_a_hole_in_the_samples_is_left_out():
    hole = [None] * 10  # 165 s
    assert told(scaled([3, *hole, 5, 5], ready=[3, *hole, 3, 5])) == []
    assert told(scaled([3, 5, *hole, 5], ready=[3, 3, *hole, 5])) == []
    assert told(scaled([3, *hole[1:], 5, 5], ready=[3, *hole[1:], 3, 5])) == [("up", 3, 5, 150, 165)]


def test_an_autoscaler_that_is_gone_has_no_failures():
    """Nobody looks after what is scaled any more, so that its pods do not come says nothing."""
    gone = [None] * 40
    assert told(scaled([3, 5, 5, *gone], ready=[3] * 43)) == []
    assert told(scaled([3, 5, 5, *gone], ready=[3, 3, 5, *gone])) == [("up", 3, 5, 15, 30)]


def test_series_that_go_on_under_other_labels_of_the_scrape_are_one():
    before = scaled([3, 3], ready=[3, 3], instance="10.0.0.1:8080")
    after = [
        {**each, "values": [[at + 30, n] for at, n in each["values"]]}
        for each in scaled([5, 5], ready=[3, 5], instance="10.0.0.9:8080")
    ]
    assert told([*after, *before]) == [("up", 3, 5, 30, 45)]


def test_autoscalers_of_one_name_are_told_apart_by_namespace_and_cluster():
    one = scaled([3, 5, 5], ready=[3, 3, 5], cluster="east")
    other = scaled([2, 2, 2], ready=[2, 2, 2], cluster="west")
    kept = scaled([6, 7, 7], ready=[6, 7, 7], exported_namespace="web", cluster="west")
    found = rescales.shaped([*other, *one, *kept])
    assert [(r["scaler"], r["metric"]["autoscaler"], r["to"]) for r in found] == [
        ("east/pay/horizontalpodautoscaler/api", "pay/api", 5), ("west/web/horizontalpodautoscaler/api", "web/api", 7),
    ]  # fmt: skip


def test_other_series_and_values_that_are_none_say_nothing():
    assert told([series("horizontalpodautoscaler_spec_max_replicas", [3, 5], horizontalpodautoscaler="api")]) == []
    assert told([{"metric": {"job": "x"}, "values": [[T0, "1"]]}, *scaled([3, "NaN", 3], ready=[3, 3, 3])]) == []


@pytest.mark.parametrize("every_s", [17, 60, 600, 1800, 5000])
def test_each_is_told_by_one_window_however_the_polls_fall(tmp_path, every_s):
    """Between polls the connector is started anew, and remembers nothing but its cursor."""
    desired = [3] * 3 + [5] * 60 + [4] * 10 + [9] * 100
    ready = [3] * 40 + [5] * 33 + [6] * 100
    size = [3] * 10 + [5] * 60 + [4] * 5 + [6] * 98
    have = scaled(desired, ready=ready, size=size)

    def answer(asked):
        """Answer as Prometheus does: samples behind the beginning of the range, and not behind its end."""
        length = re.fullmatch(r"\{.*\}\[20m(\d+)s\]", asked.query["query"])
        last = int(asked.query["time"])
        first = last - 1200 - int(length[1])
        cut = [{**s, "values": [[at, n] for at, n in s["values"] if first < at <= last]} for s in have]
        return Says({"status": "success", "data": {"resultType": "matrix", "result": [s for s in cut if s["values"]]}})

    with serving(answer) as vendor:
        bench = on_bench(
            tmp_path, "prometheus", options={"address": vendor.address}, auth={"use": "none"}, streams=["rescales"],
            since=datetime.fromtimestamp(T0, UTC).isoformat(),
        )  # fmt: skip
        events = []
        for at in range(T0, T0 + 5001, every_s):
            bench.now = datetime.fromtimestamp(at + 30, UTC)
            events += bench.poll(anew=True)
    seconds = [
        (e["data"]["requested_at"][11:19], e["data"].get("ready_at", "never")[11:19], e["data"]["to"]) for e in events
    ]
    assert seconds == [("09:00:45", "09:10:00", 5), ("09:15:45", "09:17:30", 4), ("09:18:15", "", 9)]


def test_series_without_a_namespace_are_told(tmp_path):
    lacking = series("horizontalpodautoscaler_status_desired_replicas", [3, 5], horizontalpodautoscaler="api")
    del lacking["metric"]["namespace"]
    body = {"status": "success", "data": {"result": [lacking]}}
    with serving(lambda _: Says(body)) as vendor:
        bench = on_bench(
            tmp_path, "prometheus", options={"address": vendor.address}, auth={"use": "none"}, streams=["rescales"],
        )  # fmt: skip
        with pytest.raises(
            SourceRefused, match=r"rescales: the records are not as the source documents them: .*namespace"
        ):
            bench.poll()


def test_only_what_code_makes_is_told_by_a_column_of_its_own(tmp_path):
    with pytest.raises(ConfigError, match="tells_by is a column of what shape makes; there is no shape"):
        on_bench(
            tmp_path, declared(cursor={"kind": "window", "tells_by": "at"}), options={"address": "http://127.0.0.1:1"}
        )
