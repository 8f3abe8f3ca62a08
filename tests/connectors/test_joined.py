"""What a source publishes for all, joined with a file that says what of it is the organisation's."""

from __future__ import annotations

import pytest

from pipeline.errors import CsfError
from tests.connectors.pulling import on_bench
from tests.connectors.vendor import Says, serving

ENTRIES = [{"cveID": f"CVE-2099-{n}", "dateAdded": "2026-11-02", "dueDate": "2026-11-23"} for n in range(3)]
HEAD = "cve,asset,service,found_at,fixed_at\n"


@pytest.fixture
def kev(tmp_path):
    with serving(lambda _: Says({"vulnerabilities": ENTRIES})) as vendor:
        yield on_bench(tmp_path, "kev", options={"address": vendor.address, "findings": "findings.csv"})


def test_a_finding_that_is_fixed_later_is_told_again_and_others_keep_their_id(kev, tmp_path):
    findings = tmp_path / "findings.csv"
    findings.write_text(HEAD + "CVE-2099-1,a,web,,\nCVE-2099-1,b,web,,\nCVE-2099-7,a,web,,\n")
    first = kev.poll()
    kev.later(hours=6)
    findings.write_text(HEAD + "CVE-2099-1,a,web,,\nCVE-2099-1,b,web,,2026-11-26T13:00:00Z\nCVE-2099-7,a,web,,\n")
    second = kev.poll()
    assert [e["data"]["number"] for e in first] == ["CVE-2099-1 a", "CVE-2099-1 b"]
    assert second[0]["id"] == first[0]["id"]
    assert second[1]["id"] != first[1]["id"]
    assert second[1]["data"]["fixed_at"] == "2026-11-26T13:00:00Z"
    assert second[1]["data"]["updated_at"] > first[1]["data"]["updated_at"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "findings.csv: cannot be read: No such file"),
        ("cve,service\nCVE-2099-1,web\n", "findings.csv: lacks asset"),
        (HEAD + "CVE-2099-1,a,web\n", "findings.csv: row 1 has 3 columns, the header 5; mend it"),
    ],
)
def test_a_file_that_is_none_ends_the_poll_with_a_sentence(kev, tmp_path, content, told):
    if content is not None:
        (tmp_path / "findings.csv").write_text(content)
    with pytest.raises(CsfError, match=told):
        kev.poll()
    assert not kev.sink.stored
