"""The generated pages of connectors say which KPIs they feed, by the fields that they tell."""

import pytest

from connectors.engine.docs import pages

PAGES = {path.parts[1]: text for path, text in pages().items() if path.name == "README.md" and len(path.parts) == 3}


@pytest.mark.parametrize(
    ("connector", "sentence"),
    [
        (
            "zendesk",
            "They lack what `change_feedback`, `sla_met`, `nps`, `ces` would need.",
        ),  # surveys of one kind only
        (
            "msgraph",
            "They lack what `time_to_respond`, `time_to_contain` would need.",
        ),  # optional fields it does not tell
        ("github", "They lack what `sla_met` would need."),  # commits, or one commit: either will do
        ("elastic", "They do not say what `breaches` counts; none is counted from them."),  # absent means no
        ("kubernetes", "They lack what `time_to_scale_down` would need."),  # removed pods are gone
        ("gatus", "Its events feed `availability`, `error_budget_remaining`, `outages`, `mtbf`."),
    ],
)
def test_a_page_says_which_kpis_are_fed(connector, sentence):
    assert sentence in PAGES[connector]
