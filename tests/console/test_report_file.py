"""The report's HTML file, opened from disk in a real browser: whole by itself, on a desk and on a phone, by day and by night."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from reports.html import render
from tests.console.browser import tab
from tests.report import sample

pytestmark = pytest.mark.services

REPORTS = {"rich": sample.report, "single-month": sample.single_month}
WIDTHS = (1280, 390)

#: rows whose cells are not all told apart by a heading above and one at their beginning
_TABLES = """
[...document.querySelectorAll('table')].flatMap(table => {
  const above = table.querySelectorAll('thead th[scope=col]').length
  return [...table.querySelectorAll('tbody tr')].filter(row =>
    row.cells.length !== above || row.cells[0].tagName !== 'TH' || row.cells[0].scope !== 'row'
  ).map(row => row.textContent.trim())
})"""

#: texts of charts that leave their chart or lie over one another
_LABELS = """
[...document.querySelectorAll('svg.chart[role=img]')].flatMap(chart => {
  const frame = chart.getBoundingClientRect()
  const boxes = [...chart.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()])
  const outside = boxes.filter(([, box]) =>
    box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
  const over = boxes.filter(([, a], i) => boxes.slice(i + 1).some(([, b]) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3))
  return [...outside, ...over].map(([text]) => text + ' of ' + chart.getAttribute('aria-label'))
})"""

#: texts that stand out from what is behind them by less than WCAG 2 asks for (AA)
_FAINT = """
(() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number)
  const luminance = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0)
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const found = parts(getComputedStyle(at).backgroundColor)
      if (found.length === 3 || found[3] === 1) return found
    }
    return [255, 255, 255]
  }
  const faint = new Set()
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.textContent.trim()) continue
    const element = node.parentElement, style = getComputedStyle(element)
    if (['SCRIPT', 'STYLE'].includes(element.tagName)) continue
    const shown = element.namespaceURI.endsWith('svg') ? style.fill : style.color
    const [dark, light] = [luminance(parts(shown)), luminance(ground(element))].sort((a, b) => a - b)
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700)
    if ((light + 0.05) / (dark + 0.05) < (large ? 3 : 4.5)) faint.add(node.textContent.trim() + ': ' + shown)
  }
  return [...faint]
})()"""


@dataclass(frozen=True)
class Seen:
    """What a browser made of a page at one width."""

    address: str
    requests: Sequence[str]
    complaints: Sequence[str]
    width: int
    reach: int
    nodes: Sequence[dict[str, Any]]
    charts: int
    bare_rows: Sequence[str]
    bad_labels: Sequence[str]
    faint: dict[str, Sequence[str]]

    def of(self, role: str) -> list[dict[str, Any]]:
        """Return what a reader's program is told of one role."""
        return [node for node in self.nodes if node["role"] == role]


async def _look(folder: Path) -> dict[tuple[str, int], Seen]:
    found = {}
    async with tab(folder / "profile") as page:
        for name, make in REPORTS.items():
            file = folder / f"{name}.html"
            file.write_text(render(make()), encoding="utf-8")
            for width in WIDTHS:
                await page.media(prefers_color_scheme="light")
                await page.open(file.as_uri(), width)
                faint = {"light": await page.ask(_FAINT)}
                labels = await page.ask(_LABELS)
                nodes = await page.accessible()
                await page.media(prefers_color_scheme="dark")
                faint["dark"] = await page.ask(_FAINT)
                await page.media("print")
                faint["print"] = await page.ask(_FAINT)
                await page.media(prefers_color_scheme="light")
                found[name, width] = Seen(
                    file.as_uri(), tuple(page.requests), tuple(page.complaints), width,
                    await page.ask("document.documentElement.scrollWidth"), nodes,
                    await page.ask("document.querySelectorAll('svg.chart:not([aria-hidden])').length"),
                    await page.ask(_TABLES), labels, faint,
                )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Seen]:
    return asyncio.run(_look(tmp_path_factory.mktemp("report")))


@pytest.fixture(
    params=[(name, width) for name in REPORTS for width in WIDTHS], ids=lambda found: f"{found[0]}-{found[1]}"
)
def seen(request: pytest.FixtureRequest, looked: dict[tuple[str, int], Seen]) -> Seen:
    return looked[request.param]


def test_the_file_asks_for_nothing_and_the_browser_has_no_complaint(seen: Seen) -> None:
    assert seen.requests == (seen.address,)
    assert not seen.complaints


def test_nothing_has_to_be_scrolled_sideways(seen: Seen) -> None:
    assert seen.reach <= seen.width


def test_every_chart_has_a_name(seen: Seen) -> None:
    charts = seen.of("image")
    assert len(charts) == seen.charts > 0
    assert all(len(chart["name"]) > 20 for chart in charts)


def test_headings_are_in_order(seen: Seen) -> None:
    levels = [
        next(found["value"]["value"] for found in node["properties"] if found["name"] == "level")
        for node in seen.of("heading")
    ]  # fmt: skip
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    assert all(node["name"].strip() for node in seen.of("heading"))


def test_every_cell_has_a_heading_above_and_one_beside(seen: Seen) -> None:
    assert not seen.bare_rows


@pytest.mark.parametrize("name", REPORTS)
def test_a_phone_is_told_of_the_same_tables(looked: dict[tuple[str, int], Seen], name: str) -> None:
    wide, narrow = (looked[name, width] for width in WIDTHS)
    for role in ("table", "row", "columnheader", "rowheader", "cell"):
        assert len(narrow.of(role)) == len(wide.of(role)) > 0, role


def test_labels_of_charts_lie_in_them_and_not_over_one_another(seen: Seen) -> None:
    assert not seen.bad_labels


@pytest.mark.parametrize("shown", ["light", "dark", "print"])
def test_all_text_stands_out_from_its_ground(seen: Seen, shown: str) -> None:
    assert not seen.faint[shown]
