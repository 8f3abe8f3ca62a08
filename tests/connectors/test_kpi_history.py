"""``csf import --mapping kpi-history``: which rows become reported values, and what is said of those that do not."""

import json
from pathlib import Path

import msgspec
import pytest

from connectors.mapping import Summary, load_mapping, map_file
from connectors.mapping.values import BadValue
from connectors.reported import ReportedRows
from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import Service
from pipeline.events.families import KpiReported
from pipeline.events.validate import decode_data, decode_envelope

CATALOGUE = load_catalogue()
NOW_MS = 1_795_000_000_000  # November 2026


def read(tmp_path: Path, text: str, encoding: str = "utf-8"):
    """Return what the engine will hear, and the sentences about the rest."""
    file, bad, summary = tmp_path / "history.csv", [], Summary()
    file.write_bytes(text.encode(encoding))
    check = ReportedRows(CATALOGUE).check
    events = list(map_file(file, load_mapping("kpi-history"), None, bad.append, summary, check=check))
    heard = [decode_data(decode_envelope(e.raw), e.topic, NOW_MS)[0] for e in events]
    assert all(isinstance(h, KpiReported) for h in heard)
    return heard, [b.detail for b in bad], (events, summary)


def test_every_column_is_heard_an_empty_scope_is_the_organisation_an_empty_value_says_nothing(tmp_path):
    text = "month,kpi,scope,value,target,numerator,denominator,count\n2026-09,csat,,81.5,80,163,200,200\n2026-10,csat,,,,,,\n"
    (one,), bad, (_, summary) = read(tmp_path, text)
    assert one == KpiReported("csat", "2026-09", 81.5, "org", 80.0, 163.0, 200.0, 200)
    assert not bad
    assert (summary.rows, summary.events, summary.skipped) == (2, 1, 1)
    assert not summary.services  # of no service anything is said to be covered


@pytest.mark.parametrize(
    "text",
    [
        "value,kpi,month\n12.5,mttr,2026-09\n",
        "value;kpi;month\n12.5;mttr;2026-09\n",
        "month\tvalue\tkpi\n2026-09\t12.5\tmttr\n",
        "month,kpi,value,remark\n2026-09-01,mttr,12.5,\"a, b; c\"\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_columns_stand_in_any_order_between_any_marks_with_or_without_a_byte_order_mark(tmp_path, text, encoding):
    (one,), bad, _ = read(tmp_path, text, encoding)
    assert one == KpiReported("mttr", "2026-09", 12.5)
    assert not bad


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("2026-09,mtr,,1", "row 1: kpi is 'mtr'; it is not in the catalogue (did you mean mttr?); `csf catalogue list` names all"),
        ("2026-09,mttr,team,1", "row 1: scope is 'team'; it must be org, team:ID or service:ID"),
        ("2026-09,mttr,,\"1,5\"", "row 1: value is '1,5'; it must be a number, like 12.5 (a mapping reads a decimal comma by `decimal: ','`)"),
        ("09/2026,mttr,,1", "row 1: month is '09/2026'; it must be a time of the format %Y-%m or %Y-%m-%d"),
        ("2999-01,mttr,,1", "row 1: month is '2999-01'; it is yet to come"),
        ("2026-09,csat,,8120", "row 1: value is '8120.0'; Customer satisfaction cannot be above 100; bring it in the catalogue's unit, %"),
        ("2026-09,data_accuracy,,100.2", "row 1: value is '100.2'; Data accuracy cannot be above 100; bring it in the catalogue's unit, %"),
        ("2026-09,ces,,82", "row 1: value is '82.0'; Customer effort score cannot be above 7; bring it in the catalogue's unit, points (1-7)"),
        ("2026-09,incidents,,-3", "row 1: value is '-3.0'; Incidents cannot be below 0; bring it in the catalogue's unit, incidents"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_a_value_is_named(tmp_path, row, sentence):
    heard, bad, _ = read(tmp_path, f"month,kpi,scope,value\n{row}\n")
    assert (heard, bad) == ([], [sentence])


def test_percentages_that_may_be_above_a_hundred_or_below_nothing_are_taken(tmp_path):
    rows = [
        "decision_uplift,,140",
        "forecast_bias,,-120",
        "forecast_accuracy,,-20",
        "error_budget_remaining,,-572.5",
        "nps,,-40",
        "csat,,100",
    ]
    heard, bad, _ = read(tmp_path, "kpi,scope,value,month\n" + "".join(f"{row},2026-09\n" for row in rows))
    assert (len(heard), bad) == (len(rows), [])


def test_a_service_without_its_prefix_is_recognised():
    known = msgspec.structs.replace(CATALOGUE, services={"mail": Service(id="mail", name="Mail")})
    with pytest.raises(BadValue, match=r"must be org, team:ID or service:ID \(did you mean service:mail\?\)"):
        ReportedRows(known).check("kpi.reported", {"kpi": "mttr", "month": "2026-09", "scope": "mail", "value": 1.0})


def test_a_file_that_says_two_things_of_one_value_is_told_and_what_it_repeats_is_not(tmp_path):
    rows = ["2026-09,mttr,,4", "2026-09,mttr,,4", "2026-09,mttr,,5"]
    heard, bad, _ = read(tmp_path, "\n".join(["month,kpi,scope,value", *rows]) + "\n")
    assert [h.value for h in heard] == [4.0, 4.0]
    assert bad == ["row 3: value is '5.0'; an earlier row says 4 of mttr, org, 2026-09"]


def test_values_of_one_kpi_and_month_stay_in_order_whatever_file_they_come_in(tmp_path):
    _, _, (events, _) = read(tmp_path, "month,kpi,value\n2026-09,mttr,4\n2026-10,mttr,5\n")
    assert len({e.key for e in events}) == 2
    assert [json.loads(e.raw)["source"] for e in events] == ["import/kpi-history"] * 2
