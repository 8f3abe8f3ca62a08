"""InfluxDB that is away, killed, refuses, or was asked with too little permission."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.errors import ConfigError, StoreRejected, StoreUnavailable
from pipeline.stores.influx import InfluxStore
from pipeline.stores.influx_flux import instant, literal
from pipeline.stores.influx_http import retry_after_s
from pipeline.stores.influx_lines import armour, unarmour
from tests.services.influx import Influx
from tests.services.processes import free_port
from tests.stores.conftest import NOW
from tests.stores.samples import DAY, MAY, live_value, period_value, status


def opened(server: Influx, name: str, token: str | None = None, **options) -> InfluxStore:
    return InfluxStore(
        server.url, token or server.token, server.org, f"live_{name}", f"history_{name}", timeout_s=5, **options
    )


class TestWithoutServer:
    def test_a_server_that_is_away_is_unavailable_at_once(self):
        port = free_port()
        store = InfluxStore(f"http://127.0.0.1:{port}", "t", "csf", timeout_s=3)
        started = time.monotonic()
        for call in (
            lambda: store.write_values([period_value()]),
            lambda: store.write_statuses([status()]),
            lambda: store.periods(period="month"),
            store.check,
            store.scopes,
            store.setup_buckets,
        ):
            with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port} does not answer"):
                call()
        assert time.monotonic() - started < 3
        store.close()

    def test_a_server_that_hangs_is_unavailable_after_the_timeout(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            store = InfluxStore(f"http://127.0.0.1:{port}", "t", "csf", timeout_s=0.5, query_timeout_s=0.5)
            started = time.monotonic()
            with pytest.raises(StoreUnavailable, match="does not answer"):
                store.write_values([period_value()])
            with pytest.raises(StoreUnavailable, match="does not answer"):
                store.live(window="1h")
            assert time.monotonic() - started < 3
            store.close()

    @pytest.mark.parametrize("url", ["127.0.0.1:8086", "ftp://x", ""])
    def test_an_address_that_is_none_is_a_mistake_of_configuration(self, url):
        with pytest.raises(ConfigError, match="is not a URL"):
            InfluxStore(url, "t", "csf")


class Scripted:
    """A server that answers what it is told, to see what only an overloaded InfluxDB says."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked = 0
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                script.asked += 1
                code, headers, body = script.answers.pop(0)
                self.send_response(code)
                for name, content in headers.items():
                    self.send_header(name, content)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.close()


