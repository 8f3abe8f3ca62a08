"""What the commands about alerts share: the store, the calendar, and sending an order to alerting."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from kafka import KafkaProducer
from kafka.errors import KafkaError

from cli.embedded.instance import running
from cli.output import say
from cli.settings import Settings
from pipeline.alerts import inputs
from pipeline.catalogue import alerts as a
from pipeline.catalogue.model import Catalogue
from pipeline.errors import ConfigError, ServiceUnavailable
from pipeline.stores.port import KpiStore
from pipeline.time.calendar import Calendar
from pipeline.topics import ALERT_INPUTS

_T = TypeVar("_T")


def calendar_of(settings: Settings) -> Calendar:
    """Return the organisation's calendar."""
    return Calendar(settings.load_catalogue().organisation.zone)


def rule_of(catalogue: Catalogue, name: str) -> a.AnyRule:
    """Return a rule of the catalogue.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in catalogue.alerts:
        raise ConfigError(
            f"rule '{name}': is not in the catalogue; `csf catalogue check` and docs/alerts.md say which are"
        )
    return catalogue.alerts[name]


def read(settings: Settings, ask: Callable[[KpiStore], _T]) -> _T:
    """Return what a question finds in the store.

    Raises:
        ConfigError: there is none yet.
    """
    settings.check_values()
    store = settings.open_store(read_only=True)
    try:
        return ask(store)
    finally:
        store.close()


def send(settings: Settings, order: inputs.Order) -> None:
    """Append to what alerting hears; return when the brokers have it.

    Raises:
        ServiceUnavailable: they do not take it.
    """
    with running(settings, worker=False, say=partial(say, err=True)) as instance:
        try:
            producer = KafkaProducer(bootstrap_servers=instance.bootstrap, acks="all", **instance.kafka_settings)
            try:
                producer.send(ALERT_INPUTS, inputs.encode(order), key=b"order", partition=0).get(30)
            finally:
                producer.close()
        except KafkaError as e:
            raise ServiceUnavailable(f"Kafka at {instance.bootstrap} does not take the order: {e}") from None
