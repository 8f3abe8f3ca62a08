"""A built-in KPI whose measure changes must rise in version: running installations refuse it otherwise.

``python -m tests.catalogue.test_definition_versions`` notes new KPIs and new versions.
"""

import json
from pathlib import Path

from pipeline.catalogue.loader import load_catalogue
from pipeline.engine.definitions import digest

NOTED = Path(__file__).parent / "definitions.json"


def current() -> dict[str, list[int | str]]:
    return {k.id: [k.version, digest(k)] for k in load_catalogue().kpis.values()}


def test_a_changed_measure_has_a_greater_version() -> None:
    noted, now = json.loads(NOTED.read_text()), current()
    for kpi, (version, said) in noted.items():
        if kpi in now and now[kpi][1] != said:
            assert now[kpi][0] > version, f"raise the version of {kpi}, then note it (see above)"


if __name__ == "__main__":
    NOTED.write_text(json.dumps(current(), indent=0, sort_keys=True) + "\n")
