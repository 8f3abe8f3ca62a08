"""TLS and SASL on a real broker: workers, connectors and commands get in; who should not is told why in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.config import KafkaSecurity
from cli.reaching import check_kafka
from pipeline.errors import ConfigError
from tests.security.installation import HTTP_TOKEN, Installation
from tests.security.secure_kafka import MECHANISMS, PASSWORD, USER, SecureKafka

pytestmark = pytest.mark.kafka
LINE = '10.0.0.1 - - [21/May/2026:10:0{}:03 +0000] "GET /a HTTP/1.1" 200 512 "-" "Mozilla/5.0"\n'
WRONG = "wr0ng-passw0rd-that-must-never-show"


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    broker = SecureKafka(tmp_path_factory.mktemp("secure"))
    broker.start()
    yield broker
    broker.kill()


def security(kafka: SecureKafka, mechanism: str = "PLAIN", **changed: object) -> KafkaSecurity:
    given = {
        "protocol": "SASL_SSL",
        "mechanism": mechanism,
        "username": USER,
        "password": PASSWORD,
        "ca_file": kafka.ca,
    }
    return KafkaSecurity(**{**given, **changed})


def imported(made: Installation) -> None:
    """Import a small log and read its KPI back."""
    log = made.folder / "access.log"
    log.write_text("".join(LINE.format(i) for i in range(10)))
    done = made.run("import", str(log), "--mapping", "access-log", "--service", "website", "--team", "web")
    assert done.returncode == 0, done.stderr
    made.caught_up()
    done = made.run(
        "kpis",
        "--kpi",
        "active_users",
        "--period",
        "day",
        "--from",
        "2026-05-21",
        "--to",
        "2026-05-21",
        "--format",
        "json",
    )
    assert [r["value"] for r in json.loads(done.stdout)] == [1.0], done.stdout + done.stderr


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_everything_works_and_no_secret_shows(kafka: SecureKafka, tmp_path: Path, mechanism: str) -> None:
    environment = {**kafka.environment(mechanism), "CSF_GROUP": f"g-{mechanism}"}
    made = Installation(tmp_path, environment)
    try:
        made.start()
        imported(made)
        made.note_arguments()
        for path in (
            "/metrics",
            "/healthz",
            "/readyz",
            "/",
            "/api/v1/info",
            "/api/v1/health",
            "/api/v1/nothing",
            "/api/v1/csfs?window=1y",
        ):
            made.ask(path)
        made.ask("/api/v1/info", token=None)
        assert made.ask(f"/api/v1/info?token={HTTP_TOKEN}x", token=None)[0] == 401
        done = made.run("doctor", "--format", "json")
        found = {r["check"]: r for r in json.loads(done.stdout)}
        assert found["broker"]["state"] == "ok", done.stdout
        assert found["clock"]["state"] == "ok"
        assert found["worker"]["state"] == "ok"
        assert made.run("dead-letters", "list").returncode == 0
        failures(made, kafka)
    finally:
        code = made.stop()
    assert code == 0
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0  # whoever else has an account reads no event
    said = made.everything()
    assert len(said) > 10_000
    for secret in (PASSWORD, WRONG, HTTP_TOKEN):
        assert secret not in said


def failures(made: Installation, kafka: SecureKafka) -> None:
    """Provoke what can go wrong; each is one sentence and an exit code."""
    wrong = {"CSF_KAFKA_PASSWORD": WRONG}
    other = {"CSF_KAFKA_CA_FILE": str(kafka.other_ca)}
    for changed, sentence in (
        (wrong, f"refuses the user '{USER}'"),
        (other, "shows a certificate that is not trusted by"),
        ({"CSF_KAFKA_CA_FILE": "/nowhere.pem"}, "kafka_ca_file /nowhere.pem: cannot be read"),
        ({"CSF_KAFKA_PROTOCOL": "PLAINTEXT"}, "does not speak PLAINTEXT"),
        (
            {"CSF_KAFKA_PASSWORD": "", "CSF_KAFKA_PASSWORD_FILE": "/nowhere"},
            "CSF_KAFKA_PASSWORD_FILE: /nowhere cannot be read",
        ),
    ):
        for command in (
            ("worker", "--port", "0"),
            ("dead-letters", "list"),
            ("import", str(made.folder / "access.log"), "--mapping", "access-log", "--service", "website"),
        ):
            done = made.run(*command, **changed)
            assert done.returncode == 2, (command, changed, done.stderr)
            assert sentence in done.stderr, (command, done.stderr)
            assert "Traceback" not in done.stderr
            assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    done = made.run("doctor", "--format", "json", **wrong)
    assert done.returncode == 1
    broker = next(r for r in json.loads(done.stdout) if r["check"] == "broker")
    assert broker["state"] == "wrong"
    assert f"refuses the user '{USER}'" in broker["found"]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_each_mechanism_lets_in_who_knows_the_password_only(kafka: SecureKafka, mechanism: str) -> None:
    check_kafka(kafka.bootstrap, security(kafka, mechanism))
    with pytest.raises(ConfigError, match=f"refuses the user '{USER}' by {mechanism}"):
        check_kafka(kafka.bootstrap, security(kafka, mechanism, password=WRONG))


def test_a_certificate_for_another_name_is_refused(kafka: SecureKafka) -> None:
    named = kafka.bootstrap.replace("127.0.0.1", "localhost")
    with pytest.raises(ConfigError, match=r"not trusted .*Hostname mismatch.* bootstrap to the name it was made for"):
        check_kafka(named, security(kafka))


def test_tls_without_a_password_is_not_enough(kafka: SecureKafka) -> None:
    with pytest.raises(ConfigError, match="does not speak SSL"):
        check_kafka(kafka.bootstrap, KafkaSecurity(protocol="SSL", ca_file=kafka.ca))


def test_the_first_broker_that_is_there_is_asked(kafka: SecureKafka) -> None:
    check_kafka(f"127.0.0.1:1,{kafka.bootstrap}", security(kafka))
    check_kafka("127.0.0.1:1", security(kafka))  # nobody there: whoever needs it says so
