"""The report's last parts in words: data quality, the numbers, provenance, definitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from pipeline.report import words
from pipeline.report.kpireport import Contributor, KpiReport
from pipeline.report.model import Report
from reports.figures import scope_words, service
from reports.view import Definition, Provenance, Quality, Table

#: services and entity numbers that the annex lists for a KPI; the report's data file holds them all
SERVICES, EVIDENCE = 12, 24

_DIRECTIONS = {"up": "More is better", "down": "Less is better", "zero": "The nearer to zero, the better"}
_EXITS = {
    "kpi": "in a KPI", "dead_letter": "dead letter", "duplicate": "duplicate", "unmapped": "unmapped", "ignored": "ignored",
}  # fmt: skip


@dataclass(frozen=True)
class Behind:
    """How many services a KPI has behind it, and how many of them stood at 0 in both months."""

    services: int
    at_zero: int


def _kpis(report: Report) -> Iterator[KpiReport]:
    for csf in report.csfs:
        yield from csf.kpis


def _plain(value: float | None) -> str:
    """A numerator, denominator or limit: as many decimals as it needs, at most two."""
    if value is None:
        return words.UNKNOWN
    text = words.number(value, 2)
    return text.rstrip("0").rstrip(".") if "." in text else text


def quality(report: Report) -> Quality:
    """Return how far the figures can be trusted."""
    found = report.quality
    names = {kpi.id: kpi.name for kpi in _kpis(report)}
    coverage = (
        "How much of the month the sources delivered is unknown."
        if found.coverage is None
        else f"The sources delivered for {words.share(found.coverage)} of the month on average; "
        f"below {words.share(found.enough)} a note says so beside the figure."
    )
    late = "No event came after its month was closed."
    if found.late:
        late = (
            f"{words.count(found.late, 'value')} of closed months changed through events that came after the closing."
        )
    cut = "No source cut off what it delivered."
    if found.truncated:
        cut = f"Limits of the sources hid {words.count(found.truncated, 'record')}; coverage is lowered for them."
    seen = [(r, _value(report, r.kpi, r.old), _value(report, r.kpi, r.new)) for r in found.restatements]
    seen = [(r, old, new) for r, old, new in seen if old != new]
    unseen = len(found.restatements) - len(seen)
    tables = [
        Table(
            caption="KPIs whose sources delivered too little",
            columns=["KPI", "Coverage"], text=[True, False], lead=list(found.low),
            rows=[[names.get(kpi, kpi), words.share(share)] for kpi, share in found.low.items()],
        ),
        Table(
            caption="KPIs that are unknown, and why",
            columns=["Reason", "KPIs"], text=[True, True],
            rows=[
                [reason, "; ".join(names.get(kpi, kpi) for kpi, why in found.unknown.items() if why == reason)]
                for reason in dict.fromkeys(found.unknown.values())
            ],
        ),
        Table(
            caption="Values of closed months that changed afterwards",
            columns=["KPI", "Scope", "Month", "Revision", "Before", "After", "Reason"],
            text=[True, True, True, False, False, False, True], lead=[r.kpi for r, _, _ in seen],
            rows=[
                [names.get(r.kpi, r.kpi), scope_words(r.scope, report), words.short_month(r.month), str(r.revision), old, new, r.reason]
                for r, old, new in seen
            ],
            after=f"{words.count(unseen, 'more value')} changed by less than these figures show." if unseen else "",
        ),
        Table(
            caption="Where all events ended, since the beginning",
            columns=["Exit", "Events"], text=[True, False],
            rows=[[_EXITS.get(name, name.replace("_", " ")), words.number(count)] for name, count in found.exits.items()],
        ),
    ]  # fmt: skip
    return Quality(sentences=[coverage, late, cut, *found.notes], tables=[table for table in tables if table.rows])


def _value(report: Report, kpi_id: str, value: float | None) -> str:
    kpi = next((kpi for kpi in _kpis(report) if kpi.id == kpi_id), None)
    return _plain(value) if kpi is None else words.quantity(value, kpi.unit, kpi.decimals)


def differences(report: Report) -> Table | None:
    """Return what differs from the issue before; None where nothing does."""
    if report.issue is None or not report.issue.differences:
        return None
    return Table(
        caption="What differs from the issue before",
        columns=["What", "Before", "Now", "Reason"], text=[True, False, False, True],
        rows=[[d.what, d.old, d.new, d.reason or "not given"] for d in report.issue.differences],
    )  # fmt: skip


def numbers(report: Report) -> list[Table]:
    """Return, for each CSF, what its KPIs' values are made of and what their movements are judged by."""
    return [
        _numbers(csf.name, known) for csf in report.csfs if (known := [k for k in csf.kpis if words.is_known(k.value)])
    ]


