"""One supervised process tree on one data directory: Kafka, worker, connectors, simulator."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.embedded.instance import (
    Child,
    Instance,
    clear_state,
    kept_port,
    locked,
    make_topics,
    trim_log,
    worker_child,
    write_state,
)
from cli.embedded.jars import Say
from cli.embedded.kafka import EmbeddedKafka, port_taken
from cli.settings import Settings
from pipeline.errors import ConfigError, CsfError

#: Restarts of a child wait this long, doubling up to the most, seconds.
_BACKOFF_FIRST_S, _BACKOFF_MOST_S = 1.0, 30.0
#: A child that ran this long starts over with the first wait.
_HEALTHY_S = 60.0
#: Below this the disk is said to be full, bytes.
_LEAST_DISK = 256 * 2**20


class Supervised:
    """A child with its restarts."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.started = time.monotonic()
        self.wait = _BACKOFF_FIRST_S
        self.due: float | None = None


class Supervisor:
    """Starts, watches and stops everything of one data directory.

    Args:
        settings: of the embedded default (no ``bootstrap``).
        say: told what happens, one line at a time.
    """

    def __init__(self, settings: Settings, say: Say) -> None:
        self.settings = settings
        self._say = say
        self._stop = threading.Event()
        self._children: list[Supervised] = []
        self.kafka = EmbeddedKafka(
            settings.data_dir / "kafka", kept_port(settings.data_dir, "kafka", settings.kafka_port)
        )
        self.http = f"http://{settings.http_host}:{settings.http_port}"

    def start(self) -> Instance:
        """Start Kafka and the worker; return where they are once they serve.

        Raises:
            ConfigError: a port is taken, the disk is full.
            ServiceUnavailable: a process did not come up.
        """
        free = shutil.disk_usage(self.settings.data_dir).free
        if free < _LEAST_DISK:
            raise ConfigError(
                f"{self.settings.data_dir} has {free // 2**20} MB free, csf needs {_LEAST_DISK // 2**20}: make room, "
                "or name another --data-dir"
            )
        if port_taken(self.settings.http_port):
            raise ConfigError(
                f"port {self.settings.http_port} on {self.settings.http_host} is taken by another program: "
                "name another with --port"
            )
        self.kafka.start(self._say)
        make_topics(self.settings, self.kafka.bootstrap)
        worker = self.add(worker_child(self.settings, self.kafka.bootstrap))
        instance = Instance(self.settings, self.kafka.bootstrap, self.http, (worker,))
        instance.await_ready(worker)
        write_state(self.settings.data_dir, self.kafka.bootstrap, self.http, worker=True)
        return instance

    def add(self, child: Child) -> Child:
        """Start a child and watch it from now on."""
        child.start()
        self._children.append(Supervised(child))
        return child

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM stop everything in order; a second one at once."""

        def stop(_number: int, _frame: object) -> None:
            if self._stop.is_set():
                self._kill()
                raise SystemExit(130)
            self._stop.set()

        before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()

    def watch(self) -> None:
        """Restart what ends, until a stop is asked for."""
        while not self._stop.wait(0.5):
            if not self.kafka.alive():
                self._say("Kafka ended; starting it again ...")
                try:
                    self.kafka.start(self._say)
                except CsfError as e:
                    self._say(f"{e}; trying again in {_BACKOFF_FIRST_S:.0f} s")
                    self._stop.wait(_BACKOFF_FIRST_S)
            for supervised in self._children:
                self._tend(supervised)
            for log in (self.kafka.log, *(s.child.log for s in self._children)):
                trim_log(log)

    def _tend(self, supervised: Supervised) -> None:
        code = supervised.child.ended()
        if code is None:
            return
        now = time.monotonic()
        if supervised.due is None:
            if now - supervised.started > _HEALTHY_S:
                supervised.wait = _BACKOFF_FIRST_S
            supervised.due = now + supervised.wait
            name, wait = supervised.child.name, supervised.wait
            self._say(f"{name} ended ({code}): {supervised.child.last_words()}; starting it again in {wait:.0f} s")
            supervised.wait = min(supervised.wait * 2, _BACKOFF_MOST_S)
        elif now >= supervised.due:
            supervised.due = None
            supervised.started = now
            supervised.child.start()

    def stop(self) -> None:
        """Stop everything in order: what produces, the worker, Kafka."""
        clear_state(self.settings.data_dir)
        for supervised in reversed(self._children):
            supervised.child.stop()
        self.kafka.stop()

    def _kill(self) -> None:
        for supervised in self._children:
            if supervised.child.process is not None:
                supervised.child.process.kill()
        self.kafka.kill()


@contextmanager
def supervised(settings: Settings, say: Say) -> Iterator[Supervisor]:
    """Hold the data directory and stop everything at the end, however it comes."""
    with locked(settings.data_dir):
        supervisor = Supervisor(settings, say)
        with supervisor.signals():
            try:
                yield supervisor
            finally:
                say("stopping ...")
                supervisor.stop()


def is_configured(data_dir: Path) -> bool:
    """Return whether a data directory holds settings, a catalogue or values of its own."""
    return any((data_dir / name).exists() for name in ("csf.yaml", "catalogue", "kpis.db"))
