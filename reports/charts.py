"""The report's charts: small SVG texts, the same for the page and for print.

A trend line shows 13 months: a dark line through the known ones (unknown months are gaps with a tick below), the
target of each month as a dashed step line, the natural process limits as a pale band, the points that made a signal
marked (a ring for the better, a diamond for the worse). Everything is drawn
with classes; the page's style sheet colours them, ``standalone`` gives a chart the style it needs by itself. Nothing
rests on colour alone, and each chart has a label that says its figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape, unescape
from importlib import resources
from itertools import pairwise

from pipeline.report import words
from pipeline.report.kpireport import KpiReport, NaturalLimits, Point, Signal

#: months at the end of a trend line that a run rule speaks of; ``outside_limits`` is the last month alone
_RUNS = {"outside_limits": 1, "run_of_eight": 8, "three_of_four": 4}


@dataclass(frozen=True)
class Size:
    """A chart's measures in its own units, which are CSS pixels on the page and 0.75 pt in print.

    Attributes:
        left, right, top, bottom: room around what is drawn.
        axes: whether months and the scale's ends are written at it.
        labelled: whether the last value is written beside its point; in a table's row the value stands in a column.
    """

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    axes: bool = False
    labelled: bool = True


ROW = Size(width=160, height=44, left=6, right=8, top=7, bottom=7, labelled=False)
LARGE = Size(width=350, height=132, left=48, right=56, top=12, bottom=32, axes=True)
SCORE = Size(width=220, height=54, left=4, right=34, top=8, bottom=8)


@dataclass(frozen=True)
class Series:
    """What a trend line shows.

    Attributes:
        unit, decimals: how its figures are written.
        limits, signals: None and empty where there are none; two-sample signals mark nothing (they compare months).
    """

    points: Sequence[Point]
    unit: str
    decimals: int
    limits: NaturalLimits | None = None
    signals: Sequence[Signal] = ()

    @classmethod
    def of(cls, kpi: KpiReport) -> Series:
        """Return the trend line of a KPI."""
        return cls(kpi.history, kpi.unit, kpi.decimals, kpi.natural_limits, kpi.signals)


class _Scale:
    """From months and values to places in a chart."""

    def __init__(self, size: Size, months: int, low: float, high: float) -> None:
        if high <= low:
            middle, reach = low, abs(low) * 0.1 or 1.0
            low, high = middle - reach, middle + reach
        self._size, self._step = size, (size.width - size.left - size.right) / max(1, months - 1)
        self._low, self._per_value = low, (size.height - size.top - size.bottom) / (high - low)

    def x(self, month: float) -> float:
        return self._size.left + month * self._step

    def y(self, value: float) -> float:
        return self._size.height - self._size.bottom - (value - self._low) * self._per_value


def _n(value: float) -> str:
    text = f"{value:.1f}"
    return text.removesuffix(".0")


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in places)


def _svg(size: Size, label: str, body: str, kind: str) -> str:
    return (
        f'<svg class="chart {kind}" viewBox="0 0 {size.width} {size.height}" width="{size.width}" '
        f'height="{size.height}" role="img" aria-label="{escape(label, quote=True)}">{body}</svg>'
    )


def standalone(svg: str) -> str:
    """Return a chart as a file of its own, with the style sheet of print inside it."""
    style = resources.files(__package__).joinpath("chart.css").read_text(encoding="utf-8")
    head, closing, body = svg.partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg"{closing}<style>{style}</style>{body}'


def label_of(svg: str) -> str:
    """Return what a chart says in words."""
    return unescape(svg.partition('aria-label="')[2].partition('"')[0])


def trend(series: Series, name: str, size: Size = ROW) -> str:
    """Return the trend line of a KPI as SVG; ``name`` begins its label."""
    shown = list(_reach(series))
    if not shown:
        return _nothing(size, f"{name}: unknown in all months shown.")
    scale = _Scale(size, len(series.points), min(shown), max(shown))
    parts = [
        *_band(series, scale, size), *(_axes(series, scale, size) if size.axes else ()),
        *_targets(series.points, scale, size), *_definitions(series.points, scale, size),
        *_gaps(series.points, scale, size), *_line(series.points, scale), *_marks(series, scale), *_last(series, scale, size),
    ]  # fmt: skip
    return _svg(size, trend_label(series, name), "".join(parts), "trend")


def scores(values: Sequence[float | None], name: str, size: Size = SCORE) -> str:
    """Return a CSF's scores (0-100) as SVG, always on the same scale so that they can be laid side by side."""
    scale = _Scale(size, len(values), 0.0, 100.0)
    right = size.width - size.right
    rails = "".join(
        f'<path class="rail" d="{_path([(size.left, scale.y(at)), (right, scale.y(at))])}"/>' for at in (0, 50, 100)
    )
    points = [Point(month="", value=value) for value in values]
    if all(value is None for value in values):
        return _nothing(size, f"{name}: score unknown in all months shown.", rails)
    label = f"{name}: score {words.number(values[-1])} of 100; months before, oldest first: " + ", ".join(
        words.number(value) for value in values[:-1]
    )
    last = ""
    if values[-1] is not None:
        x, y = scale.x(len(values) - 1), scale.y(values[-1])
        last = f'<circle class="last" cx="{_n(x)}" cy="{_n(y)}" r="2.6"/>'
        last += _text(x + 7, y, words.number(values[-1]), size, "value")
    body = rails + "".join([*_gaps(points, scale, size), *_line(points, scale)]) + last
    return _svg(size, label + ".", body, "score")


