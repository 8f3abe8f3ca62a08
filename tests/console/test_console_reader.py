"""Answers of the store that viewers share: never older than asked for, or, where that will do, one look late."""

import asyncio
import threading

from agents.console.reader import StoreReader


def test_a_patient_question_gets_the_older_answer_while_a_newer_one_is_read():
    now = [0.0]
    reading, answered = threading.Event(), threading.Event()
    answered.set()
    reads = []

    def question(_store):
        reads.append(len(reads))
        reading.set()
        assert answered.wait(30)
        return reads[-1]

    class Store:
        def close(self):
            pass

    async def work():
        reader = StoreReader(Store, clock=lambda: now[0])
        assert await reader.shared("k", 1.0, question, patient=True) == 0
        now[0] = 2.0
        answered.clear()
        reading.clear()
        assert await reader.shared("k", 1.0, question, patient=True) == 0
        await asyncio.to_thread(reading.wait, 30)
        assert await reader.shared("k", 1.0, question, patient=True) == 0
        waiting = asyncio.ensure_future(reader.shared("k", 1.0, question))
        answered.set()
        assert await waiting == 1
        assert await reader.shared("k", 1.0, question, patient=True) == 1
        await reader.close()

    asyncio.run(work())
    assert reads == [0, 1]
