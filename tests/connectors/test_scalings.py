"""What the code of two connectors makes of what a platform says: one scaling of many activities, a rescale and its pods."""

from __future__ import annotations

import pytest

from connectors.autoscaling import scalings
from connectors.kubernetes import rescales

CAUSE = (
    "At 2026-11-02T09:20:00Z a monitor alarm TargetTracking-x in state ALARM triggered policy p changing the desired capacity "
    "from 3 to 5. At 2026-11-02T09:20:10Z an instance was started in response to a difference between desired and actual "
    "capacity, increasing the capacity from 3 to 5."
)


def activity(**more):
    return {
        "AutoScalingGroupName": "asg", "Cause": CAUSE, "StartTime": "2026-11-02T09:20:11.120Z",
        "EndTime": "2026-11-02T09:22:40Z", "StatusCode": "Successful", **more,
    }  # fmt: skip


def test_activities_of_one_cause_are_one_scaling_that_is_ready_with_its_last_instance():
    (told,) = scalings.shaped([activity(), activity(EndTime="2026-11-02T09:23:05Z", StartTime="2026-11-02T09:20:12Z")])
    assert told | {"cause": ""} == {
        "AutoScalingGroupName": "asg", "cause": "", "direction": "up", "from": 3, "to": 5, "outcome": "successful",
        "requested_at": "2026-11-02T09:20:00Z", "ended_at": "2026-11-02T09:23:05Z", "ready_at": "2026-11-02T09:23:05Z",
    }  # fmt: skip


def test_a_scaling_with_an_instance_that_failed_is_never_ready():
    (told,) = scalings.shaped([activity(), activity(StatusCode="Failed")])
    assert (told["outcome"], told["ready_at"], told["ended_at"]) == ("failed", None, "2026-11-02T09:22:40Z")


def test_down_is_told_by_the_capacities_of_the_cause():
    cause = "At 2026-11-02T10:00:00Z an instance was taken out of service, shrinking the capacity from 5 to 4."
    (told,) = scalings.shaped([activity(Cause=cause)])
    assert (told["direction"], told["from"], told["to"], told["requested_at"]) == ("down", 5, 4, "2026-11-02T10:00:00Z")


@pytest.mark.parametrize(
    "rest",
    [
        {"StatusCode": "PreInService", "EndTime": None},
        {"Cause": "At 2026-11-02T10:00:00Z an instance was taken out of service in response to an EC2 health check."},
        {"Cause": "At 2026-11-02T10:00:00Z something changed the capacity from 4 to 4."},
        {"Cause": None},
    ],
)
def test_what_has_not_ended_or_changes_no_capacity_is_no_scaling(rest):
    assert scalings.shaped([activity(**rest)]) == []


def pod(created="2026-11-02T09:20:12Z", ready="2026-11-02T09:20:40Z", status="True"):
    return {
        "metadata": {"creationTimestamp": created},
        "status": {"conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": status, "lastTransitionTime": ready}]},
    }  # fmt: skip


OLD = pod(created="2026-11-01T00:00:00Z", ready="2026-11-01T00:00:10Z")


def rescale(*pods, **more):
    return {
        "reason": "SuccessfulRescale", "message": "New size: 5; reason: cpu resource utilization (percentage of request) above target",
        "lastTimestamp": "2026-11-02T09:20:11Z", "involvedObject": {"namespace": "pay", "name": "pay-api"},
        "pods": list(pods), "polled_at": "2026-11-02T09:25:00+00:00", **more,
    }  # fmt: skip


def said(*records):
    return [(r["direction"], r["to"], r["outcome"], r["ready_at"]) for r in rescales.shaped(list(records))]


def test_a_rescale_up_is_ready_with_the_last_of_its_new_pods():
    late = pod(created="2026-11-02T09:20:13Z", ready="2026-11-02T09:21:07Z")
    assert said(rescale(OLD, late, pod())) == [("up", 5, "successful", "2026-11-02T09:21:07Z")]


def test_pods_that_are_not_ready_are_waited_for_and_have_failed_after_ten_minutes():
    waiting = pod(status="False")
    assert said(rescale(OLD, pod(), waiting)) == []
    assert said(rescale(OLD, pod(), waiting, polled_at="2026-11-02T09:30:12Z")) == [("up", 5, "failed", None)]


def test_pods_of_the_next_rescale_are_not_counted():
    following = pod(created="2026-11-02T09:20:32Z", ready="2026-11-02T09:22:00Z")
    later = rescale(
        pod(), following, lastTimestamp="2026-11-02T09:20:31Z", message="New size: 6; reason: cpu above target"
    )
    assert said(later, rescale(pod(), following)) == [
        ("up", 5, "successful", "2026-11-02T09:20:40Z"), ("up", 6, "successful", "2026-11-02T09:22:00Z"),
    ]  # fmt: skip


def test_other_autoscalers_do_not_end_a_rescale():
    other = rescale(lastTimestamp="2026-11-02T09:20:11Z", involvedObject={"namespace": "pay", "name": "web"})
    assert ("up", 5, "successful", "2026-11-02T09:20:40Z") in said(rescale(pod()), other)


def test_without_new_pods_it_was_down_and_how_long_that_took_is_unknown():
    down = "New size: 3; reason: All metrics below target"
    assert said(rescale(OLD, message=down)) == [("down", 3, "successful", None)]
    assert said(rescale(OLD, message=down, polled_at="2026-11-02T09:20:30Z")) == []  # pods could still be created


def test_a_rescale_up_whose_pods_are_gone_again_is_left_out():
    assert said(rescale(OLD)) == []


def test_a_rescale_that_failed_is_told_at_once():
    failed = rescale(reason="FailedRescale", message="New size: 9; reason: cpu above target; error: quota exceeded")
    assert said(failed) == [("up", 9, "failed", None)]


def test_a_rescale_that_fails_again_and_again_is_one_and_one_that_succeeds_again_is_another():
    failed = {
        "reason": "FailedRescale",
        "message": "New size: 9; reason: x; error: quota",
        "firstTimestamp": "2026-11-02T09:20:00Z",
    }
    (first,) = rescales.shaped([rescale(**failed)])
    (later,) = rescales.shaped([rescale(**failed, count=5) | {"lastTimestamp": "2026-11-02T09:21:11Z"}])
    assert (
        (first["occurrence"], first["requested_at"])
        == (later["occurrence"], later["requested_at"])
        == (None, "2026-11-02T09:20:00Z")
    )
    down = {"message": "New size: 3; reason: All metrics below target"}
    (one,) = rescales.shaped([rescale(**down)])
    (other,) = rescales.shaped([rescale(**down) | {"lastTimestamp": "2026-11-02T09:21:11Z"}])
    assert one["occurrence"] != other["occurrence"]


def test_other_events_of_an_autoscaler_and_events_without_a_time_say_nothing():
    assert said(rescale(reason="FailedGetResourceMetric", message="no metrics"), rescale(lastTimestamp=None)) == []


def test_newer_events_have_their_time_elsewhere():
    newer = rescale(pod(), lastTimestamp=None, eventTime="2026-11-02T09:20:11.000000Z")
    assert len(said(newer)) == 1
