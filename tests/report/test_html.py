"""The report as a page: whole by itself, readable without eyes, and data stays data."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from pipeline.report.model import Report
from reports import html
from tests.report import sample

VOID = {"meta", "link", "br", "circle", "path", "rect", "use"}


class Outline(HTMLParser):
    """What a page is made of, as a reader's program finds it."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[dict[str, int]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if found.get("id"):
            self.ids.append(found["id"] or "")
        if tag == "a":
            self.links.append(found.get("href") or "")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))
        if tag == "table":
            self.tables.append({"caption": 0, "col": 0, "row": 0, "bare": 0, "tr": 0})
        if self.tables:
            if tag == "caption":
                self.tables[-1]["caption"] += 1
            if tag == "tr":
                self.tables[-1]["tr"] += 1
            if tag == "th":
                self.tables[-1][found.get("scope") or "bare"] += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text.append(data)
        if any(re.fullmatch("h[1-6]", tag) for tag in self.open):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)


def outline(page: str) -> Outline:
    found = Outline()
    found.feed(page)
    found.close()
    assert not found.open, found.open
    return found


REPORTS = {"rich": sample.report, "single month": sample.single_month}


@pytest.fixture(params=REPORTS)
def report(request: pytest.FixtureRequest) -> Report:
    return REPORTS[request.param]()


def test_a_page_is_whole_by_itself(report: Report) -> None:
    page = html.render(report)
    found = outline(page)
    tags = Counter(tag for tag, _ in found.tags)
    assert not tags["script"]
    assert not tags["link"]
    assert not tags["img"]
    assert not tags["iframe"]
    assert all(link.startswith("#") for link in found.links)
    assert "url(" not in page
    assert "@import" not in page


def test_headings_tables_and_charts_can_be_read_without_eyes(report: Report) -> None:
    page = outline(html.render(report))
    attributes = dict(page.tags)["html"]
    assert attributes["lang"] == "en-GB"
    levels = [level for level, _ in page.headings]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), page.headings
    assert all(text.strip() for _, text in page.headings)
    assert len(page.ids) == len(set(page.ids))
    for table in page.tables:
        assert table["caption"] == 1, table
        assert table["col"] >= 2, table
        assert table["bare"] == 0, table
        assert table["row"] == table["tr"] - 1, table
    for tag, found in page.tags:
        if tag == "svg":
            assert found.get("aria-hidden") == "true" or (found.get("role") == "img" and found.get("aria-label")), found
        if found.get("role") == "region":
            assert found.get("aria-label"), found
        assert "style" not in found, f"<{tag}> has an inline style, which the console's policy forbids"


def test_every_link_of_the_page_leads_somewhere(report: Report) -> None:
    page = outline(html.render(report))
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert page.links[0] == "#report"


def test_figures_of_a_sentence_lead_to_their_row() -> None:
    page = html.render(sample.report())
    assert '<a href="#kpi-mttr">9.41 h</a> on average' in page
    assert '<a href="#kpi-data_accuracy">Data accuracy</a> and <a' in page


def test_links_of_the_console() -> None:
    links = html.Links(
        css="/console/report.css", formats={"PDF": "/report.pdf"}, kpi=lambda kpi: f"/kpi/{kpi}", open_sip=lambda kpi: f"/sip?kpi={kpi}"
    )  # fmt: skip
    page = outline(html.render(sample.report(), links))
    tags = Counter(tag for tag, _ in page.tags)
    assert not tags["style"]
    assert {"/report.pdf", "/kpi/mttr", "/sip?kpi=csat"} <= set(page.links)
    assert "/sip?kpi=availability" not in page.links, "a programme is open for it"


def test_unknown_is_a_word() -> None:
    text = "".join(outline(html.render(sample.single_month())).text)
    assert not re.search(r"\b(None|nan|null|undefined)\b", text)
    assert "Too little is known for a verdict." in text
    assert "No KPI of this factor is measured." in text
    assert "How much of the month the sources delivered is unknown." in text


def test_a_page_is_the_same_twice() -> None:
    assert html.render(sample.report()) == html.render(sample.report())


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_colours_stand_out_from_their_ground() -> None:
    blocks = re.findall(r":root \{(.*?)\}", html.stylesheet(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for name in ("ink", "dim", "accent", "good", "warn", "bad", "none"):
            assert contrast(colours[name], colours["ground"]) >= 4.5, (name, colours[name])
