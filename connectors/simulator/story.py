"""The story: what each of its 13 months is like, and the running one; later months stay as the last told.

Read a row as a line of a play: one number a month, from month 1; a fourteenth is the running month. ``docs/simulator.md`` tells it in words.
"""

from __future__ import annotations

from dataclasses import dataclass

MONTHS = 13
#: Months in which something happens that several parts of the world react to.
INVESTMENT, REDESIGN, REPAIR = 7, 9, 12
NEW_MODEL, SECURITY_MEASURE = 7, 7
#: The analytics tool was down for two whole days of this month (local days, counted from 1).
ANALYTICS_GAP = (4, (11, 12))
#: The CRM feed lagged from the first to the last of these local days.
SYNC_LAG = (10, (9, 14))

LEVELS: dict[str, tuple[float, ...]] = {
    # share of answers >= 4 of 5; nps promoters and detractors; mean effort score
    "csat": (0.78, 0.78, 0.78, 0.78, 0.78, 0.78, 0.79, 0.79, 0.87, 0.87, 0.87, 0.88, 0.89),
    "promoters": (0.42, 0.42, 0.42, 0.42, 0.42, 0.43, 0.43, 0.43, 0.50, 0.50, 0.50, 0.54, 0.55),
    "detractors": (0.20, 0.20, 0.20, 0.20, 0.20, 0.20, 0.19, 0.19, 0.16, 0.16, 0.16, 0.14, 0.13),
    "ces": (5.4, 5.4, 5.4, 5.4, 5.4, 5.5, 5.5, 5.5, 4.7, 4.6, 4.6, 5.7, 5.9),
    # pages of a visit that does not bounce, seconds a page, share of bounces, tasks, pages with an error
    "pages": (5.2, 5.2, 5.2, 5.2, 5.2, 5.3, 5.3, 5.3, 4.0, 3.9, 3.9, 4.9, 5.0),
    "page_s": (56, 56, 56, 56, 56, 57, 57, 57, 45, 44, 44, 54, 55),
    "bounce": (0.21, 0.21, 0.21, 0.21, 0.21, 0.20, 0.20, 0.20, 0.25, 0.26, 0.25, 0.19, 0.18),
    "task_done": (0.80, 0.80, 0.80, 0.80, 0.80, 0.81, 0.81, 0.81, 0.69, 0.67, 0.68, 0.85, 0.87),
    "page_error": (0.016, 0.016, 0.017, 0.017, 0.018, 0.018, 0.015, 0.018, 0.028, 0.024, 0.022, 0.012, 0.011),
    "visits": (1.0, 1.02, 1.04, 1.06, 1.08, 1.10, 1.12, 1.14, 1.24, 1.26, 1.27, 1.30, 1.33),
    # load in peak hours, p95 there, errors there; seconds to scale, share of scalings that succeed
    "load": (1.0, 1.04, 1.09, 1.14, 1.20, 1.26, 1.30, 1.34, 1.38, 1.42, 1.46, 1.50, 1.54),
    "p95_ms": (430, 460, 500, 555, 620, 700, 440, 415, 405, 405, 400, 395, 390),
    "peak_error": (0.005, 0.006, 0.008, 0.011, 0.015, 0.019, 0.006, 0.005, 0.005, 0.004, 0.004, 0.004, 0.004),
    "scale_up_s": (380, 410, 440, 480, 520, 570, 150, 95, 88, 84, 80, 78, 75),
    "scale_down_s": (320, 320, 330, 330, 340, 340, 210, 180, 175, 170, 170, 165, 165),
    "scale_ok": (0.94, 0.93, 0.92, 0.91, 0.89, 0.88, 0.96, 0.98, 0.98, 0.99, 0.99, 0.99, 0.99),
    # deployments a working day, share that fails, hours from commit, days from request, what users say (1-5)
    "deploys": (2.0, 2.0, 2.2, 2.4, 2.6, 2.8, 3.2, 3.9, 4.3, 4.3, 4.5, 4.6, 4.8),
    "failures": (0.07, 0.07, 0.08, 0.07, 0.08, 0.07, 0.08, 0.19, 0.20, 0.09, 0.06, 0.05, 0.04, 0.12),
    "lead_h": (80, 76, 72, 66, 60, 54, 46, 36, 30, 28, 26, 24, 22),
    "implement_d": (48, 47, 46, 44, 42, 40, 36, 32, 29, 27, 25, 23, 22),
    "change_liked": (3.6, 3.6, 3.6, 3.7, 3.7, 3.7, 3.8, 3.4, 3.3, 3.8, 4.0, 4.1, 4.2, 3.8),
    # incidents against an ordinary month, time to resolve against it, outages against it
    "incidents": (1.0, 1.0, 1.1, 1.0, 1.15, 1.0, 0.95, 1.1, 1.15, 0.95, 0.9, 0.85, 0.8),
    "resolve": (1.25, 1.25, 1.3, 1.2, 1.2, 1.1, 1.0, 1.05, 1.05, 0.95, 0.9, 0.8, 0.75),
    "outages": (1.0, 1.0, 1.2, 1.1, 1.3, 1.2, 0.8, 0.9, 0.9, 0.7, 0.6, 0.5, 0.5),
    # spread and bias of forecasts (relative), share of decisions that paid
    "forecast_error": (0.24, 0.24, 0.23, 0.23, 0.22, 0.22, 0.12, 0.11, 0.10, 0.09, 0.09, 0.08, 0.08),
    "forecast_bias": (0.09, 0.09, 0.09, 0.08, 0.08, 0.08, 0.03, 0.02, 0.01, 0.01, 0.0, 0.0, 0.0),
    "decision_ok": (0.45, 0.5, 0.5, 0.5, 0.55, 0.55, 0.6, 0.65, 0.65, 0.7, 0.7, 0.75, 0.75),
    # shared data: share of fields that differ, share of syncs that fail
    "mismatch": (0.014, 0.014, 0.013, 0.013, 0.012, 0.012, 0.011, 0.010, 0.010, 0.034, 0.012, 0.007, 0.006, 0.010),
    "sync_fail": (0.012, 0.012, 0.012, 0.011, 0.011, 0.010, 0.010, 0.009, 0.009, 0.010, 0.009, 0.007, 0.006, 0.016),
    # security incidents a month, times against an ordinary month, time to fix against the time allowed
    "attacks": (9, 9, 10, 11, 13, 10, 5, 4, 4, 3, 3, 3, 3),
    "respond": (1.3, 1.3, 1.3, 1.2, 1.2, 1.1, 0.9, 0.8, 0.75, 0.7, 0.7, 0.65, 0.6),
    "patching": (0.95, 1.05, 1.15, 1.15, 1.05, 0.9, 0.7, 0.6, 0.55, 0.5, 0.5, 0.45, 0.45),
}


