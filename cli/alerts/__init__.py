"""``csf alerts``: what fires, what people order about it, and what would have fired."""

from __future__ import annotations

import click

from cli.alerts.looking import list_alerts, list_channels, list_silences, show
from cli.alerts.ordering import ack, lift, silence, try_channels
from cli.alerts.replaying import replay


@click.group()
def alerts() -> None:
    """Alerts: list them, silence them, take them on, try channels, play rules over the past."""


for command in (list_alerts, show, silence, list_silences, lift, ack, list_channels, try_channels, replay):
    alerts.add_command(command)
