"""``csf alerts silence``, ``lift``, ``ack``, ``test``: what people order, and trying channels."""

from __future__ import annotations

import asyncio
import getpass
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import click

from agents.notifying import Channels
from cli.alerts.common import calendar_of, read, send
from cli.options import bootstrap_option, config_option, data_dir_option
from cli.output import say
from cli.settings import load_settings
from pipeline.alerts import orders
from pipeline.alerts.journal import LOOK_BACK_S
from pipeline.alerts.matching import in_words
from pipeline.alerts.messages import Message, Told
from pipeline.alerts.outbox import Delivery
from pipeline.catalogue import alerts as a
from pipeline.errors import ConfigError, ServiceUnavailable

by_option = click.option("--by", default=getpass.getuser, help="Who [default: the user].")


def _author(who: str) -> orders.Author:
    return orders.Author(who, "csf", time.time())


@click.command()
@config_option
@data_dir_option
@bootstrap_option
@click.option("--for", "length", default="1h", show_default=True, help="How long: 30m, 4h, 2d; at most 90d.")
@click.option("--reason", required=True, help="Why; people read it.")
@click.option("--rule", "rules", multiple=True, help="Rule id; may be repeated.")
@click.option("--scope", "scopes", multiple=True, help="org, team:ID, service:ID; may be repeated.")
@click.option("--csf", "csfs", multiple=True, help="CSF; may be repeated.")
@click.option("--team", "teams", multiple=True, help="Team; may be repeated.")
@click.option("--severity", "severities", multiple=True, type=click.Choice(a.SEVERITIES))
@by_option
def silence(
    config: Path | None, data_dir: Path | None, bootstrap: str | None, length: str, reason: str, rules: tuple[str, ...],
    scopes: tuple[str, ...], csfs: tuple[str, ...], teams: tuple[str, ...], severities: tuple[a.Severity, ...], by: str,
) -> None:  # fmt: skip
    """Hold back raises that match for a while; what was raised is cleared all the same.

    Options of one kind are alternatives, those of different kinds must all match.
    """
    settings = load_settings(config, data_dir=data_dir, bootstrap=bootstrap)
    draft = orders.SilenceDraft(
        reason=reason, length=length, rules=rules, scopes=scopes, csfs=csfs, teams=teams, severities=severities
    )
    order = orders.silence(draft, settings.load_catalogue(), _author(by), name=uuid4().hex[:8])
    send(settings, order)
    say(f"silence {order.id} ({in_words(order.match)}) until {calendar_of(settings).iso(int(order.end))}")


@click.command()
@click.argument("silence_id", metavar="ID")
@config_option
@data_dir_option
@bootstrap_option
@click.option("--reason", default="", help="Why; people read it.")
@by_option
def lift(
    silence_id: str, config: Path | None, data_dir: Path | None, bootstrap: str | None, reason: str, by: str
) -> None:
    """End a silence before its time: what it held back and still fires is told now."""
    settings = load_settings(config, data_dir=data_dir, bootstrap=bootstrap)
    notes = read(settings, lambda store: store.alert_notes(at_from=int(time.time()) - LOOK_BACK_S))
    send(settings, orders.lift(silence_id, notes, _author(by), reason=reason))
    say(f"silence {silence_id} is lifted")


@click.command()
@click.argument("rule")
@click.argument("scope", default="org")
@config_option
@data_dir_option
@bootstrap_option
@by_option
def ack(rule: str, scope: str, config: Path | None, data_dir: Path | None, bootstrap: str | None, by: str) -> None:
    """Take an alert on: it is not told again until it is over."""
    settings = load_settings(config, data_dir=data_dir, bootstrap=bootstrap)
    changes = read(settings, lambda store: store.alerts(scopes=[scope]))
    send(settings, orders.acknowledgement(rule, scope, changes, _author(by)))
    say(f"{rule} of {scope} is taken on by {by}")


@click.command("test")
@config_option
@data_dir_option
@click.argument("channels", nargs=-1)
def try_channels(config: Path | None, data_dir: Path | None, channels: tuple[str, ...]) -> None:
    """Send a test notification by the channels named, or by all; nothing needs to run for that."""
    catalogue = load_settings(config, data_dir=data_dir).load_catalogue()
    for name in channels:
        if name not in catalogue.channels:
            raise ConfigError(
                f"channel '{name}': is not in channels.yaml; known: {', '.join(catalogue.channels) or 'none'}"
            )
    wanted = [c for name, c in catalogue.channels.items() if not channels or name in channels]
    if not wanted:
        raise ConfigError("there are no channels; name some in channels.yaml of the catalogue directory")
    failed = asyncio.run(_try(Channels(wanted), [c.id for c in wanted]))
    if failed:
        raise ServiceUnavailable("; ".join(failed))


async def _try(channels: Channels, names: list[str]) -> list[str]:
    failed = []
    for name in names:
        outcome = await channels.deliver(Delivery(0, name, time.time(), _test_message()), time.time)
        if outcome is not None and outcome.state == "delivered":
            say(f"{name}: delivered")
        else:
            failed.append(channels.trouble(name) or (outcome.why if outcome else name))
    await channels.close()
    return failed


def _test_message() -> Message:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    text = "This is a test of csf-pulse: nothing is wrong, and nothing is to be done."
    told = Told(
        kind="clear", rule="test", name="Test", severity="info", csf="", kpi="", scope="org", scope_name="", team="",
        owner="", since=at, value=None, threshold=None, unit="", sample=0, coverage=None, note="", contributor="",
        runbook="", board="", text=text,
    )  # fmt: skip
    return Message(id=f"test-{uuid4().hex[:12]}", at=at, title="[TEST] csf-pulse", body=text, alerts=(told,))
