"""The sample reports in every text form are as they were when somebody looked at them."""

from __future__ import annotations

import pytest

from reports.rendering import render
from tests.report.golden.make import FORMS, REPORTS, golden


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", REPORTS)
def test_a_report_looks_as_it_did(name: str, form: str) -> None:
    assert golden(name, form).read_bytes() == render(REPORTS[name](), form), (
        "the report looks different: if that is meant, `python -m tests.report.golden.make` and look at what changed"
    )