def trend_label(series: Series, name: str) -> str:
    """Return a trend line in words: what a reader who cannot see it should know."""
    known = [p for p in series.points if p.value is not None]
    if not known:
        return f"{name}: unknown in all months shown."
    first, last = known[0], series.points[-1]

    def said(value: float | None) -> str:
        return words.quantity(value, series.unit, series.decimals)

    parts = [f"{name}: {said(last.value)} in {words.month(last.month)}"]
    if first is not last:
        parts.append(f"{said(first.value)} in {words.month(first.month)}")
    lowest, highest = min(known, key=lambda p: p.value or 0.0), max(known, key=lambda p: p.value or 0.0)
    if len(known) > 2:
        parts.append(f"between {said(lowest.value)} and {said(highest.value)}")
    if last.target is not None:
        parts.append(f"target {words.bound(last.target, series.unit, series.decimals)}")
    if series.limits is not None:
        parts.append(f"natural limits {said(series.limits.lower)} to {said(series.limits.upper)}")
    missing = len(series.points) - len(known)
    if missing:
        parts.append(f"{words.count(missing, 'month')} unknown")
    return "; ".join(parts) + "."


def _reach(series: Series) -> Iterator[float]:
    """Yield every value that the chart must have room for; nothing where no month is known."""
    known = [p.value for p in series.points if words.is_known(p.value) and p.value is not None]
    if not known:
        return
    yield from known
    yield from (p.target for p in series.points if p.target is not None)
    if series.limits is not None:
        yield from (series.limits.lower, series.limits.upper)


def _band(series: Series, scale: _Scale, size: Size) -> Iterator[str]:
    """The limits, over the months they were made of and the one that is judged by them."""
    limits = series.limits
    if limits is None:
        return
    before = [place for place, point in enumerate(series.points[:-1]) if point.value is not None]
    left = scale.x(before[-limits.months :][0]) if before and limits.months else float(size.left)
    top, bottom, right = scale.y(limits.upper), scale.y(limits.lower), size.width - size.right
    height = max(1.0, bottom - top)
    yield (
        f'<rect class="band" x="{_n(left)}" y="{_n(top)}" width="{_n(right - left)}" height="{_n(height)}"/>'
        f'<path class="centre" d="{_path([(left, scale.y(limits.centre)), (right, scale.y(limits.centre))])}"/>'
    )


def _axes(series: Series, scale: _Scale, size: Size) -> Iterator[str]:
    shown = list(_reach(series))
    for value in sorted({min(shown), max(shown)}):
        yield _text(size.left - 8, scale.y(value), words.figure(value, series.unit, series.decimals), size, "tick end")
    base = size.height - size.bottom
    yield f'<path class="axis" d="{_path([(size.left, base + 5), (size.width - size.right, base + 5)])}"/>'
    for place, point in enumerate(series.points):
        name = words.short_month(point.month)
        yield _text(scale.x(place), base + 13, name[:1], size, "tick middle")
        if place in {0, len(series.points) - 1} or name.startswith("Jan"):
            yield _text(scale.x(place), base + 24, name[-4:], size, "tick middle")


