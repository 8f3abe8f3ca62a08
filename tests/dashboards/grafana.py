"""What Grafana does between a board's JSON and what a person sees: variables filled in, answers made into rows.

Written after Grafana's documentation of variable formats and of its InfluxDB data source in InfluxQL; nothing of it is shared with
the code that makes the boards.
"""

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.services.influx import Influx

DATABASES = {"csf-live": "csf_live", "csf-history": "csf_history"}
_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)")
_REGEX_ESCAPED = re.compile(r"[\\^$*+?.()|\[\]{}/]")

Row = dict[str, Any]
#: a variable set to All
ALL = "$__all"


def panels_of(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every panel, those in collapsed rows too."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


@dataclass
class Chosen:
    """Values of variables, and what the time picker shows (epoch milliseconds)."""

    values: dict[str, str | list[str]]
    time_from: int
    time_to: int
    interval: str = "1m"
    used: set[str] = field(default_factory=set)

    def fill(self, text: str) -> str:
        """Return a query with its variables filled in; an unknown one is a fault."""

        def one(found: re.Match[str]) -> str:
            name, form = found[1] or found[3], found[2] or "glob"
            if name == "timeFilter":
                return f"time >= {self.time_from}ms and time <= {self.time_to}ms"
            if name in {"__from", "__to"}:
                return str(self.time_from if name == "__from" else self.time_to)
            if name in {"__interval", "__rate_interval", "__range"}:
                return self.interval
            assert name in self.values, f"${name} is no variable: {text}"
            self.used.add(name)
            return self._formatted(self.values[name], form)

        return _VARIABLE.sub(one, text)

    def _formatted(self, value: str | list[str], form: str) -> str:
        many = value if isinstance(value, list) else [value]
        if many == [ALL]:  # what a variable's allValue says, as it stands
            return ".*"
        if form == "raw":
            return ",".join(many)
        assert form == "regex", f"{form}: a query names the format raw or regex, so that every version does the same"
        escaped = [_REGEX_ESCAPED.sub(lambda f: "\\" + f[0], one) for one in many]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


class InfluxQl:
    """Asks a server's InfluxQL API as Grafana's data source does."""

    def __init__(self, influx: Influx) -> None:
        self._influx = influx

    def series(self, source: str, query: str) -> list[dict[str, Any]]:
        """Return the series of an answer, times in epoch milliseconds; an error fails the test with the query."""
        body = urllib.parse.urlencode({"db": DATABASES[source], "q": query, "epoch": "ms"}).encode()
        request = urllib.request.Request(
            f"{self._influx.url}/query", data=body, headers={"Authorization": f"Token {self._influx.token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                (result,) = json.load(answer)["results"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{error.read().decode()}\n{query}") from None
        assert "error" not in result, f"{result['error']}\n{query}"
        return list(result.get("series", []))

    def options(self, variable: dict[str, Any], chosen: Chosen) -> list[str]:
        """Return the values that a query variable offers, in its order."""
        found: dict[str, None] = {}
        for each in self.series(variable["datasource"]["uid"], chosen.fill(variable["query"])):
            for row in each["values"]:
                found[_as_text(row[1])] = None
        values = list(found)
        if variable["regex"]:
            pattern = re.compile(variable["regex"].strip("/").replace("(?<", "(?P<"))
            values = [m["value"] for v in values if (m := pattern.search(v))]
        return sorted(values, reverse=variable["sort"] == 2)

    def table(self, target: dict[str, Any], chosen: Chosen) -> list[Row]:
        """Return the rows of a query: time, tags, columns; one table of all series in their order."""
        rows: list[Row] = []
        for each in self.series(target["datasource"]["uid"], chosen.fill(target["query"])):
            for values in each["values"]:
                rows.append({**each.get("tags", {}), **dict(zip(each["columns"], values, strict=True))})
        return rows


def _as_text(value: Any) -> str:
    return f"{value:.0f}" if isinstance(value, int | float) else str(value)


def transformed(panel: dict[str, Any], rows: list[Row]) -> list[Row]:
    """Return rows after the panel's transformations."""
    for step in panel.get("transformations", []):
        if step["id"] == "groupBy":
            rows = _grouped(step["options"]["fields"], rows)
        elif step["id"] == "sortBy":
            (by,) = step["options"]["sort"]
            rows = sorted(rows, key=lambda row: row[by["field"]], reverse=by["desc"])
        else:
            assert step["id"] == "organize", step
            names = step["options"]["renameByName"]
            dropped = step["options"]["excludeByName"]
            rows = [{names.get(k, k): v for k, v in row.items() if not dropped.get(k)} for row in rows]
    return rows


def _grouped(fields: dict[str, Any], rows: list[Row]) -> list[Row]:
    by = [name for name, how in fields.items() if how["operation"] == "groupby"]
    groups: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        kept = groups.setdefault(tuple(row.get(b) for b in by), {b: row.get(b) for b in by})
        for name, how in fields.items():
            if how["operation"] == "aggregate" and name in row:
                assert how["aggregations"] == ["last"]
                kept[f"{name} (last)"] = row[name]
    return list(groups.values())
