"""The worker: the Faust app made by a factory, its services, and the process that runs them."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import ssl
import tempfile
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import faust
from faust.exceptions import ConsistencyError
from faust.types import TP
from faust.types.auth import AuthProtocol, SASLMechanism

from agents import closing, ticker
from agents.alerting import AlertAgent
from agents.archive import Archive
from agents.config import KafkaSecurity, WorkerConfig
from agents.context import EXIT_FAILED, SOURCE_TOPICS, Context
from agents.fence import Pulse
from agents.http import HttpServer
from agents.ingest import IngestAgent
from agents.membership import Membership
from agents.metrics import Metrics
from agents.reach import refuse_holes
from agents.rollup import RollupAgent
from agents.tables import StateTable
from agents.topics import changelog_topic, client_settings, ensure_topics, topic_id, topic_specs
from agents.transport import BATCH_RECORDS, SCHEME
from agents.watchdog import LoopDog, Watchdog
from pipeline.errors import ConfigError, CsfError
from pipeline.events.families import EVENT_TOPICS
from pipeline.topics import ALERT_INPUTS, PARTIALS

_log = logging.getLogger(__name__)

_STOP_S = 12.0
_GRACE_S = 6.0
#: Batches that wait in front of an agent.
_BUFFERED = 16
_DAY_S = 86_400.0
#: How old the copy of the state on this machine may be.
_COPY_EVERY_S = 5.0


def create_app(config: WorkerConfig, pulse: Pulse) -> Context:
    """Return a worker's context with its Faust app, not started; the caller attaches the agents.

    Raises:
        ConfigError: a certificate file cannot be read.
    """
    security = config.security
    app = faust.App(
        config.group,
        broker=[f"{SCHEME}://{address.strip()}" for address in config.bootstrap.split(",")],
        store="memory://",
        autodiscover=False,
        web_enabled=False,
        datadir=os.path.join(tempfile.gettempdir(), f"csf-{os.getpid()}"),
        processing_guarantee="at_least_once",
        topic_disable_leader=True,
        topic_allow_declare=False,
        topic_partitions=config.partitions,
        table_standby_replicas=0,
        stream_wait_empty=False,
        stream_buffer_maxsize=_BUFFERED,
        stream_recovery_delay=0.0,
        # the watchdog judges progress; Faust's own complaints and the broker's patience come after it
        stream_processing_timeout=_DAY_S,
        broker_max_poll_interval=_DAY_S,
        broker_commit_livelock_soft_timeout=_DAY_S,
        broker_max_poll_records=BATCH_RECORDS,
        broker_commit_interval=1.0,
        broker_session_timeout=config.session_timeout_s,
        # a member hears of a rebalance at its next heartbeat: the others wait for it so long
        broker_heartbeat_interval=min(1.0, config.session_timeout_s / 4),
        broker_request_timeout=max(30.0, 2 * config.session_timeout_s),
        broker_credentials=_credentials(security),
        consumer_max_fetch_size=config.fetch_bytes,
        consumer_auto_offset_reset="earliest",
        producer_max_request_size=8 * 2**20,
        producer_max_batch_size=2**20,
        producer_linger=0.0,
        producer_request_timeout=120.0,
    )
    metrics = Metrics()
    table = StateTable(
        app, group=config.group, partitions=config.partitions, pulse=pulse, timed=metrics.flush_seconds.observe
    )
    app.tables.add(table)
    ctx = Context(config, config.engines.plan(config.catalogue), app, table, pulse, metrics)

    async def revoked(_app: Any, revoked: set[TP], **_: Any) -> None:
        if ctx.finish is not None:
            await ctx.finish()
        await table.revoke()
        ctx.forget_assignment()
        ctx.metrics.rebalances.inc()

    app.on_partitions_revoked.connect(revoked, weak=False)
    return ctx


def _credentials(security: KafkaSecurity) -> faust.Credentials | None:
    if security.protocol == "PLAINTEXT":
        return None
    context = None
    if security.protocol.endswith("SSL"):
        try:
            context = ssl.create_default_context(cafile=security.ca_file)
            if security.cert_file is not None:
                context.load_cert_chain(security.cert_file, security.key_file)
        except (OSError, ssl.SSLError) as e:
            raise ConfigError(f"security: a certificate file cannot be read: {e}") from None
    if security.protocol == "SSL":
        return faust.SSLCredentials(context)
    credentials = faust.SASLCredentials(
        mechanism=SASLMechanism(security.mechanism),
        username=security.username,
        password=security.password,
        ssl_context=context,
    )
    credentials.protocol = AuthProtocol(security.protocol)
    return credentials


class Worker:
    """One worker: app, agents, services and web server."""

    def __init__(self, config: WorkerConfig, pulse: Pulse, archive: Archive | None, membership: Membership) -> None:
        self.ctx = create_app(config, pulse)
        self._membership = membership
        self.ingest = IngestAgent(self.ctx, archive)
        self.rollup = RollupAgent(self.ctx)
        self.alerting = AlertAgent(self.ctx)
        self.watchdog = Watchdog(self.ctx)
        self.http = HttpServer(self.ctx, self.watchdog)
        app = self.ctx.app
        self.ctx.table.prepare = self._prepare
        self.ctx.finish = self._finish

        async def released(_app: Any, revoked: set[TP], **_: Any) -> None:
            await self.ingest.release()

        async def assigned(_app: Any, assigned: set[TP], **_: Any) -> None:
            _log.info("partitions assigned: %s", len(assigned))
            membership.remember(app.consumer.member_id)

        app.on_partitions_revoked.connect(released, weak=False)
        app.on_partitions_assigned.connect(assigned, weak=False)
        raw = {"key_serializer": "raw", "value_serializer": "raw", "partitions": config.partitions}
        app.agent(app.topic(*EVENT_TOPICS, **raw), name="csf.ingest")(self.ingest.run)
        app.agent(app.topic(PARTIALS, **raw), name="csf.rollup")(self.rollup.run)
        app.agent(app.topic(ALERT_INPUTS, **raw), name="csf.alerting")(self.alerting.run)
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> int:
        """Run until told to stop or until something ends it; return the exit code."""
        ctx = self.ctx
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ctx.ended.set)
        await self.http.start()
        _log.info("serving http://%s:%s", ctx.config.http_host, self.http.port)
        try:
            self._spawn("Kafka client", self._serve())
            self._spawn("value writer", self.rollup.write_values())
            self._spawn("alerting", self.alerting.work())
            self._spawn("ticker", ticker.run(ctx))
            self._spawn("copy of the state", self._copy_state())
            self._spawn("watchdog", self.watchdog.run())
            self._spawn("heart", LoopDog(ctx.config.stall_s).beat())
            if ctx.config.close_months:
                self._spawn("month closing", closing.run(ctx))
            await ctx.ended.wait()
        finally:
            await self._stop()
        return ctx.exit_code

    async def _prepare(self) -> None:
        """Bring the recovered state into the engines before anything is served; state that has a hole ends the worker."""
        ctx = self.ctx
        epoch, assigned = ctx.table.epoch, sorted(ctx.assigned())
        try:
            await refuse_holes(ctx, assigned)
            for tp in assigned:
                if epoch != ctx.table.epoch:
                    return
                if tp.topic == PARTIALS:
                    self.rollup.partition(tp.partition)
                elif tp.topic == ALERT_INPUTS:
                    self.alerting.engine(tp.partition)
                else:
                    self.ingest.engine(tp.topic, tp.partition)
                await asyncio.sleep(0)  # a large state takes seconds: others have their turn in between
        except CsfError as e:
            await ctx.halt(str(e))
        except Exception as e:
            _log.exception("preparing failed")
            await ctx.halt(f"the recovered state cannot be taken up: {e!r}")

    async def _finish(self) -> None:
        """Flush what waits, and begin nothing new: the partitions are about to be given away."""
        await asyncio.gather(self.ingest.finish(), self.rollup.finish(), self.alerting.finish())

    async def _copy_state(self) -> None:
        """Keep the copy of the state on this machine a few seconds old."""
        while True:
            await asyncio.sleep(_COPY_EVERY_S)
            await self.ctx.table.copy()

    async def _serve(self) -> None:
        """Start the Faust app and wait for it to crash."""
        app = self.ctx.app
        app.finalize()
        await app.start()
        await app._crashed.wait()
        if isinstance(app.crash_reason, ConsistencyError) and self.ctx.table.copies.file is not None:
            self.ctx.table.copies.file.discard("the changelog ends before it")
        raise RuntimeError(f"{app.crash_reason!r}")

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except asyncio.CancelledError:
                raise
            except CsfError as e:
                self.ctx.fatal(str(e))
            except Exception as e:
                if not self.ctx.ended.is_set():
                    _log.exception("%s failed", name)
                self.ctx.fatal(f"the worker's {name} failed: {e!r}")

        self._tasks.append(asyncio.create_task(guarded(), name=name))

    async def _stop(self) -> None:
        """Stop in order: no new flushes, services, Kafka, store, archive, address."""
        _end_soon(self.ctx.exit_code)
        await self.alerting.finish()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ctx.table.revoke(), _STOP_S / 2)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(Exception):  # what is not committed is read again, and skipped
            await asyncio.wait_for(self.ctx.app.consumer.commit(), _STOP_S / 4)
        with suppress(Exception):
            await asyncio.wait_for(self.ctx.app.stop(), _STOP_S)
            self._membership.forget()
        await self.rollup.close()
        await self.alerting.close()
        await self.ingest.release()
        await self.http.stop()


def run_worker(config: WorkerConfig) -> int:
    """Run a worker in this process until SIGTERM or SIGINT (0) or a fatal error (not 0).

    Raises:
        ConfigError: the settings do not fit this machine or the topics that exist.
        ServiceUnavailable: the broker does not answer at the start.
    """
    ensure_topics(
        config.bootstrap,
        topic_specs(group=config.group, partitions=config.partitions),
        replication=config.replication,
        settings=client_settings(config.security),
    )
    membership = Membership(config.data_dir, config.group)
    settings = client_settings(config.security)
    membership.succeed(config.bootstrap, settings)
    checkpoint = membership.checkpoint(topic_id(config.bootstrap, changelog_topic(config.group), settings))
    _collect_rarely()
    archive = Archive(config.archive_dir, config.archive_max_bytes) if config.archive_dir is not None else None
    pulse = Pulse(config.session_timeout_s)
    result: list[int] = []

    async def main() -> None:
        worker = Worker(config, pulse, archive, membership)
        worker.ctx.table.copies.file = checkpoint
        result.append(await worker.run())

    try:
        asyncio.run(main())
    finally:
        if checkpoint is not None:
            checkpoint.close()
        pulse.close()
        membership.close()
    return result[0] if result else EXIT_FAILED


def _collect_rarely() -> None:
    """Let the garbage collector look at what is young, and seldom at all state.

    A worker's state is millions of small objects without cycles (``tests/core/test_freed.py``): going through all of
    them again and again took a quarter of its time (docs/benchmarks.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)


def _end_soon(code: int) -> None:
    """End the process though a thread of the Kafka client or of the store may not: nothing is begun any more."""
    timer = threading.Timer(_STOP_S + _GRACE_S, os._exit, (code,))
    timer.daemon = True
    timer.start()


__all__ = ["SOURCE_TOPICS", "Worker", "create_app", "run_worker"]
