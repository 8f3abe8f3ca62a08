"""``csf up``: everything on this machine, on one data directory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from cli.embedded.instance import Child, Instance
from cli.embedded.supervisor import Supervisor, is_configured, supervised
from cli.options import config_option, own_data_dir_option
from cli.output import say
from cli.settings import Settings, load_settings, mark_demo
from pipeline.errors import ConfigError

_PROBER = "prober.yaml"
#: The child that issues and delivers reports, where a schedule is set.
_DUE = ["report", "due", "--watch", "300"]


@click.command()
@config_option
@own_data_dir_option
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the console [default: 8710].")
@click.option("--kafka-port", type=click.IntRange(1, 65535), help="Port of Kafka [default: one that is free].")
@click.option("--catalogue", type=click.Path(path_type=Path, file_okay=False), help="Own catalogue directory.")
@click.option("--no-demo", is_flag=True, help="Never run the simulated organisation.")
def up(
    config: Path | None,
    data_dir: Path | None,
    port: int | None,
    kafka_port: int | None,
    catalogue: Path | None,
    no_demo: bool,
) -> None:
    """Start Kafka, worker and console; without data of your own, with a simulated organisation to look at.

    Everything is kept in the data directory; start again and it goes on where it was.
    """
    settings = load_settings(config, data_dir=data_dir, http_port=port, kafka_port=kafka_port, catalogue_dir=catalogue)
    if not settings.embedded:
        raise ConfigError("csf up brings its own Kafka: unset CSF_BOOTSTRAP, or run `csf worker` on those brokers")
    if settings.catalogue_dir is not None:
        settings = replace(settings, catalogue_dir=settings.catalogue_dir.absolute())
    demo = not no_demo and settings.catalogue_dir is None and (settings.demo or not is_configured(settings.data_dir))
    if demo:
        data_dir = settings.data_dir if settings.demo else settings.data_dir / "demo"
        settings = replace(settings, data_dir=data_dir, demo=True)
        _own_service(settings.data_dir)
    settings.load_catalogue()  # a mistake there is told before anything starts
    if settings.report_schedule:
        from cli.report_delivery import check_due  # noqa: PLC0415 - only where reports are scheduled

        check_due(settings)
    with supervised(settings, say) as supervisor:
        say(f"starting in {settings.data_dir} ...")
        instance = supervisor.start()
        say(f"csf-pulse is at {instance.http}" + (" (DEMO: a simulated organisation)" if demo else ""))
        if demo:
            _demo(supervisor, instance, settings)
        elif (settings.data_dir / _PROBER).exists():
            supervisor.add(_prober(settings, instance))
        if settings.report_schedule:
            supervisor.add(_reports(settings, config))
        say("stop with Ctrl-C; it goes on where it was at the next start")
        supervisor.watch()


def _own_service(data_dir: Path) -> None:
    """Let the demo name itself as a service, so that the prober's checks of it count."""
    folder = data_dir / "catalogue"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
        mark_demo(data_dir)
        (folder / "services.yaml").write_text(
            "# written by csf up: what is really there, beside the simulated organisation\n"
            "- id: csf-pulse\n  name: csf-pulse itself\n  team: platform\n  tier: 3\n"
        )
    except OSError as e:
        raise ConfigError(f"{data_dir} cannot be written: {e.strerror}; name another with --data-dir") from None


def _demo(supervisor: Supervisor, instance: Instance, settings: Settings) -> None:
    """Tell the simulated organisation's history once, then let it live; probe our own endpoints."""
    told = settings.data_dir / "history.told"
    arguments = ["simulate", "--bootstrap", instance.bootstrap, "--data-dir", str(settings.data_dir)]
    if not told.exists():
        say("telling 13 months of history; the page fills while you look ...")
        history = Child("history", arguments, settings.data_dir, {})
        history.start()
        while history.ended() is None and not supervisor.stopping:
            _pause()
        if supervisor.stopping:
            history.stop()
            return
        if history.ended() == 0:
            told.write_text("")
            say("history is told; the simulated organisation lives on")
        else:
            say(f"history could not be told: {history.last_words()} (see {history.log})")
    supervisor.add(Child("simulator", [*arguments, "--no-history", "--live"], settings.data_dir, {}))
    probes = settings.data_dir / _PROBER
    probes.write_text(
        "# what is really there: csf-pulse's own endpoints\n"
        f"- url: {instance.http}/healthz\n  service: csf-pulse\n  interval: 10\n"
        f"- url: tcp://{instance.bootstrap}\n  service: csf-pulse\n  interval: 10\n"
    )
    supervisor.add(_prober(settings, instance))


def _prober(settings: Settings, instance: Instance) -> Child:
    arguments = ["connector", "run", "prober", "--config", str(settings.data_dir / _PROBER)]
    arguments += ["--bootstrap", instance.bootstrap]
    return Child("prober", arguments, settings.data_dir, {})


def _reports(settings: Settings, config: Path | None) -> Child:
    """Return what issues and delivers reports by schedule."""
    arguments = [*_DUE, "--data-dir", str(settings.data_dir)]
    if config is not None:
        arguments += ["--config", str(config.absolute())]
    return Child("reports", arguments, settings.data_dir, {})


def _pause() -> None:
    import time  # noqa: PLC0415 - only here

    time.sleep(0.2)
