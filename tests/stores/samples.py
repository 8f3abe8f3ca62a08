"""Values for store tests."""

from typing import Any

from pipeline.values import WINDOWS, AlertChange, AlertNote, CsfStatus, Happening, KpiRevision, KpiValue, ReportText

MAY = 1462060800
DAY = 86400
#: what somebody might give as a name, to a store that builds queries of text
HOSTILE = [
    "service:a b,c=d",
    'service:"quoted" \\ back\\',
    "service:new\nline\r\n\ttab",
    "service:${interpolated} #{x}",
    '") |> drop() //',
    "' OR 1=1; DROP TABLE kpi_period; --",
    "service:ünï-日本-🙂",
    "service:%0041%",
    "service:\\0041",
    "service:trailing\\",
    "service:nul\x00byte",
    "service:u2028\u2028x",
    " leading and trailing ",
    "-",
    "",
]


def period_value(**changed: Any) -> KpiValue:
    """Return a month's value in which every field has a value of its own."""
    fields: dict[str, Any] = {
        "csf": "reliability",
        "kpi": "mttr",
        "scope": "org",
        "period": "month",
        "start": MAY,
        "end": MAY + 31 * DAY,
        "value": 12.345678901234567,
        "unit": "h",
        "numerator": 0.1 + 0.2,
        "denominator": 7.0,
        "count": 7,
        "coverage": 0.75,
        "target": 24.0,
        "status": "amber",
        "score": 61.5,
        "state": "restated",
        "revision": 2,
        "definition_version": 3,
        "reported": True,
        "previous": -1.5e-9,
        "reason": "late event",
    }
    return KpiValue(**{**fields, **changed})


def live_value(end: int, window: str = "1h", **changed: Any) -> KpiValue:
    """Return a live value that ends at a time."""
    return period_value(
        **{"period": window, "start": end - WINDOWS[window], "end": end, "state": "live", "revision": 0, **changed}
    )


def status(**changed: Any) -> CsfStatus:
    """Return a month's status of a CSF."""
    fields: dict[str, Any] = {
        "csf": "reliability",
        "scope": "org",
        "period": "month",
        "start": MAY,
        "end": MAY + 31 * DAY,
        "status": "at_risk",
        "score": 66.25,
        "known_weight": 3.5,
        "total_weight": 4.0,
        "worst_service": "mail",
    }
    return CsfStatus(**{**fields, **changed})


def revision(number: int, **changed: Any) -> KpiRevision:
    """Return a superseded value."""
    fields: dict[str, Any] = {
        "csf": "reliability",
        "kpi": "mttr",
        "scope": "org",
        "period": "month",
        "start": MAY,
        "revision": number,
        "value": 3.25 * number,
        "reason": "restated",
        "replaced_by": 3.25 * (number + 1),
    }
    return KpiRevision(**{**fields, **changed})


def report_text(**changed: Any) -> ReportText:
    """Return what a report says of a CSF."""
    fields: dict[str, Any] = {
        "csf": "reliability",
        "scope": "org",
        "period": "month",
        "start": MAY,
        "verdict": "at_risk",
        "insight": "Uptime held at 99.93%, but incidents took 6.1\u00a0h to resolve.",
        "concerns": "Resolution is slower than in any month before.",
        "suggestions": "Look at the hand-over between first and second line.",
        "issue": 3,
    }
    return ReportText(**{**fields, **changed})


def note(**changed: Any) -> AlertNote:
    """Return a note about alerts in which every field has a value of its own."""
    fields: dict[str, Any] = {
        "at": MAY + 60, "slot": 7, "kind": "silenced", "ref": "a1b2", "who": "Ana", "via": "console", "channel": "hook",
        "until": MAY + 3_600, "why": "moving house", "about": '{"rule":["mttr_red"]}',
        "alerts": ("mttr_red|org", "mttr_red|service:shop"),
    }  # fmt: skip
    return AlertNote(**fields | changed)


def happening(**changed: Any) -> Happening:
    """Return something that happened, in which every field has a value of its own."""
    fields: dict[str, Any] = {
        "kind": "incident", "service": "shop", "source": "//itsm", "id": "INC7", "start": MAY + 60, "end": MAY + 3_660,
        "text": "Major incident INC7: resolved", "team": "web",
    }  # fmt: skip
    return Happening(**{**fields, **changed})


def alert(**changed: Any) -> AlertChange:
    """Return a change of an alert in which every field has a value of its own."""
    fields: dict[str, Any] = {
        "rule": "mttr_red",
        "kpi": "mttr",
        "csf": "reliability",
        "scope": "service:shop",
        "severity": "critical",
        "state": "resolved",
        "at": MAY + 3600,
        "since": MAY,
        "value": 12.5,
        "threshold": 48.0,
        "unit": "h",
        "count": 7,
        "coverage": 0.75,
        "note": 'forecast, "so to say"',
    }
    return AlertChange(**{**fields, **changed})
