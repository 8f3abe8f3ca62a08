"""How often a stable KPI is called a movement, and how often a real step is found: bounds that the document states."""

import pytest

from benchmarks.false_alarms import HISTORIES, KINDS, SEED, alarms, found_steps
from tests.paths import ROOT


@pytest.mark.parametrize("known", [2, 5, 8, 13])
def test_of_two_thousand_stable_histories_under_five_in_a_hundred_are_called_a_movement(known: int) -> None:
    found = alarms(HISTORIES, known, SEED)
    assert sum(n for n, _ in found.values()) == HISTORIES
    assert sum(called for _, called in found.values()) / HISTORIES < 0.05
    assert all(called / n < 0.08 for n, called in found.values()), found


def test_a_real_step_is_found() -> None:
    assert found_steps(500, 4.0, SEED) > 0.75
    assert found_steps(500, 0.0, SEED) < 0.08


def test_the_document_states_what_was_measured() -> None:
    text = (ROOT / "docs" / "report-statistics.md").read_text("utf-8")
    found = alarms(HISTORIES, 13, SEED)
    for name, _, _ in KINDS:
        n, called = found[name]
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
        assert row.endswith(f"| {100 * called / n:.1f}% |")
