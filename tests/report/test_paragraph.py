"""The paragraph of a CSF where no rule has anything to say."""

from __future__ import annotations

from pipeline.report.summary import insight
from tests.report import sample


def test_what_moved_is_said_also_where_no_rule_speaks_of_it() -> None:
    kpis = sample.report().csfs[0].kpis
    assert insight([], kpis) == (
        "Improved: Customer satisfaction; worsened: Session duration and Pages per session; 2 of 5 targets met or on track."
    )
    steady = [kpi for kpi in kpis if kpi.movement == "steady"]
    assert (
        insight([], steady)
        == "No clear change in any of the 2 KPIs that can be compared; 1 of 2 targets met or on track."
    )
