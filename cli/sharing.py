"""Instances of a connector that share its work: which of them this process is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cli.embedded.instance import Instance
from cli.settings import Settings
from connectors.engine.seat import seat_in
from connectors.engine.share import Share


@contextmanager
def sharing(source: str, instance: Instance, settings: Settings, *, alone: bool) -> Iterator[Share | None]:
    """Give this process's membership among the instances of a connector; None where it reads everything alone.

    Raises:
        ServiceUnavailable: the brokers do not answer.
    """
    if alone:
        yield None
        return
    seat = seat_in(settings.data_dir / "connectors" / source.replace("/", "_"))
    try:
        share = Share(instance.bootstrap, source, instance.kafka_settings, seat.name if seat is not None else None)
        try:
            yield share
        finally:
            share.close()
    finally:
        if seat is not None:
            seat.leave()