def _numbers(name: str, kpis: Sequence[KpiReport]) -> Table:
    rows = []
    for kpi in kpis:
        limits, trend = kpi.natural_limits, kpi.trend
        span = "too few months" if limits is None else f"{_limit(kpi, limits.lower)} to {_limit(kpi, limits.upper)}"
        slope = (
            "too few months" if trend.slope is None else words.difference(trend.slope, kpi.unit, max(2, kpi.decimals))
        )
        chance = (
            "" if trend.p_value is None else " (p < 0.001)" if trend.p_value < 0.001 else f" (p {trend.p_value:.3f})"
        )
        state = {"to_date": "to date", "closed": "closed", "restated": f"restated, rev. {kpi.revision}"}[kpi.state]
        rows.append([
            kpi.name, words.quantity(kpi.value, kpi.unit, kpi.decimals), _plain(kpi.numerator), _plain(kpi.denominator),
            words.sample(kpi.count, kpi.sample_unit) if kpi.sample_known else words.UNKNOWN, span, slope + chance, state + (", reported" if kpi.reported else ""),
        ])  # fmt: skip
    return Table(
        caption=name,
        columns=["KPI", "Value", "Numerator", "Denominator", "Sample", "Natural limits", "Slope a month", "State"],
        text=[True, False, False, False, False, False, False, True],
        rows=rows,
        lead=[kpi.id for kpi in kpis],
    )


def _limit(kpi: KpiReport, value: float) -> str:
    return words.number(value, kpi.decimals)


def months(report: Report) -> list[Table]:
    """Return, for each CSF, the months behind its trend lines; KPIs that were never known are left out."""
    return [_months(csf.name, known) for csf in report.csfs if (known := [k for k in csf.kpis if _ever_known(k)])]


def _ever_known(kpi: KpiReport) -> bool:
    return any(words.is_known(point.value) for point in kpi.history)


def _months(name: str, kpis: Sequence[KpiReport]) -> Table:
    span = kpis[0].history
    rows = [
        [
            kpi.name,
            *(words.figure(p.value, kpi.unit, kpi.decimals) if p.value is not None else "?" for p in kpi.history),
        ]
        for kpi in kpis
    ]
    return Table(
        caption=name,
        columns=["KPI", *(words.short_month(point.month) for point in span)],
        text=[True, *(False for _ in span)],
        rows=rows,
        lead=[kpi.id for kpi in kpis],
        after="A question mark stands for a month that is unknown.",
    )


def bounded(report: Report) -> Report:
    """Return a report with no more services and numbers than are shown: there are hundreds of services a KPI."""

    def cut(kpi: KpiReport) -> KpiReport:
        total = max(kpi.evidence_total, len(kpi.evidence))
        return replace(
            kpi,
            services=[s for s in kpi.services if not _stood_at_zero(s)][:SERVICES],
            evidence=kpi.evidence[:EVIDENCE],
            evidence_total=total,
        )

    return replace(report, csfs=[replace(csf, kpis=[cut(kpi) for kpi in csf.kpis]) for csf in report.csfs])


def _stood_at_zero(service: Contributor) -> bool:
    """Return whether a service has nothing to tell: no incident this month and none the month before, say."""
    return service.value == 0 and service.previous == 0 and not service.effect


def behind(report: Report) -> dict[str, Behind]:
    """Return, for each KPI, how many services a report that is not yet ``bounded`` has behind it."""
    return {
        kpi.id: Behind(len(kpi.services), sum(map(_stood_at_zero, kpi.services))) for csf in report.csfs for kpi in csf.kpis
    }  # fmt: skip


def provenance(report: Report, behind: dict[str, Behind]) -> list[Provenance]:
    """Return what stands behind each KPI that has services below its scope, or entity numbers.

    Args:
        report: ``bounded``.
        behind: what each KPI had before that.
    """
    return [_provenance(kpi, behind[kpi.id]) for kpi in _kpis(report) if behind[kpi.id].services or kpi.evidence]


def _provenance(kpi: KpiReport, behind: Behind) -> Provenance:
    left = behind.services - behind.at_zero - SERVICES
    quiet = f"{words.count(behind.at_zero, 'service')} stood at 0 in both months." if behind.at_zero else ""
    more = f"{words.count(left, 'more service')} in the data file." if left > 0 else ""
    rest = kpi.evidence_total - len(kpi.evidence)
    return Provenance(
        kpi=kpi.id,
        name=kpi.name,
        services=[service(found, kpi) for found in kpi.services],
        additive=any(found.effect is not None for found in kpi.services),
        services_left=" ".join(filter(None, (quiet, more))),
        evidence=[(found.number, found.service) for found in kpi.evidence],
        evidence_left=f"{words.number(rest)} more." if rest > 0 and kpi.evidence else "",
    )


def provenance_left(report: Report, behind: dict[str, Behind]) -> str:
    """Return where the services are that the annex leaves out; empty where it leaves out none."""
    most = max((found.services - found.at_zero for found in behind.values()), default=0)
    if most <= SERVICES:
        return ""
    return (
        f"For each KPI the first {SERVICES} of up to {words.count(most, 'service')} are listed, those that matter most for it "
        f"first. All of them are in the report's data file: csf report {report.month} --scope {report.scope} --format json."
    )


def definitions(report: Report) -> list[Definition]:
    """Return what the KPIs mean; those of a breakdown are told with the whole."""
    return [
        Definition(
            kpi=kpi.id,
            name=kpi.name,
            text=kpi.definition,
            facts=f"{_DIRECTIONS[kpi.direction]}; unit {kpi.unit}; definition version {kpi.definition_version}; owner {kpi.owner}",
        )
        for kpi in _kpis(report)
        if kpi.breakdown_of is None
    ]
