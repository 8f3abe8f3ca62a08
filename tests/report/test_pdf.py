"""The report in print: tagged, bookmarked, numbered, the same bytes for the same report."""

from __future__ import annotations

import io
import re

import pypdfium2
import pytest
import typst
from pypdf import PdfReader

from pipeline.report.model import Report
from reports import glyphs, pdf
from tests.report import sample


@pytest.fixture(scope="module")
def printed() -> bytes:
    return pdf.render(sample.report())


@pytest.fixture(scope="module")
def pages(printed: bytes) -> list[str]:
    return page_texts(printed)


def page_texts(printed: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(printed)
    return [re.sub(r"\s+", " ", page.get_textpage().get_text_bounded()) for page in document]


def bookmarks(reader: PdfReader) -> list[str]:
    return [str(item["/Title"]) for item in reader.outline if not isinstance(item, list)]


def test_a_pdf_says_what_it_is(printed: bytes) -> None:
    reader = PdfReader(io.BytesIO(printed))
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] == True  # noqa: E712 - an object of pypdf
    assert root["/Lang"] == "en-GB"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"] == True  # noqa: E712
    assert reader.metadata is not None
    assert reader.metadata.title == "Monthly Operating Report, October 2026: Whole organisation, Northwind Retail"
    said = reader.xmp_metadata.stream.get_data().decode()  # type: ignore[union-attr]
    assert "pdfuaid:part>1<" in said
    assert "pdfaid:part>2<" in said
    assert {round(page.mediabox.width) for page in reader.pages} == {595}  # A4


def test_bookmarks_lead_to_every_section(printed: bytes) -> None:
    names = bookmarks(PdfReader(io.BytesIO(printed)))
    assert names == [
        "Executive summary", "The critical success factors at a glance", "User-Centric Design", "User-Friendly Interface",
        "Scalability", "Flexibility", "Reliability", "Data-Driven Insights", "Integration", "Security",
        "Alignment with business goals", "Service Improvement Programmes", "Data quality", "Comparison with the issue before", "Annex",
    ]  # fmt: skip


def test_every_chart_says_its_figures(printed: bytes) -> None:
    reader = PdfReader(io.BytesIO(printed))
    said: list[str] = []

    def walk(node: object) -> None:
        found = node.get_object() if hasattr(node, "get_object") else node
        if isinstance(found, list):
            for child in found:
                walk(child)
        elif isinstance(found, dict):
            if found.get("/S") == "/Figure":
                said.append(str(found.get("/Alt", "")))
            walk(found.get("/K", []))

    walk(reader.trailer["/Root"]["/StructTreeRoot"])
    charts = len([1 for csf in sample.report().csfs for kpi in csf.kpis if kpi.value is not None]) + 8 + 5
    assert len(said) == charts
    assert all(said)
    assert any(alt.startswith("Mean time to resolve: 9.41\u00a0h in October 2026") for alt in said)


def test_pages_are_numbered_and_the_summary_is_one_page(pages: list[str]) -> None:
    for number, text in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in text
        assert "Restated, revision 2" in text
    assert "What needs a decision" in pages[0]
    assert "What the data says" not in pages[0]
    assert len(pages) <= 10


def test_the_overview_stays_with_the_summary_where_both_have_room() -> None:
    assert "How to read the trend lines" in page_texts(pdf.render(sample.report()))[0]
    full = sample.report()
    full.summary.decisions = [
        f"{number}. " + "Whether the second line is staffed at weekends. " * 4 for number in range(5)
    ]
    first, second, third = page_texts(pdf.render(full))[:3]
    assert "What needs a decision" in first
    assert "at a glance" not in first
    assert "How to read the trend lines" in second
    assert "What the data says" in third


def test_sections_follow_one_another_on_a_page(pages: list[str]) -> None:
    (both,) = [text for text in pages if "Integration Share data" in text or "Integration Data" in text]
    assert "Security" in both
    for text in pages[1:-1]:
        assert len(text) > 700, f"a page is nearly empty: {text}"


def test_what_all_rows_note_is_said_once() -> None:
    report = sample.report()
    security = next(csf for csf in report.csfs if csf.id == "security")
    for kpi in security.kpis:
        kpi.notes = ["Its sources delivered 3.2% of the month.", *kpi.notes]
    text = " ".join(page_texts(pdf.render(report)))
    assert text.count("3.2%") == 1
    assert "Of each KPI below: Its sources delivered 3.2% of the month. KPI" in text


def test_what_has_no_value_is_one_sentence_a_reason() -> None:
    report = sample.report()
    integration = next(csf for csf in report.csfs if csf.id == "integration")
    for kpi in integration.kpis:
        kpi.value, kpi.notes = None, ["No value in October 2026: no source."]
    text = " ".join(page_texts(pdf.render(report))).replace("\u00a0", " ")
    assert text.count("No value in October 2026: no source.") == 1
    assert (
        "No value in October 2026: no source. Latency of synchronisation (target at most 60 s, last known 41 s in Sep 2026);"
        in text
    )


def test_no_heading_stands_alone_at_the_foot_of_a_page(pages: list[str]) -> None:
    headings = {"Key contributors", "Key performance indicators", "Concerns", "Proposed programmes", "Data quality"}
    for text in pages:
        body = text.split("Restated, revision 2")[0].strip()
        assert not any(body.endswith(heading) for heading in headings), body[-80:]


def test_a_pdf_is_the_same_twice(printed: bytes) -> None:
    assert pdf.render(sample.report()) == printed


def test_its_time_is_that_of_its_issue(printed: bytes) -> None:
    meta = PdfReader(io.BytesIO(printed)).metadata
    assert meta is not None
    assert meta.creation_date is not None
    assert meta.creation_date.isoformat() == "2026-11-09T05:05:00+00:00"


def test_unknown_is_said_in_words() -> None:
    text = " ".join(page_texts(pdf.render(sample.single_month())))
    for sentence in (
        "Too little is known for a verdict.", "No KPI of this factor is measured.", "No Service Improvement Programme is open.",
        "This is a draft that was not issued", "Nothing changed clearly.", "too few months",
    ):  # fmt: skip
        assert sentence in text
    assert not re.search(r"\b(none of|None|nan|null)\b", text)


def test_what_is_named_and_not_there_is_left_out() -> None:
    torn: Report = sample.report()
    torn.summary.at_risk = ["nowhere"]
    torn.goals[0].kpis.append("nowhere")
    assert "nowhere" in " ".join(page_texts(pdf.render(torn)))


@pytest.mark.parametrize("edge", glyphs.ranges()[::12])
def test_what_counts_as_drawable_is(edge: tuple[int, int]) -> None:
    source = b'#set document(title: "x")\n#set text(lang: "en", font: ("Libertinus Serif", "New Computer Modern", '
    source += b'"New Computer Modern Math", "DejaVu Sans Mono"))\n#sys.inputs.shown'
    shown = "".join(map(chr, edge))
    assert glyphs.drawable(shown) == shown
    typst.compile(
        source, font_paths=typst.Fonts(include_system_fonts=False), sys_inputs={"shown": shown}, pdf_standards=["ua-1"]
    )


def test_what_no_font_has_is_a_box() -> None:
    assert glyphs.drawable("Shop \U0001f6d2 \u65e5\u672c a\u200db") == "Shop \u25a1 \u25a1\u25a1 ab"
