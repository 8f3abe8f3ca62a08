"""A running instance on a data directory: the one that runs already, or one started for a while."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

import psutil

from agents.topics import ensure_topics, topic_specs
from cli.embedded.catching_up import CatchingUp
from cli.embedded.jars import Say
from cli.embedded.kafka import EmbeddedKafka, free_port, port_taken
from cli.reaching import check_kafka
from cli.settings import Settings
from pipeline.errors import ConfigError, ServiceUnavailable

_READY_S = 90.0
_STOP_S = 25.0


@dataclass(frozen=True)
class State:
    """What a running instance wrote about itself into its data directory."""

    pid: int
    started: float
    bootstrap: str
    http: str
    worker: bool


def _state_file(data_dir: Path) -> Path:
    return data_dir / "state.json"


def write_state(data_dir: Path, bootstrap: str, http: str, *, worker: bool) -> None:
    """Tell other commands where this instance is to be found."""
    me = psutil.Process()
    state = {"pid": me.pid, "started": me.create_time(), "bootstrap": bootstrap, "http": http, "worker": worker}
    path = _state_file(data_dir)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(state))
    fresh.replace(path)


def clear_state(data_dir: Path) -> None:
    """Tell other commands that nothing runs here any more."""
    _state_file(data_dir).unlink(missing_ok=True)


def read_state(data_dir: Path) -> State | None:
    """Return the instance that runs on a data directory, None where none does (a stale file counts as none)."""
    try:
        state = State(**json.loads(_state_file(data_dir).read_text()))
        alive = psutil.Process(state.pid)
        if abs(alive.create_time() - state.started) > 1:
            return None
    except (OSError, ValueError, TypeError, psutil.Error):
        return None
    return state


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold a data directory for one instance.

    Raises:
        ConfigError: another instance holds it, or it cannot be written.
    """
    lock: IO[str] | None = None
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        state = read_state(data_dir)
        where = f" (process {state.pid}, {state.http})" if state else ""
        raise ConfigError(f"csf already runs on {data_dir}{where}: stop it first, or use another --data-dir") from None
    except OSError as e:
        raise ConfigError(f"{data_dir} cannot be used: {e.strerror}; name another with --data-dir") from None
    try:
        yield
    finally:
        lock.close()


def kept_port(data_dir: Path, name: str, wanted: int) -> int:
    """Return a port: the wanted one, else the one kept for the data directory if free, else a free one."""
    if wanted:
        return wanted
    path = data_dir / f"{name}.port"
    try:
        kept = int(path.read_text())
    except (OSError, ValueError):
        kept = 0
    if not kept or port_taken(kept):
        kept = free_port()
        path.write_text(str(kept))
    return kept


def get_json(url: str, timeout: float = 5.0, token: str | None = None) -> Any:
    """Return the JSON at a local address.

    Raises:
        OSError: it does not answer, or not with success.
    """
    request = urllib.request.Request(url)  # noqa: S310 - always http:// of our own worker
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310 - likewise
            return json.load(answer)
    except HTTPException as e:
        raise ConnectionError(f"{url}: what answers there speaks no HTTP ({type(e).__name__})") from None


def trim_log(path: Path, most: int = 32 * 2**20) -> None:
    """Begin a log anew when it has grown very large; who writes it appends, and so goes on at its start."""
    try:
        if path.stat().st_size > most:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)
    except OSError:  # it is not there yet, or the disk is full: the next look tries again
        return


