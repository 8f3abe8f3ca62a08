"""Which alerts a route or a silence names, and how that reads."""

from __future__ import annotations

import msgspec

from pipeline.catalogue.alerts import AnyRule, Match
from pipeline.catalogue.model import Catalogue

_WORDS = {"rule": "rule", "scope": "scope", "csf": "CSF", "team": "team", "tier": "tier", "severity": "severity"}


def place_of(scope: str, catalogue: Catalogue) -> tuple[str | None, int | None]:
    """Return team and tier of a scope, None where it has none."""
    kind, _, name = scope.partition(":")
    service = catalogue.services.get(name) if kind == "service" else None
    team = name if kind == "team" else service.team if service else None
    return team, service.tier if service else None


def matches(match: Match, rule: AnyRule, csf: str, scope: str, catalogue: Catalogue) -> bool:
    """Return whether an alert of a rule (which belongs to ``csf``) and scope is one that a match names."""
    team, tier = place_of(scope, catalogue)
    return (
        (match.severity is None or rule.severity in match.severity)
        and (match.tier is None or tier in match.tier)
        and (match.team is None or team in match.team)
        and (match.csf is None or csf in match.csf)
        and (match.rule is None or rule.id in match.rule)
        and (match.scope is None or scope in match.scope or f"{scope.partition(':')[0]}:*" in match.scope)
    )


def in_words(match: Match) -> str:
    """Return what a match names, such as ``rule mttr_red; scope service:shop or org``."""
    found = []
    for name, word in _WORDS.items():
        if (values := getattr(match, name)) is not None:
            found.append(f"{word} {' or '.join(str(v) for v in values)}")
    return "; ".join(found) or "everything"


def encode(match: Match) -> str:
    """Return a match as it is kept in notes."""
    return msgspec.json.encode({k: v for k, v in msgspec.to_builtins(match).items() if v is not None}).decode()


def decode(kept: str) -> Match:
    """Undo ``encode``."""
    return msgspec.json.decode(kept, type=Match)
