"""TLS and tokens for InfluxDB, on a real influxd: what is trusted gets in, and what is wrong is one sentence without the token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from pipeline.errors import ConfigError, CsfError, StoreRejected, StoreUnavailable
from pipeline.stores.influx import InfluxStore
from tests.security.installation import HTTP_TOKEN, Installation
from tests.security.secure_kafka import PASSWORD, SecureKafka
from tests.security.test_kafka_tls import imported
from tests.services.influx import Influx
from tests.stores.samples import period_value

pytestmark = pytest.mark.services
WRONG = "wr0ng-t0ken-that-must-never-show"


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    running = Influx(tmp_path_factory.mktemp("influx"), trustme.CA())
    yield running
    running.server.stop()


def store(influx: Influx, **changed: object) -> InfluxStore:
    given = {"url": influx.url, "token": influx.token, "org": influx.org, "ca_file": influx.ca}
    return InfluxStore(**{**given, **changed})  # type: ignore[arg-type]


def test_values_go_and_come_by_tls(influx: Influx) -> None:
    opened = store(influx)
    opened.setup_buckets()
    opened.write_values([period_value()])
    assert opened.periods(period="month", kpis=["mttr"]) == [period_value()]
    assert influx.url.startswith("https://")
    assert influx.url in opened.check()
    opened.close()


@pytest.mark.parametrize(
    ("changed", "kind", "sentence"),
    [
        ({"token": WRONG}, StoreRejected, "does not know the token"),
        ({"ca_file": None}, StoreUnavailable, "a certificate that is not trusted by the system"),
        ({"ca_file": Path("/nowhere.pem")}, ConfigError, "influx_ca_file /nowhere.pem: cannot be read"),
        ({"ca_file": Path(__file__)}, ConfigError, "cannot be read as PEM certificates"),
        ({"url": "https://csf:s3cret@127.0.0.1:1"}, ConfigError, "must not hold a user or password"),
        ({"url": "ftp://127.0.0.1:1"}, ConfigError, "is not a URL"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    influx: Influx, changed: dict[str, object], kind: type[CsfError], sentence: str
) -> None:
    with pytest.raises(kind) as caught:
        store(influx, **changed).setup_buckets()
    text = str(caught.value)
    assert sentence in text
    assert "\n" not in text
    for secret in (influx.token, WRONG, "s3cret"):
        assert secret not in text


def test_another_authority_and_another_name_are_not_trusted(influx: Influx, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    with pytest.raises(StoreUnavailable, match=f"not trusted by {other}"):
        store(influx, ca_file=other).setup_buckets()
    with pytest.raises(StoreUnavailable, match="Hostname mismatch"):
        store(influx, url=influx.url.replace("127.0.0.1", "localhost")).setup_buckets()


def test_plain_and_tls_are_told_apart(influx: Influx, tmp_path: Path) -> None:
    with pytest.raises(CsfError) as caught:
        store(influx, url=influx.url.replace("https", "http")).setup_buckets()
    assert "HTTPS" in str(caught.value)
    plain = Influx(tmp_path / "plain")
    try:
        with pytest.raises(StoreUnavailable, match="does not speak TLS"):
            store(plain, url=plain.url.replace("http", "https"), ca_file=influx.ca).setup_buckets()
    finally:
        plain.server.stop()


def test_an_installation_on_tls_all_over_shows_no_secret(influx: Influx, tmp_path: Path) -> None:
    """A worker on Kafka and InfluxDB by TLS, commands, failures: none of the four secrets in anything that is said."""
    kafka = SecureKafka(tmp_path)
    kafka.start()
    token = tmp_path / "influx.token"
    token.write_text(influx.token + "\n")
    environment = {
        **kafka.environment("SCRAM-SHA-512"), "CSF_STORE": "influx", "CSF_INFLUX_URL": influx.url, "CSF_INFLUX_ORG": influx.org,
        "CSF_INFLUX_TOKEN_FILE": str(token), "CSF_INFLUX_CA_FILE": str(influx.ca),
    }  # fmt: skip
    made = Installation(tmp_path / "made", environment)
    try:
        made.start()
        imported(made)
        made.note_arguments()
        for path in ("/metrics", "/api/v1/health", "/api/v1/info", "/api/v1/progress"):
            made.ask(path)
        done = made.run("doctor", "--format", "json")
        assert next(r for r in json.loads(done.stdout) if r["check"] == "store")["state"] == "ok", done.stdout
        for changed, sentence in (
            ({"CSF_INFLUX_TOKEN_FILE": "", "CSF_INFLUX_TOKEN": WRONG}, "does not know the token"),
            ({"CSF_INFLUX_CA_FILE": str(kafka.other_ca)}, "a certificate that is not trusted by"),
            ({"CSF_INFLUX_TOKEN_FILE": "/nowhere"}, "CSF_INFLUX_TOKEN_FILE: /nowhere cannot be read"),
        ):
            done = made.run("kpis", **changed)
            assert done.returncode in {1, 2}
            assert sentence in done.stderr
            assert len(done.stderr.strip().splitlines()) == 1, done.stderr
            made.run("doctor", **changed)
        influx.server.kill()  # what the worker logs while the store is away
        log = made.folder / "access2.log"
        log.write_text((made.folder / "access.log").read_text().replace("10.0.0.1", "10.0.0.2"))
        made.run("import", str(log), "--mapping", "access-log", "--service", "website")
        made.until("/api/v1/progress", lambda status, body: status == 200 and "does not answer" in body)
        assert made.ask("/readyz")[0] == 503
        influx.server.start()
        made.until("/readyz", lambda status, _body: status == 200)
    finally:
        made.stop()
        kafka.kill()
    said = made.everything()
    for secret in (PASSWORD, HTTP_TOKEN, influx.token, WRONG):
        assert secret not in said
