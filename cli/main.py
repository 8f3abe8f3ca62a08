"""The csf command: subcommands are loaded when they are called, errors are one sentence."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata

import click

from cli.extras import extras_named
from cli.output import say
from pipeline.errors import ConfigError, CsfError

#: command → (module, attribute, short help)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("cli.up", "up", "Start everything on this machine and print the address."),
    "worker": ("cli.worker", "worker", "Run one worker: agents, console, metrics."),
    "connector": ("cli.connector", "connector", "List and run connectors."),
    "import": ("cli.imports", "import_file", "Import a file of events by a mapping."),
    "simulate": ("cli.simulate", "simulate", "Simulate an organisation."),
    "kpis": ("cli.kpis", "kpis", "Print KPI values."),
    "report": ("cli.report", "report", "The Monthly Operating Report: build, issue, compare, deliver."),
    "sip": ("cli.sip", "sip", "Open, follow and close Service Improvement Programmes."),
    "comment": ("cli.comment", "comment", "Managers' comments on a month's report."),
    "alerts": ("cli.alerts", "alerts", "List, silence, take on and try alerts."),
    "catalogue": ("cli.catalogue", "catalogue", "Check, list and document the KPI catalogue."),
    "dashboards": ("cli.dashboards", "dashboards", "Build, provision and push Grafana boards."),
    "month": ("cli.month", "month", "Close months."),
    "replay": ("cli.replay", "replay", "Rebuild KPIs from the event archive."),
    "dead-letters": ("cli.deadletters", "dead_letters", "List and replay events that could not be used."),
    "doctor": ("cli.doctor", "doctor", "Check everything and name the cure."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        known = COMMANDS.get(cmd_name)
        if known is None:
            return None
        command: click.Command = getattr(importlib.import_module(known[0]), known[1])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


def _version() -> str:
    try:
        return metadata.version("csf-pulse")
    except metadata.PackageNotFoundError:
        return "unknown"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="csf")
def csf() -> None:
    """csf-pulse: the critical success factors of IT services, measured continuously and exactly."""


def main() -> None:
    """Run the command; errors of ours are one sentence on stderr and exit code 2 (1: a service did not answer)."""
    try:
        with extras_named():
            code = csf.main(standalone_mode=False)
    except click.ClickException as e:
        e.show()
        sys.exit(e.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except CsfError as e:
        say(f"csf: {e}", err=True)
        sys.exit(2 if isinstance(e, ConfigError) else 1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    sys.exit(code if isinstance(code, int) else 0)