class Child:
    """A Python process of ours: its log kept in the data directory, ended with its parent."""

    def __init__(self, name: str, arguments: list[str], data_dir: Path, environment: dict[str, str]) -> None:
        self.name = name
        self._arguments = arguments
        self._environment = {**os.environ, **environment}
        self.log = data_dir / "logs" / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its log begins anew when it has grown large."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > 8 * 2**20:
            self.log.replace(self.log.with_suffix(".log.1"))
        command = [sys.executable, "-m", "cli.embedded.child", str(os.getpid()), sys.executable, "-m", "cli"]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [*command, *self._arguments], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                env=self._environment, start_new_session=True,
            )  # fmt: skip

    def ended(self) -> int | None:
        """Return the exit code if it ended."""
        return None if self.process is None else self.process.poll()

    def stop(self) -> None:
        """Stop it in order; after a while by force."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_words(self) -> str:
        """Return why it ended, as far as its log says: its last critical line, or its last line."""
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return "it said nothing"
        reasons = [line for line in lines[-200:] if " CRITICAL " in line]
        return [*lines, *reasons][-1] if lines else "it said nothing"


def worker_child(settings: Settings, bootstrap: str) -> Child:
    """Return the worker process of a data directory, not started."""
    environment = {
        "CSF_BOOTSTRAP": bootstrap,
        "CSF_DATA_DIR": str(settings.data_dir),
        "CSF_HTTP_HOST": settings.http_host,
        "CSF_HTTP_PORT": str(settings.http_port),
        "CSF_HTTP_NAMES": settings.http_names,
        "CSF_PARTITIONS": str(settings.partitions),
        "CSF_GROUP": settings.group,
        "CSF_DEMO": str(settings.demo).lower(),
        "CSF_TICK_S": str(settings.tick_s),
    }
    if settings.catalogue_dir:
        environment["CSF_CATALOGUE_DIR"] = str(settings.catalogue_dir)
    return Child("worker", ["worker"], settings.data_dir, environment)


@dataclass(frozen=True)
class Instance:
    """A broker and, if asked for, a worker: where they are."""

    settings: Settings
    bootstrap: str
    http: str
    children: tuple[Child, ...] = ()

    @property
    def kafka_settings(self) -> dict[str, Any]:
        """kafka-python's keyword arguments for the connection."""
        return self.settings.kafka_settings()

    def check_worker(self) -> None:
        """Check that something answers where the worker is: who waits for one that nobody started waits for nothing.

        Raises:
            ServiceUnavailable: nothing does.
        """
        try:
            get_json(f"{self.http}/readyz", token=self.settings.http_token)
        except (urllib.error.HTTPError, ValueError):  # it answers, if only that it is not ready
            return
        except OSError:
            raise ServiceUnavailable(
                f"no worker answers at {self.http}: start one (csf worker), or do not wait for it (--no-wait)"
            ) from None

    def await_ready(self, child: Child | None = None) -> None:
        """Wait until the worker serves.

        Raises:
            ServiceUnavailable: it ended or was not ready in time; the message quotes its log.
        """
        end = time.monotonic() + _READY_S
        while time.monotonic() < end:
            if child is not None and child.ended() is not None:
                raise ServiceUnavailable(f"the worker ended while starting: {child.last_words()} (see {child.log})")
            try:
                get_json(f"{self.http}/readyz", token=self.settings.http_token)
                return
            except (OSError, ValueError):
                time.sleep(0.1)
        raise ServiceUnavailable(f"the worker at {self.http} was not ready after {_READY_S:.0f} s; see its log")

    def wait_until_caught_up(
        self, timeout: float = 3600.0, progress: Callable[[int, int], None] = lambda _lag, _pending: None
    ) -> None:
        """Wait until everything produced until now is folded and the store holds the result.

        Args:
            timeout: seconds.
            progress: called with what is still to be folded and to be written.

        Raises:
            ServiceUnavailable: the worker does not answer, or the time is over.
        """
        end, catching_up = time.monotonic() + timeout, CatchingUp()
        failures = 0
        while time.monotonic() < end:
            try:
                said = get_json(f"{self.http}/api/v1/progress?fresh=1", token=self.settings.http_token)
                failures = 0
            except (OSError, ValueError) as e:
                failures += 1
                dead = next((c for c in self.children if c.ended() is not None), None)
                if dead is not None or failures > 60:
                    why = dead.last_words() if dead else str(e)
                    raise ServiceUnavailable(f"the worker at {self.http} does not answer: {why}") from None
                time.sleep(0.5)
                continue
            progress(int(said["lag"]), int(said["pending"]))
            if catching_up.done(said):
                return
            time.sleep(0.25)
        raise ServiceUnavailable(f"the worker at {self.http} did not catch up within {timeout:.0f} s")


@contextmanager
def running(settings: Settings, *, worker: bool, say: Say = lambda _text: None) -> Iterator[Instance]:
    """Attach to what runs on the data directory, or start what is needed and stop it at the end.

    With ``bootstrap`` set the brokers are somebody else's, and so are the workers: nothing is started.
    """
    if settings.bootstrap is not None:
        check_kafka(settings.bootstrap, settings.security())
        yield Instance(settings, settings.bootstrap, f"http://{settings.http_host}:{settings.http_port}")
        return
    state = read_state(settings.data_dir)
    if state is not None and (state.worker or not worker):
        yield Instance(settings, state.bootstrap, state.http)
        return
    with locked(settings.data_dir):
        kafka = EmbeddedKafka(settings.data_dir / "kafka", kept_port(settings.data_dir, "kafka", settings.kafka_port))
        settings = replace(settings, http_port=free_port())
        http = f"http://127.0.0.1:{settings.http_port}"
        children: list[Child] = []
        say("starting Kafka ...")
        try:
            kafka.start(say)
            make_topics(settings, kafka.bootstrap)
            if worker:
                say("starting the worker ...")
                children.append(worker_child(settings, kafka.bootstrap))
                children[0].start()
            instance = Instance(settings, kafka.bootstrap, http, tuple(children))
            if worker:
                instance.await_ready(children[0])
            write_state(settings.data_dir, kafka.bootstrap, http, worker=worker)
            yield instance
        finally:
            clear_state(settings.data_dir)
            for child in reversed(children):
                child.stop()
            kafka.stop()


def make_topics(settings: Settings, bootstrap: str) -> None:
    """Create the topics that do not exist yet."""
    specs = topic_specs(
        group=settings.group, partitions=settings.partitions, retention_hours=settings.retention_hours,
        retention_bytes=2 * 2**30 if settings.embedded else -1,
    )  # fmt: skip
    ensure_topics(bootstrap, specs, replication=settings.replication, settings=settings.kafka_settings())
