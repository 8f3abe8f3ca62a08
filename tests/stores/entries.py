"""Entries of the register for tests."""

from typing import Any

from pipeline.report.register import Entry

AT = 1_792_490_400_000


def entry(number: int = 1, **changed: Any) -> Entry:
    """Return an entry in which every field has a value of its own; ``number`` tells it from others."""
    fields: dict[str, Any] = {
        "id": f"entry{number:04}",
        "kind": "sip.opened",
        "subject": "SIP-K7Q2F",
        "at": AT + number * 1000,
        "who": "Ada",
        "via": "csf",
        "changes": {
            "title": "Resolve incidents sooner",
            "kpi": "mttr",
            "scope": "org",
            "owner": "Service desk",
            "status": "open",
            "start": "2026-10-20",
            "due": "2026-12-31",
            "baseline": 9.25,
            "baseline_month": "2026-09",
            "goal": 6.0,
            "action:a1:text": "Rota on Mondays",
            "action:a1:done": False,
        },
        "why": "It takes too long",
    }
    return Entry(**{**fields, **changed})