def _targets(points: Sequence[Point], scale: _Scale, size: Size) -> Iterator[str]:
    """A step line: each month's target from half a month before it to half a month after."""
    left, right = float(size.left), float(size.width - size.right)
    run: list[tuple[float, float]] = []
    for place, point in enumerate(points):
        if point.target is None:
            if run:
                yield f'<path class="target" d="{_path(run)}"/>'
            run = []
            continue
        y = scale.y(point.target)
        run += [(max(left, scale.x(place - 0.5)), y), (min(right, scale.x(place + 0.5)), y)]
    if run:
        yield f'<path class="target" d="{_path(run)}"/>'


def _definitions(points: Sequence[Point], scale: _Scale, size: Size) -> Iterator[str]:
    for place, (before, after) in enumerate(pairwise(points)):
        if before.definition_version != after.definition_version:
            x = scale.x(place + 0.5)
            yield f'<path class="redefined" d="{_path([(x, size.top - 5), (x, size.height - size.bottom + 5)])}"/>'


def _gaps(points: Sequence[Point], scale: _Scale, size: Size) -> Iterator[str]:
    y = size.height - size.bottom
    for place, point in enumerate(points):
        if point.value is None:
            x = scale.x(place)
            yield f'<path class="gap" d="{_path([(x, y + 1), (x, y + 5)])}"/>'


def _line(points: Sequence[Point], scale: _Scale) -> Iterator[str]:
    run: list[tuple[float, float]] = []
    version = None
    for place, point in enumerate([*points, None]):
        value = point.value if point is not None else None
        if point is None or value is None or (version is not None and point.definition_version != version):
            if len(run) > 1:
                yield f'<path class="trace" d="{_path(run)}"/>'
            elif run:
                yield f'<circle class="dot" cx="{_n(run[0][0])}" cy="{_n(run[0][1])}" r="1.8"/>'
            run = []
        if point is not None and value is not None:
            run.append((scale.x(place), scale.y(value)))
            version = point.definition_version


def _marks(series: Series, scale: _Scale) -> Iterator[str]:
    known = [(place, p.value) for place, p in enumerate(series.points) if p.value is not None]
    marked: dict[int, bool | None] = {}
    for signal in series.signals:
        for place, _ in known[-_RUNS[signal.kind] :] if signal.kind in _RUNS else ():
            marked[place] = signal.good
    for place, value in known:
        if place not in marked:
            continue
        x, y = scale.x(place), scale.y(value)
        if marked[place] is False:
            yield f'<path class="signal bad" d="M{_n(x)} {_n(y - 4.6)}l4.6 4.6l-4.6 4.6l-4.6-4.6z"/>'
        else:
            yield f'<circle class="signal {"good" if marked[place] else "none"}" cx="{_n(x)}" cy="{_n(y)}" r="3.8"/>'


def _last(series: Series, scale: _Scale, size: Size) -> Iterator[str]:
    place, point = len(series.points) - 1, series.points[-1]
    if point.value is None:
        if not size.labelled:
            return
        yield _text(scale.x(place) + 7, size.height - size.bottom, words.UNKNOWN, size, "value unknown")
        return
    x, y = scale.x(place), scale.y(point.value)
    kind = "last open" if point.state == "to_date" else "last"
    yield f'<circle class="{kind}" cx="{_n(x)}" cy="{_n(y)}" r="2.4"/>'
    if size.labelled:
        yield _text(x + 8, y, words.figure(point.value, series.unit, series.decimals), size, "value")


def _text(x: float, y: float, text: str, size: Size, kind: str) -> str:
    """A text whose middle is at a height, kept inside the chart."""
    baseline = min(max(y + 3.6, 9.0), size.height - 1.0)
    return f'<text class="{kind}" x="{_n(x)}" y="{_n(baseline)}">{escape(text)}</text>'


def _nothing(size: Size, label: str, before: str = "") -> str:
    text = _text(size.left, size.height / 2, "no known month", size, "value unknown")
    return _svg(size, label, before + text, "empty")
