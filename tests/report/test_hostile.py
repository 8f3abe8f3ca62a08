"""Names are data: no markup of any form, no formula, nothing that turns or hides text gets through."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import msgspec
import pytest

from pipeline.report.model import Report
from reports import html, markdown, pdf, tables
from tests.report import sample
from tests.report.test_html import Outline, outline
from tests.report.test_pdf import page_texts

NAMES = {
    "html": "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg/onload=alert(3)>",
    "attribute": "\" onmouseover=\"alert(1)\" x='",
    "template": "{{ 7 * 7 }}{% raw %}{# x #}",
    "typst": '#panic("owned") $x^2$ *b* _i_ `raw` @ref <label> #link("https://evil.example")[x] \\ // = head',
    "markdown": "[click](javascript:alert(1)) ![i](http://evil.example/x.png) **b** | cell | `code` <b>x</b>\n# heading\n- item",
    "bare link": "see https://evil.example and www.evil.example or me@evil.example",
    "formula": "=HYPERLINK(\"http://evil.example\",\"x\")",
    "turned": "abc\u202egnp.exe\u2066\u200f\ufeff",
    "control": "a\x00b\x07c\x1b[31md\x7f",
    "surrogate-free emoji": "Shop \U0001f6d2\U0001f468\u200d\U0001f469\u200d\U0001f467 \u65e5\u672c\u8a9e",
    "endless": "x" * 5000,
    "endless words": "word " * 1000,
    "empty": "",
}  # fmt: skip
#: fields whose values are fixed words, ids or times
FIXED = {
    "schema_version", "month", "start", "end", "zone", "state", "cut_off", "verdict", "status", "target_state", "movement", "kind",
    "direction", "tone", "result", "opened", "due", "at", "id", "kpi", "csf", "kpis", "aligned", "at_risk", "concern_ids", "concern",
    "unknown", "activity", "goal", "figures", "breakdown_of", "low", "exits",
}  # fmt: skip


def hostile(name: str) -> Report:
    """The rich sample with every free text replaced."""

    def replaced(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {
                k: v if k in FIXED and not (k == "concern" and isinstance(v, str)) else replaced(v, k)
                for k, v in value.items()
            }
        if isinstance(value, list):
            return [replaced(item, key) for item in value]
        return name if isinstance(value, str) else value

    return msgspec.convert(replaced(msgspec.to_builtins(sample.report())), Report)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return NAMES[request.param]


def structure(page: Outline) -> list[str]:
    """What a page is made of, but for what the length and number of texts make."""
    return sorted(
        tag
        for tag, _ in page.tags
        if tag not in {"a", "text", "path", "p", "circle", "rect", "svg", "use", "li", "span"}
    )


def test_html_stays_what_it_is(name: str) -> None:
    page = outline(html.render(hostile(name)))
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "img", "b", "label"}
    assert not any(key.startswith("on") for _, found in page.tags for key in found)
    assert all(link.startswith("#") for link in page.links)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00-\x08\x0b-\x1f]", "".join(page.text))
    if name:  # without a text its part of the page is left out
        assert structure(page) == structure(outline(html.render(sample.report())))


def test_print_typesets_it_as_text(name: str) -> None:
    printed = pdf.render(hostile(name))
    text = " ".join(page_texts(printed))
    assert b"evil.example" not in re.sub(rb"\(.*?\)", b"", printed) or b"/URI" not in printed
    if name.startswith("#panic"):
        assert 'panic("owned")' in text.replace("\u200b", "")
    assert len(page_texts(printed)) < 120


def test_markdown_escapes_it(name: str) -> None:
    made = markdown.render(hostile(name))
    assert not re.search(r"(?<!\\)\[[^\]]*\]\(", made)
    assert not re.search(r"(?<!\\)<\w", made)
    assert "://" not in made
    assert "www." not in made
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in made.splitlines() if line.startswith("| ")]
    clean = [
        len(re.findall(r"(?<!\\)\|", line))
        for line in markdown.render(sample.report()).splitlines()
        if line.startswith("| ")
    ]
    assert widths == clean
    assert [line for line in made.splitlines() if line.startswith("#")] == [
        line for line in made.splitlines() if re.match(r"#{1,3} ", line)
    ]


def test_spreadsheets_work_out_nothing(name: str) -> None:
    rows = list(csv.DictReader(io.StringIO(tables.csv(hostile(name)), newline="")))
    assert len(rows) == sum(len(csf.kpis) for csf in sample.report().csfs)
    for row in rows:
        for column in ("name", "unit", "movement_reason", "notes", "scope"):
            assert not re.match(r"\s*[=+\-@]|[\t\r\n]", row[column]), row[column][:40]


def test_the_data_stay_as_they_came() -> None:
    report = hostile(NAMES["turned"])
    before = msgspec.json.encode(report)
    html.render(report)
    assert msgspec.json.encode(report) == before
