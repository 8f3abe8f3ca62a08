"""Data for the business: forecasts against what happened, decisions against their baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

from connectors.simulator.calendar import HOURS, SEASON, WEEK
from connectors.simulator.emit import DecisionEvaluated, KpiReported
from connectors.simulator.rng import Share, poisson
from connectors.simulator.setting import Entity, Monthly, Update
from connectors.simulator.story import level
from pipeline.events.families import PredictionScored

_HOUR_S = 3600
#: Decisions: service, metric, unit, whether more is better, baseline.
_DECISIONS: tuple[tuple[str, str, str, bool, float], ...] = (
    ("web-shop", "campaign_margin", "EUR", True, 42_000),
    ("web-shop", "discount_cost", "EUR", False, 18_000),
    ("claims", "fraud_prevented", "EUR", True, 31_000),
    ("claims", "handling_time", "min", False, 34),
    ("data-platform", "storage_cost", "EUR", False, 12_500),
    ("data-platform", "report_adoption", "%", True, 46),
)


class Predictions(Monthly[Entity]):
    """Forecasts of load (every two hours), of claims (daily) and of premium income (weekly), when they are scored."""

    name = "predictions"
    kinds = ("prediction.scored",)
    lookback = 0

    def make(self, month: int) -> Iterator[Entity]:
        """Yield the forecasts scored in a month."""
        if month < self.setting.calendar.first_month:
            return
        for day in self.setting.calendar.days(month):
            r = self.setting.rng("predictions", day.start)
            season = SEASON[day.calendar_month - 1] * WEEK[day.weekday]
            for hour in range(0, 24, 2):
                actual = 3_600 * 34 * level("load", month) * season * HOURS[hour] * r.gauss(1, 0.04)
                yield self._one(r, month, f"load.{day.start // _HOUR_S:x}.{hour}", "load", "requests", actual,
                                "web-shop", day.at(hour, 59, 30))  # fmt: skip
            claims = 310 * SEASON[day.calendar_month - 1] * (1.0 if day.working else 0.4) * r.gauss(1, 0.08)
            yield self._one(r, month, f"claims.{day.start // _HOUR_S:x}", "claims-volume", "claims", claims,
                            "claims", day.at(21, 10))  # fmt: skip
            if day.weekday == 0:
                income = 1_450_000 * level("load", month) ** 0.5 * r.gauss(1, 0.05)
                yield self._one(r, month, f"income.{day.start // _HOUR_S:x}", "premium-income", "EUR", income,
                                "data-platform", day.at(7, 30))  # fmt: skip

    @staticmethod
    def _one(
        r: Random, month: int, number: str, model: str, unit: str, actual: float, service: str, when: int
    ) -> Entity:
        # the mean size of a normal error is its spread times sqrt(2 / pi)
        error = r.gauss(0, level("forecast_error", month) / math.sqrt(2 / math.pi) * 0.9)
        predicted = actual * (1 + level("forecast_bias", month) + error)
        data = PredictionScored(model=model, predicted=round(max(predicted, 0), 1), actual=round(actual, 1), unit=unit)
        return Entity(number, [Update(when, "prediction.scored", service, data)])


class Decisions(Monthly[Entity]):
    """Decisions by the month in which their outcome was known."""

    name = "decisions"
    kinds = ("decision.evaluated",)
    lookback = 0

    def make(self, month: int) -> Iterator[Entity]:
        """Yield the decisions evaluated in a month."""
        if month < self.setting.calendar.first_month:
            return
        r = self.setting.rng("decisions", month)
        pays = Share(r)
        for n in range(8 + poisson(r, 5)):
            service, metric, unit, higher, usual = r.choice(_DECISIONS)
            baseline = usual * r.uniform(0.8, 1.2)
            good = pays(level("decision_ok", month))
            gain = abs(r.gauss(0.12, 0.06)) + 0.01 if good else -abs(r.gauss(0.07, 0.04)) - 0.005
            outcome = baseline * (1 + gain if higher else 1 - gain)
            data = DecisionEvaluated(
                metric=metric,
                baseline=round(baseline, 2),
                outcome=round(outcome, 2),
                unit=unit,
                higher_is_better=higher,
            )
            when = self.setting.office_time(r, month)
            yield Entity(f"{month}.{n}", [Update(when, "decision.evaluated", service, data)])


class Reports(Monthly[Entity]):
    """Figures brought from elsewhere: HR asks its people itself and sends the result on the last day of a month."""

    name = "reports"
    kinds = ("kpi.reported",)
    lookback = 0

    def make(self, month: int) -> Iterator[Entity]:
        """Yield the one figure of a month."""
        if month < self.setting.calendar.first_month:
            return
        r = self.setting.rng("reports", month)
        asked = 60 + r.randrange(30)
        happy = round(asked * (level("csat", month) - r.uniform(0.0, 0.08)))
        data = KpiReported(
            kpi="csat",
            month=self.setting.calendar.label(month),
            value=100 * happy / asked,
            scope="service:hr",
            numerator=float(happy),
            denominator=float(asked),
            count=asked,
        )
        when = self.setting.calendar.days(month)[-1].at(17, 0)
        yield Entity(str(month), [Update(when, "kpi.reported", "hr", data)])
