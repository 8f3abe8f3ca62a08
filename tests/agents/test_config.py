"""Wrong settings are refused in one sentence that names the setting."""

import pytest

from agents.config import KafkaSecurity
from agents.topics import changelog_topic, client_settings, ensure_topics, topic_specs
from pipeline.errors import ConfigError, ServiceUnavailable
from pipeline.events.families import EVENT_TOPICS
from pipeline.topics import PARTIALS
from tests.agents.counting import config
from tests.agents.harness import fresh_topics


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"group": "a b"}, "group: 'a b'"),
        ({"partitions": 0}, "partitions and replication must be 1 or more"),
        ({"tick_s": 0}, "tick_s is 0"),
        ({"http_host": "0.0.0.0"}, "set http_token too"),
        ({"http_token": "short"}, "http_token has 5 characters"),
        ({"http_host": "ops.example"}, "set http_token too"),
        ({"security": KafkaSecurity(protocol="SASL_SSL")}, "SASL_SSL needs username and password"),
    ],
)
def test_wrong_settings(tmp_path, settings, says):
    with pytest.raises(ConfigError, match=says):
        config("127.0.0.1:9092", str(tmp_path), **settings)


@pytest.mark.parametrize("address", ["", "kafka", "kafka:0", "kafka:70000", "http://kafka:9092", "a:1,b"])
def test_wrong_broker_addresses(tmp_path, address):
    with pytest.raises(ConfigError, match="is no broker address"):
        config(address, str(tmp_path))


def test_good_settings(tmp_path):
    assert config("kafka-1:9092, [::1]:9093", str(tmp_path), http_host="::1").http_host == "::1"
    assert (
        config("kafka:9092", str(tmp_path), http_host="0.0.0.0", http_token="s3cret-of-16-chars").http_token
        == "s3cret-of-16-chars"
    )
    assert "s3cret-of-16-chars" not in repr(config("kafka:9092", str(tmp_path), http_token="s3cret-of-16-chars"))


def test_what_one_worker_owns_has_equal_partitions_and_broker_time():
    specs = {s.name: s for s in topic_specs(group="g", partitions=6)}
    together = [*EVENT_TOPICS, PARTIALS, changelog_topic("g")]
    assert {specs[name].partitions for name in together} == {6}
    assert {s.config["message.timestamp.type"] for s in specs.values()} == {"LogAppendTime"}
    assert specs[changelog_topic("g")].config["min.compaction.lag.ms"] == "3600000"


def test_client_settings_name_only_what_is_set(tmp_path):
    security = KafkaSecurity(protocol="SASL_SSL", username="u", password="p", ca_file=tmp_path / "ca.pem")
    assert client_settings(security) == {
        "security_protocol": "SASL_SSL",
        "bootstrap_timeout_ms": 10_000,
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
        "ssl_cafile": str(tmp_path / "ca.pem"),
    }


@pytest.mark.kafka
def test_topics_are_made_once_and_checked(bootstrap):
    fresh_topics(bootstrap, "test", partitions=2)
    assert ensure_topics(bootstrap, topic_specs(group="test", partitions=2)) == []
    assert ensure_topics(bootstrap, topic_specs(group="other", partitions=2)) == ["other-state-changelog"]
    with pytest.raises(ConfigError, match=r"csf.events.uptime has 2 partitions, 3 are wanted"):
        ensure_topics(bootstrap, topic_specs(group="test", partitions=3))


def test_no_broker_is_one_sentence():
    with pytest.raises(ServiceUnavailable, match=r"Kafka at 127\.0\.0\.1:1 does not answer"):
        ensure_topics("127.0.0.1:1", topic_specs(), settings={"bootstrap_timeout_ms": 300})