def level(name: str, month: int) -> float:
    """Return what a month (1 is the first) is like; before the first and after the last like those."""
    row = LEVELS[name]
    return row[min(max(month, 1), len(row)) - 1]


@dataclass(frozen=True)
class Blow:
    """An outage the story tells: on the n-th given weekday of a month, at a local time, of some services.

    Attributes:
        hits: (service, check or "" for all, minutes after the start, minutes down), the causing service first.
    """

    month: int
    weekday: int
    nth: int
    hour: int
    minute: int
    cause: str
    hits: tuple[tuple[str, str, int, int], ...]


BLOWS: tuple[Blow, ...] = (
    Blow(3, 0, 2, 10, 48, "capacity", (("web-shop", "", 0, 74), ("mobile-app", "", 6, 38))),
    Blow(5, 3, 3, 14, 12, "release", (("payments", "", 0, 141), ("web-shop", "checkout", 2, 136))),
    Blow(6, 0, 3, 10, 55, "capacity", (("customer-portal", "", 0, 52),)),
    Blow(8, 1, 2, 6, 0, "certificate",
         (("identity", "", 0, 97), ("customer-portal", "", 1, 95), ("mobile-app", "", 1, 95))),
    Blow(9, 2, 2, 9, 31, "release", (("customer-portal", "", 0, 63),)),
    Blow(11, 4, 2, 13, 5, "vendor", (("collab", "", 0, 221), ("network", "", 0, 48))),
)  # fmt: skip
