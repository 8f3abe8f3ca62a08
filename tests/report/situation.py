"""KPI reports from a few words: what a situation's fixture says of a KPI, the rest as the catalogue has it."""

from typing import Any

from pipeline.catalogue.model import Kpi
from pipeline.evaluate.judge import judge
from pipeline.report.kpireport import Contributor, KpiReport, NaturalLimits, Signal, Trend
from pipeline.report.targets import meets
from tests.report.histories import CATALOGUE, months, values

MONTH = "2026-10"


def report(kpi: Kpi, value: float | None, *, movement: str = "steady", **given: Any) -> KpiReport:
    """Return a KPI's month.

    Args:
        kpi: as the catalogue has it.
        value: of the month.
        movement: improved, worsened, steady or unknown.
        given: previous, previous_year, count, coverage, state, trend and slope, limits (lower, upper), record (best,
            worst: of 13 months), programmes (ids of open ones), top (name, previous, value, share: of the first of two contributors).
    """
    count = given.get("count", max(1000, kpi.min_sample))
    status, score = judge(kpi, value, count, kpi.target)
    previous, state = given.get("previous"), given.get("state", "closed")
    change = value - previous if value is not None and previous is not None else None
    year = given.get("previous_year")
    target_state = "no_target" if kpi.target is None else "unknown"
    if value is not None and kpi.target is not None and status != "unknown":
        reached = meets(kpi, value, kpi.target)
        target_state = (
            ("met" if reached else "not_met") if state != "to_date" else "on_track" if reached else "off_track"
        )
    limits = given.get("limits")
    top = given.get("top")
    return KpiReport(
        id=kpi.id, name=kpi.name, csf=kpi.csf, unit=kpi.unit, direction=kpi.direction, decimals=kpi.decimals,
        weight=kpi.weight, definition=kpi.definition, definition_version=kpi.version, owner=kpi.owner,
        activity=kpi.activity, goal=kpi.goal, value=value, numerator=None, denominator=None, count=count,
        coverage=given.get("coverage"), status=status, score=score, state=state, revision=1, reported=False,
        target=kpi.target, target_state=target_state, previous=previous, previous_year=year, change=change,
        change_pct=100 * change / abs(previous) if change is not None and previous else None,
        change_year_pct=100 * (value - year) / abs(year) if value is not None and year else None,
        movement=movement, movement_reason="", signals=_signals(movement),
        trend=Trend(direction=given.get("trend", "none"), slope=given.get("slope")),
        natural_limits=NaturalLimits(lower=limits[0], centre=sum(limits) / 2, upper=limits[1], months=12) if limits else None,
        history=values(_history(kpi, value, given.get("record")), last=MONTH),
        contributors=_contributors(top) if top else [], services=[], evidence=[], evidence_total=0, notes=[],
        breakdown_of=kpi.breakdown_of, programmes=given.get("programmes", []),
    )  # fmt: skip


def _signals(movement: str) -> list[Signal]:
    if movement not in {"improved", "worsened"}:
        return []
    return [Signal(kind="outside_limits", good=movement == "improved", text="Outside its natural limits.")]


def _history(kpi: Kpi, value: float | None, record: str | None) -> list[float | None]:
    """Return 13 months that make the last one the best, the worst, or neither."""
    if value is None:
        return [None] * len(months(MONTH, 13))
    step = max(abs(value) * 0.1, 1.0) * (1 if kpi.direction == "up" else -1)
    offsets = {"best": [-step] * 12, "worst": [step] * 12}.get(record or "", [step, -step] * 6)
    return [*(value + o for o in offsets), value]


def _contributors(top: dict[str, Any]) -> list[Contributor]:
    part = top["value"] - top["previous"]
    rest = part * (1 - top["share"]) / top["share"]
    return [
        Contributor(
            scope="service:shop",
            name=top["name"],
            value=top["value"],
            previous=top["previous"],
            effect=part,
            share=top["share"],
        ),
        Contributor(scope="service:post", name="Mail", value=rest, previous=0.0, effect=rest, share=1 - top["share"]),
    ]


def situation(kpis: dict[str, dict[str, Any]]) -> dict[str, KpiReport]:
    """Return the KPI reports of a fixture."""
    return {name: report(CATALOGUE.kpis[name], **given) for name, given in kpis.items()}
