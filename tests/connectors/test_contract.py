"""The contract of every pull connector, run on the cases in its folder.

A case is ``config.yaml`` (a configuration whose address is ``{address}``), ``exchange.yaml`` (the time, what is asked, what is answered) and what
must come of it: ``expected.jsonl`` and, where something is told, ``expected.err``. Under ``again`` an exchange may have the time and answers of a
second poll, of which ``again.jsonl`` and ``again.err`` come. ``CSF_WRITE_CASES=1`` writes these files anew, to be reviewed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
import stamina
import yaml

from connectors.engine.config import Connector, load_entries, options_of, prepare
from connectors.engine.declared_auth import HeaderAuth
from connectors.engine.load import load_declaration, shipped
from connectors.engine.texts import with_options
from connectors.engine.trial import trials
from pipeline.errors import ConfigError, InvalidEvent, ServiceUnavailable, SourceRefused
from pipeline.events.families import TYPES, event_topic
from pipeline.events.validate import decode_data, decode_envelope
from tests.connectors.pulling import Bench, google_account
from tests.connectors.vendor import Asked, Says, for_token, serving

CASES = sorted(path.parent for folder in shipped().values() for path in folder.parent.glob("testcases/*/config.yaml"))
#: the first case of each connector
FIRST = list({path.parent.parent: path for path in reversed(CASES)}.values())[::-1]
#: cases with a second poll
AGAIN = [case for case in CASES if "\nagain:" in (case / "exchange.yaml").read_text()]
WRITE = bool(os.environ.get("CSF_WRITE_CASES"))
SECRET = "s3cret-marker-"
#: the same YAML as everywhere, read in C: there are hundreds of files
Quick: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@pytest.fixture(params=CASES, ids=lambda p: f"{p.parent.parent.name}-{p.name}")
def case(request, monkeypatch):
    for name in secrets_of((request.param / "config.yaml").read_text()):
        monkeypatch.setenv(name, SECRET + name)
    with stamina.set_testing(True, attempts=3, cap=True):
        yield Case(request.param)


def secrets_of(text: str) -> list[str]:
    auth = yaml.load(text, Loader=Quick)[0].get("auth", {})
    return [value["env"] for value in auth.values() if isinstance(value, dict) and "env" in value]


class AsJson(Quick):
    """YAML whose times are texts, as they are in JSON."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [(tag, regexp) for tag, regexp in found if not tag.endswith(":timestamp")]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class Case:
    """One case: its exchange as a vendor, its configuration on a bench."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        document = yaml.load((folder / "exchange.yaml").read_text(), Loader=AsJson)
        self.now = datetime.fromisoformat(str(document["now"]))
        self.exchange = document["exchange"]
        self.again = document.get("again")
        self.used: set[int] = set()
        self.strange: list[Asked] = []
        self.address = ""

    def answer(self, asked: Asked) -> Says:
        for i, each in enumerate(self.exchange):
            if fits(json.loads(json.dumps(each["ask"]).replace("{address}", self.address)), asked):
                self.used.add(i)
                text = json.dumps({"body": each["says"].get("body"), "headers": each["says"].get("headers", {})})
                says = json.loads(text.replace("{address}", self.address))
                raw = each["says"]["text"].encode() if "text" in each["says"] else None
                return Says(says["body"], each["says"].get("status", 200), says["headers"], raw)
        self.strange.append(asked)
        return Says({"error": "nothing of the case fits"}, 418)

    @contextmanager
    def vendor(self):
        with serving(self.answer) as vendor:
            self.address = vendor.address
            yield vendor

    def entry(self) -> dict[str, Any]:
        (entry,) = yaml.load((self.folder / "config.yaml").read_text().replace("{address}", self.address), Loader=Quick)
        return dict(entry)

    def connector(self, tmp_path, **more: Any) -> Connector:
        config = tmp_path / "connectors.yaml"
        for beside in self.folder.glob("*.csv"):  # what a configuration names beside itself
            shutil.copy(beside, tmp_path)
        config.write_text(yaml.safe_dump([{**self.entry(), **more}]))
        return prepare(load_entries(config)[0], config)

    def bench(self, tmp_path, **more: Any) -> Bench:
        return Bench(self.connector(tmp_path, **more), now=self.now)

    def later(self, bench: Bench) -> None:
        """Let the time of the second poll come."""
        bench.now, bench.said[:], bench.sink.letters[:] = datetime.fromisoformat(self.again["now"]), [], []
        self.exchange, self.used = self.again["exchange"], set()

    def judge(self, name: str, bench: Bench, events: list[dict[str, Any]]) -> None:
        """Fail unless all was asked, and what came of it is what the files of this name say."""
        assert not self.strange
        assert self.used == set(range(len(self.exchange)))
        told = "".join(f"{line}\n" for line in [*bench.said, *(letter["detail"] for letter in bench.sink.letters)])
        told = told.replace(self.address, "{address}")
        said, err = self.folder / f"{name}.jsonl", self.folder / f"{name}.err"
        if WRITE:
            said.write_text("".join(json.dumps(e) + "\n" for e in events))
            err.unlink(missing_ok=True)
            if told:
                err.write_text(told)
        assert events == [json.loads(line) for line in said.read_text().splitlines()]
        assert told == (err.read_text() if err.exists() else "")

    def expected(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "expected.jsonl").read_text().splitlines()]


def fits(ask: dict[str, Any], asked: Asked) -> bool:
    body = asked.body or {}
    return (
        ask.get("method", "GET") == asked.method
        and ask["path"] == asked.path
        and all(asked.query.get(k) == v for k, v in ask.get("query", {}).items())
        and all(body.get(k) == v for k, v in ask.get("body", {}).items())
    )


def test_it_asks_what_the_case_says_and_makes_the_expected_events(case, tmp_path):
    with case.vendor():
        bench = case.bench(tmp_path)
        events = bench.poll()
    case.judge("expected", bench, events)
    now_ms = int(case.now.timestamp() * 1000)
    for event in events:
        try:
            decode_data(decode_envelope(json.dumps(event).encode()), event_topic(TYPES[event["type"]][0]), now_ms)
        except InvalidEvent as e:
            pytest.fail(f"{event['id']}: {e}")


@pytest.mark.parametrize("case", AGAIN, indirect=True, ids=lambda p: f"{p.parent.parent.name}-{p.name}")
def test_a_later_poll_tells_what_changed(case, tmp_path):
    with case.vendor():
        bench = case.bench(tmp_path)
        bench.poll()
        case.later(bench)
        case.judge("again", bench, bench.poll())


def test_it_sends_nothing_twice_and_after_a_restart_no_new_event(case, tmp_path):
    with case.vendor():
        bench = case.bench(tmp_path)
        first = {e["id"] for e in bench.poll()}
        if not asks_again(bench):
            assert not bench.poll()
            assert {e["id"] for e in bench.poll(anew=True)} <= first  # a snapshot is told again, by the same ids
    assert len(first) == len(case.expected())


def asks_again(bench: Bench) -> bool:
    """Whether open entities are asked for, or what lies behind the source's cursor, which the case does not answer."""
    return any("|open:" in name or value.get("token") for name, value in bench.sink.cursors.items())


