"""Names, numbers that are none, threads and reopening: what every KPI store keeps to whatever it is given."""

import threading

import msgspec
import pytest

from pipeline.errors import StoreRejected
from pipeline.values import Exits
from tests.stores.conftest import NOW
from tests.stores.samples import (
    DAY,
    HOSTILE,
    MAY,
    live_value,
    period_value,
    revision,
    status,
)


class TestNames:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_odd_names_are_data_everywhere(self, store, text):
        value = period_value(scope=text, kpi=text, csf=text, unit=text, reason=text)
        live = live_value(NOW, scope=text, kpi=text, csf=text, unit=text, reason=text)
        plain = period_value()
        store.write_values([value, live, plain])
        assert store.periods(period="month", kpis=[text], scopes=[text]) == [value]
        assert store.live(window="1h", kpis=[text], scopes=[text]) == [live]
        assert store.scopes() == sorted([text, "org"])
        gone = msgspec.structs.replace(value, value=None)
        store.write_values([gone])
        assert store.periods(period="month") == sorted([gone, plain], key=lambda v: (v.kpi, v.scope))
        old = revision(1, scope=text, kpi=text, reason=text)
        store.write_revisions([old])
        assert store.revisions(period="month", kpi=text) == [old]
        seen = status(scope=text, csf=text, worst_service=text)
        store.write_statuses([seen])
        assert store.statuses(period="month", scopes=[text]) == [seen]
        counts = Exits(topic=text, partition=1, reasons={text: 1})
        store.write_exits([counts])
        assert store.exits() == [counts]

    def test_asking_for_what_cannot_be_a_name_finds_nothing(self, store):
        store.write_values([period_value()])
        for text in HOSTILE:
            assert store.periods(period=text) == []
            assert store.live(window=text, scopes=[text]) == []
            assert store.statuses(period=text) == []
            assert store.revisions(period=text, kpi=text) == []

    def test_a_lone_surrogate_is_refused_in_a_sentence(self, store):
        with pytest.raises(StoreRejected, match="surrogate"):
            store.write_values([period_value(reason="broken \ud800")])
        store.write_values([period_value()])
        assert store.periods(period="month") == [period_value()]

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
    def test_numbers_that_are_none_are_refused_and_named(self, store, number):
        with pytest.raises(StoreRejected, match="mttr of org for month from 1462060800: score is"):
            store.write_values([period_value(kpi="csat"), period_value(score=number)])
        with pytest.raises(StoreRejected, match="known_weight"):
            store.write_statuses([status(known_weight=number)])
        with pytest.raises(StoreRejected, match="replaced_by"):
            store.write_revisions([revision(1, replaced_by=number)])
        with pytest.raises(StoreRejected, match="clock"):
            store.write_exits([Exits(topic="t", partition=0, clock=number)])
        assert store.periods(period="month") == []


class TestLifetime:
    def test_reopened_it_has_everything(self, open_store):
        first = open_store()
        first.write_values([period_value(), live_value(NOW)])
        first.write_statuses([status()])
        first.write_revisions([revision(1)])
        first.close()
        again = open_store()
        assert again.periods(period="month") == [period_value()]
        assert again.live(window="1h") == [live_value(NOW)]
        assert again.statuses(period="month") == [status()]
        assert again.revisions(period="month") == [revision(1)]
        assert again.scopes() == ["org"]

    def test_threads_read_while_one_writes(self, store):
        values = [period_value(period="day", kpi=f"k{i:02}", start=MAY, end=MAY + DAY, count=0) for i in range(50)]
        store.write_values(values)
        done = threading.Event()
        odd: list[object] = []

        def read() -> None:
            while not done.is_set():
                try:
                    found = store.periods(period="day")
                except Exception as error:
                    odd.append(error)
                    return
                if [v.kpi for v in found] != [v.kpi for v in values]:
                    odd.append(found)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        try:
            for number in range(1, 21):
                for value in values:
                    value.count, value.value = number, float(number)
                store.write_values(values)
        finally:
            done.set()
            for reader in readers:
                reader.join()
        assert odd == []
        assert store.periods(period="day") == values

    def test_check_says_what_and_where(self, store):
        assert "schema" in store.check() or "csf" in store.check()