class TestOverload:
    @pytest.mark.parametrize(
        ("code", "headers", "wait"),
        [
            (429, {"Retry-After": "7"}, 7.0),
            (503, {"Retry-After": "0.5"}, 0.5),
            (503, {}, None),
            (500, {"Retry-After": "soon"}, None),
            (504, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ],
    )
    def test_the_server_says_how_long_to_wait_and_nobody_tries_again_meanwhile(self, scripted, code, headers, wait):
        scripted.answers = [(code, headers, b'{"message": "too much"}')]
        store = InfluxStore(scripted.url, "t", "csf")
        with pytest.raises(StoreUnavailable, match=f"{code}: too much") as caught:
            store.write_values([period_value()])
        assert caught.value.retry_after_s == wait
        assert scripted.asked == 1
        store.close()

    def test_an_error_in_the_middle_of_an_answer_is_not_a_short_answer(self, scripted):
        body = b"\r\n,error,reference\r\n,out of memory,123\r\n"
        scripted.answers = [(200, {"Content-Type": "text/csv"}, body)]
        store = InfluxStore(scripted.url, "t", "csf")
        with pytest.raises(StoreUnavailable, match="broke off a query: out of memory"):
            store.periods(period="month")
        store.close()

    def test_a_date_to_retry_after_is_understood(self):
        assert retry_after_s("Fri, 01 Jan 2100 00:00:00 GMT") > 10**8
        assert retry_after_s(None) is None


class TestText:
    @pytest.mark.parametrize("mark", ["%", "\\"])
    def test_armour_is_undone(self, mark):
        for text in ("", "%", "\\", "%0041", "\\0041", "a\n\r\x00\x7f\u2028b", "100 % \\ done", "🙂"):
            assert unarmour(armour(text, mark), mark) == text
            assert not {"\n", "\r", "\x00"} & set(armour(text, mark))

    def test_no_text_can_end_or_interpolate_a_flux_literal(self):
        every = "".join(map(chr, range(0x250))) + "${r}\u2028🙂\ud800"
        inside = literal(every)[1:-1]
        assert '"' not in inside
        assert "$" not in inside
        assert inside.isascii()
        assert inside.isprintable()

    def test_times_beyond_what_influxdb_holds_are_brought_to_its_edge(self):
        assert instant(-(10**15)).startswith("1678")
        assert instant(10**15).startswith("226")


@pytest.mark.services
class TestRefusals:
    def test_a_wrong_token(self, influx):
        opened(influx, "tok").setup_buckets()
        store = opened(influx, "tok", token="not-a-token-7f3")
        for call in (lambda: store.write_values([period_value()]), lambda: store.periods(period="month"), store.check):
            with pytest.raises(StoreRejected, match="does not know the token") as caught:
                call()
            assert "not-a-token-7f3" not in str(caught.value)

    def test_a_token_that_may_not_write_names_the_permission_and_the_bucket(self, influx):
        opened(influx, "perm").setup_buckets()
        token = influx.limited_token([("read", "live_perm"), ("read", "history_perm"), ("write", "live_perm")])
        store = opened(influx, "perm", token=token)
        store.write_values([live_value(NOW)])
        assert store.live(window="1h") == [live_value(NOW)]
        with pytest.raises(StoreRejected, match=r"may not write to bucket history_perm .*give it that permission"):
            store.write_values([period_value()])
        with pytest.raises(StoreRejected, match="history_perm"):
            store.check()

    def test_a_token_that_may_not_read_names_the_bucket(self, influx):
        opened(influx, "wonly").setup_buckets()
        token = influx.limited_token([("write", "live_wonly"), ("write", "history_wonly")])
        store = opened(influx, "wonly", token=token)
        store.write_values([period_value()])
        with pytest.raises(StoreRejected, match="read bucket history_wonly"):
            store.periods(period="month")

    def test_a_missing_bucket_and_a_missing_organisation(self, influx):
        with pytest.raises(StoreRejected, match=r"write to bucket history_none .*404.*create what is missing"):
            opened(influx, "none").write_values([period_value()])
        with pytest.raises(StoreRejected, match=r"organization name"):
            InfluxStore(influx.url, influx.token, "nobody").write_values([period_value()])

    def test_buckets_are_made_once_with_their_retention(self, influx):
        store = opened(influx, "made")
        store.setup_buckets()
        store.setup_buckets()
        assert influx.bucket("live_made")["retentionRules"][0]["everySeconds"] == 45 * DAY
        assert [rule["everySeconds"] for rule in influx.bucket("history_made")["retentionRules"]] in ([], [0])
        assert "live_made and history_made" in store.check()

    def test_one_bad_point_is_named_and_all_others_are_written(self, influx):
        store = opened(influx, "clash")
        store.setup_buckets()
        # Somebody else wrote integers, which gives the field its type for that week.
        values = [
            period_value(period="day", kpi=f"k{i:03}", start=MAY + i * DAY, end=MAY + (i + 1) * DAY) for i in range(200)
        ]
        values.append(period_value(period="day", kpi="clash", start=MAY - 90 * DAY, end=MAY - 89 * DAY))
        influx.write("history_clash", f"kpi_period,kpi=other count=1i {MAY - 90 * DAY}")
        with pytest.raises(StoreRejected, match=r"kpi=clash.* at 1454284800: .*field type conflict") as caught:
            store.write_values(values)
        assert "refuses 1 of 201 points" in str(caught.value)
        written = influx.flux(
            'from(bucket: "history_clash") |> range(start: 2015-01-01T00:00:00Z)'
            ' |> filter(fn: (r) => r._field == "value") |> group() |> count()'
        )
        assert written.split()[-1].endswith(",200")
        with pytest.raises(StoreRejected, match=r"bucket history_clash .* did not write so"):
            store.periods(period="day")

    def test_points_that_the_bucket_is_too_short_for_are_counted(self, influx):
        short = opened(influx, "short", live_retention_s=3 * DAY)
        short.setup_buckets()
        store = opened(influx, "short")
        values = [live_value(NOW - hours * 3600) for hours in range(0, 24 * 10, 6)]
        store.write_values(values)
        kept = store.live(window="1h", end_from=0)
        assert store.skipped_old == len(values) - len(kept)
        # InfluxDB drops by shards of one day: up to a day more than three is taken, by the hour of the day.
        assert 3 * 4 - 1 <= len(kept) <= 4 * 4 + 1
        assert kept == values[: len(kept)][::-1]


@pytest.mark.services
class TestCrash:
    def test_killed_in_the_middle_of_writes_nothing_is_lost_or_doubled(self, tmp_path):
        server = Influx(tmp_path / "influx")
        try:
            store = InfluxStore(server.url, server.token, server.org, timeout_s=5)
            store.setup_buckets()
            batches = [
                [
                    period_value(
                        period="hour",
                        kpi=f"k{i:02}",
                        start=MAY + hour * 3600,
                        end=MAY + (hour + 1) * 3600,
                        value=hour + i,
                    )
                    for i in range(50)
                ]
                for hour in range(120)
            ]
            done = 0
            kills = 0
            killer = threading.Timer(0.15, server.server.kill)
            killer.start()
            while done < len(batches):
                try:
                    store.write_values(batches[done])
                    done += 1
                except StoreUnavailable:
                    killer.join()
                    kills += 1
                    server.server.start()
                    if kills < 3:
                        killer = threading.Timer(0.1, server.server.kill)
                        killer.start()
            killer.join()
            if kills < 3:
                server.server.start()
            assert kills > 0
            expected = sorted((v for batch in batches for v in batch), key=lambda v: (v.start, v.kpi))
            found = store.periods(period="hour")
            for value in expected:
                value.value = float(value.value)
            assert found == expected
            store.close()
        finally:
            server.server.stop()

    def test_what_was_acknowledged_survives_a_kill_right_after(self, tmp_path):
        server = Influx(tmp_path / "influx")
        try:
            store = InfluxStore(server.url, server.token, server.org)
            store.setup_buckets()
            store.write_values([period_value()])
            store.write_values([period_value(value=None)])
            server.server.kill()
            with pytest.raises(StoreUnavailable):
                store.check()
            server.server.start()
            assert store.periods(period="month") == [period_value(value=None)]
            assert json.loads(json.dumps(store.check())).startswith("InfluxDB")
            store.close()
        finally:
            server.server.stop()


@pytest.mark.services
class TestDatabases:
    def test_both_buckets_are_mapped_once_and_answer_influxql(self, influx):
        store = opened(influx, "dbrp")
        store.setup_buckets()
        assert store.map_databases() == ["live_dbrp", "history_dbrp"]
        assert store.map_databases() == []
        made = influx.api(f"/api/v2/dbrps?org={influx.org}&db=live_dbrp")["content"]
        assert [(m["retention_policy"], m["default"], m["bucketID"]) for m in made if not m.get("virtual")] == [
            ("autogen", True, influx.bucket("live_dbrp")["id"])
        ]

    def test_a_missing_bucket_is_named(self, influx):
        with pytest.raises(StoreRejected, match="no bucket live_nobucket"):
            opened(influx, "nobucket").map_databases()

    def test_the_workers_token_may_map_one_that_may_only_read_is_told_what_it_lacks(self, influx):
        opened(influx, "dbrp2").setup_buckets()
        both = ("live_dbrp2", "history_dbrp2")
        reading = influx.limited_token([("read", bucket) for bucket in both])
        with pytest.raises(StoreRejected, match="map a database to bucket live_dbrp2"):
            opened(influx, "dbrp2", token=reading).map_databases()
        token = influx.limited_token([(action, bucket) for bucket in both for action in ("read", "write")])
        assert opened(influx, "dbrp2", token=token).map_databases() == list(both)
