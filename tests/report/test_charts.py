"""What a trend line draws, and that it says the same in words."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from pipeline.report.kpireport import NaturalLimits, Point, Signal
from reports import charts
from tests.report.sample import points


def series(values: list[float | None], **more: object) -> charts.Series:
    return charts.Series(points(values, more.pop("target", None), **more.pop("points", {})), "h", 1, **more)  # type: ignore[arg-type]


def drawn(svg: str, kind: str) -> list[str]:
    """The elements of a class, each as its place in the chart."""
    found = ElementTree.fromstring(svg)
    return [e.get("d") or f"{e.get('cx')} {e.get('cy')}" for e in found if kind in (e.get("class") or "").split()]


STEADY: list[float | None] = [4.0, 5.0] * 6 + [4.0]


def test_an_unknown_month_breaks_the_line_and_has_a_tick() -> None:
    svg = charts.trend(series([*STEADY[:5], None, None, *STEADY[7:]]), "Repair")
    assert len(drawn(svg, "trace")) == 2
    assert len(drawn(svg, "gap")) == 2
    assert "2 months unknown" in svg


def test_a_month_alone_is_a_dot() -> None:
    assert len(drawn(charts.trend(series([1.0, None, 2.0, None, 3.0, 4.0]), "x"), "dot")) == 2


def test_a_changed_target_is_a_step() -> None:
    (line,) = drawn(charts.trend(series(STEADY, target=6.0, points={"targets": {"2026-04": 3.0}}), "x"), "target")
    heights = {place.split()[1] for place in re.split("[ML]", line) if place}
    assert len(heights) == 2


def test_a_changed_definition_cuts_the_line() -> None:
    svg = charts.trend(series(STEADY, points={"versions": {"2026-03": 2}}), "x")
    assert len(drawn(svg, "redefined")) == 1
    assert len(drawn(svg, "trace")) == 2


@pytest.mark.parametrize(
    ("kind", "marked"), [("outside_limits", 1), ("run_of_eight", 8), ("three_of_four", 4), ("two_sample", 0)]
)
def test_a_signal_marks_the_months_that_made_it(kind: str, marked: int) -> None:
    better = Signal(kind=kind, good=True, text="")  # type: ignore[arg-type]
    assert len(drawn(charts.trend(series(STEADY, signals=[better]), "x"), "good")) == marked
    worse = charts.trend(series(STEADY, signals=[replace(better, good=False)]), "x")
    assert len(drawn(worse, "bad")) == marked
    assert all(place.startswith("M") for place in drawn(worse, "bad")), (
        "worse has another shape, not only another colour"
    )


def test_the_band_covers_the_months_it_was_made_of() -> None:
    limits = NaturalLimits(lower=3.0, centre=4.5, upper=6.0, months=3)
    svg = charts.trend(series(STEADY, limits=limits), "x")
    (band,) = [e for e in ElementTree.fromstring(svg) if e.get("class") == "band"]
    step = (charts.ROW.width - charts.ROW.left - charts.ROW.right) / 12
    assert float(band.get("width") or 0) == pytest.approx(3 * step, abs=0.1)


def test_everything_lies_inside_the_chart() -> None:
    limits = NaturalLimits(lower=-50.0, centre=0.0, upper=90.0, months=12)
    for size in (charts.ROW, charts.LARGE):
        svg = charts.trend(series(STEADY, target=1000.0, limits=limits), "x", size)
        for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", svg):
            assert 0 <= float(x) <= size.width
            assert 0 <= float(y) <= size.height


def test_a_flat_line_and_a_single_month_have_a_height() -> None:
    for values in ([0.0] * 13, [7.0]):
        assert "nan" not in charts.trend(series(values), "x")
        assert "7.0" in charts.trend(series([7.0]), "x")


def test_no_known_month_says_so() -> None:
    svg = charts.trend(series([]), "Repair")
    assert charts.label_of(svg) == "Repair: unknown in all months shown."
    assert "no known month" in svg
    assert charts.label_of(charts.scores([None] * 13, "Security")) == "Security: score unknown in all months shown."


def test_a_label_says_the_figures() -> None:
    limits = NaturalLimits(lower=3.0, centre=4.5, upper=6.0, months=12)
    label = charts.label_of(charts.trend(series(STEADY, target=8.0, limits=limits), 'Repair "A" & <b>'))
    assert label.replace("\u00a0", " ") == (
        'Repair "A" & <b>: 4.0 h in October 2026; 4.0 h in October 2025; between 4.0 h and 5.0 h; target 8 h; '
        "natural limits 3.0 h to 6.0 h."
    )


def test_a_running_month_is_hollow() -> None:
    closed = series(STEADY)
    running = [*closed.points[:-1], replace(closed.points[-1], state="to_date")]
    assert drawn(charts.trend(replace_points(closed, running), "x"), "open")
    assert not drawn(charts.trend(closed, "x"), "open")


def replace_points(of: charts.Series, changed: list[Point]) -> charts.Series:
    return charts.Series(changed, of.unit, of.decimals, of.limits, of.signals)


def test_a_chart_by_itself_has_its_style() -> None:
    alone = charts.standalone(charts.trend(series(STEADY), "x"))
    root = ElementTree.fromstring(alone)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root[0].tag.endswith("style")