def test_pages_read_twice_have_the_same_ids(case, tmp_path):
    with case.vendor():
        assert case.bench(tmp_path).poll() == case.bench(tmp_path).poll()


FAULTS = {
    "500": Says({"error": "oops"}, 500), "malformed": Says(raw=b'{"result": [{'), "too fast": Says(None, 429, {"Retry-After": "7"}),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_that_passes_changes_nothing(case, tmp_path, fault):
    with case.vendor() as vendor:
        vendor.faults = [fault]
        bench = case.bench(tmp_path)
        assert bench.poll() == case.expected()
    assert bench.waits == ([7.0] if fault.status == 429 else [])


def test_a_source_that_hangs_is_told(case, tmp_path):
    with case.vendor() as vendor:
        vendor.always = Says(hangs=True)
        bench = case.bench(tmp_path, timeout_s=0.1)
        with pytest.raises(ServiceUnavailable, match="does not answer"):
            bench.poll()
    assert not bench.sink.cursors


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_told_without_the_secret(case, tmp_path, status):
    with case.vendor() as vendor:
        bench = case.bench(tmp_path)

        def echo(asked: Asked) -> Says:
            return case.answer(asked) if for_token(asked) else Says({"you said": [asked.headers, asked.query]}, status)

        vendor.answer = echo
        with pytest.raises(SourceRefused, match=f"answers {status}") as caught:
            bench.poll()
    shown = f"{caught.value}{bench.said}{bench.sink.stored}{bench.connector!r}"
    assert not any(
        SECRET + name in shown for name in secrets_of((case.folder / "config.yaml").read_text()) if "USER" not in name
    )
    assert all(reading.stream.permissions for reading in bench.connector.readings)


@pytest.fixture(params=FIRST, ids=lambda p: p.parent.parent.name)
def configured(request, monkeypatch):
    """One case of every connector, for what depends on its declaration only."""
    for name in secrets_of((request.param / "config.yaml").read_text()):
        monkeypatch.setenv(name, SECRET + name)
    case = Case(request.param)
    case.address = "https://vendor.example.org"
    return case


def test_every_option_changes_something(configured, tmp_path):
    everything = [s.name for s in configured.connector(tmp_path, streams=[]).declaration.streams]
    whole = configured.connector(tmp_path, streams=everything)
    for name, option in whole.declaration.options.items():
        other: Any = ["other/one"] if option.many else "https://other.example.org"
        try:
            options = {**configured.entry()["options"], name: other}
            changed = configured.connector(tmp_path, options=options, streams=everything)
        except ConfigError as e:  # an option whose value is judged is an option that is read
            assert "other.example.org" in str(e)  # noqa: PT017
            continue
        assert shape(changed) != shape(whole), name


def shape(connector: Connector) -> bytes:
    said = options_of(connector.entry.options, connector.declaration.options, "")
    ways = with_options(msgspec.to_builtins(connector.declaration.auth), said, "")
    return msgspec.json.encode(
        [connector.base, ways, [[r.name, r.stream, r.mapping, r.given] for r in connector.readings]]
    )


def test_a_wrong_option_is_told(configured, tmp_path):
    with pytest.raises(ConfigError, match=r"options: there is no option 'addres'; did you mean 'address'\?"):
        configured.connector(tmp_path, options={"addres": "x"})


@pytest.mark.parametrize("name", shipped())
def test_a_folder_is_whole(name, monkeypatch):
    folder = shipped()[name].parent
    declaration = load_declaration(name)
    assert declaration.name == name
    assert (folder / "__init__.py").is_file()
    assert any(case.parent.parent == folder for case in CASES)
    sample = folder / "sample.yaml"
    shown = set()
    for entry in load_entries(sample):
        assert entry.connector == name
        for way in declaration.auth.values():
            assert not isinstance(way, HeaderAuth) or way.headers
        auth = {k: v if k == "use" else {"env": k} for k, v in entry.auth.items()}
        for secret in auth.keys() - {"use"}:
            monkeypatch.setenv(secret, google_account() if secret == "service_account" else "any-secret")
        prepared = prepare(msgspec.structs.replace(entry, auth=auth), sample)
        shown |= {r.stream.name for r in prepared.readings}
    assert {s.name for s in declaration.streams if not s.on_request} <= shown


def nearness(ask: dict[str, Any], asked: Asked) -> tuple[int, int]:
    """Return how near a request is to one of a case: first by what it lacks, then by what is the same."""
    wanted, given = {**ask.get("query", {}), **ask.get("body", {})}, {**asked.query, **(asked.body or {})}
    return -len(wanted.keys() - given.keys()), sum(given.get(name) == value for name, value in wanted.items())


def test_a_trial_shows_an_event_of_it(case, tmp_path):
    """``csf connector test``; the times it asks for are others than those of the case."""

    def nearly(asked: Asked) -> Says:
        asks = [each["ask"] for each in json.loads(json.dumps(case.exchange).replace("{address}", case.address))]
        near = [a for a in asks if (a.get("method", "GET"), a["path"]) == (asked.method, asked.path)]
        if not near:
            return case.answer(asked)
        ask = max(near, key=lambda a: nearness(a, asked))
        return case.answer(Asked(asked.method, asked.path, ask.get("query", {}), asked.headers, ask.get("body")))

    with case.vendor() as vendor:
        vendor.answer = nearly
        found = trials(dataclasses.replace(case.connector(tmp_path), clock=lambda: case.now), lambda _seconds: None)
    assert not [trial.problem for trial in found if trial.problem]
    told = {json.loads(event)["type"] for trial in found for event in trial.events}
    assert told
    assert told <= {e["type"] for e in case.expected()}
