"""Dead letters: one function writes those of bad events and of our own faults, and ``csf dead-letters`` sends back every form."""

import json
from base64 import b64encode
from types import SimpleNamespace

import pytest

from agents.letters import letter_of
from agents.transport import Batch
from cli.deadletters import _letter, _shown, replayable
from pipeline.engine.letters import DEAD_LETTER_BYTES, dead_letter
from pipeline.errors import InvalidEvent

USAGE = "csf.events.usage"
ARRIVAL_MS = 1_700_000_000_000
#: a text, bytes that are none, and what its letter cannot hold whole
EVENTS = {"text": '{"path": "/ü"}'.encode(), "bytes": b"\xff\xfe\x00", "long": b"x" * (DEAD_LETTER_BYTES + 1)}


def listed(written):
    """Return a letter as ``csf dead-letters list`` has it."""
    key, value = written
    return _letter(SimpleNamespace(key=key, value=value, partition=0, offset=1))


def written_as_before(form, raw):
    """Return the letter of an event as the agents (``fault``) and the engine (``bad``) wrote it before one function did."""
    letter = {"detail": "d", "topic": USAGE, "partition": 3, "offset": 7, "index": 0, "size": len(raw)}
    kept = raw[:DEAD_LETTER_BYTES]
    if form == "fault":
        letter |= {"reason": "internal-error", "arrival_ms": ARRIVAL_MS, "event_base64": b64encode(kept).decode()}
    else:
        letter |= {"reason": "bad-data", "time": "2023-11-14T22:13:20+00:00", "sha256": "0" * 64}
        try:
            letter["event"] = kept.decode()
        except UnicodeDecodeError:
            letter["event_base64"] = b64encode(kept).decode()
    return f"{USAGE}|3|7|0".encode(), json.dumps(letter).encode()


def written_now(form, raw):
    if form == "fault":
        record = (7, ARRIVAL_MS, raw)
        return letter_of(Batch(USAGE, 3, 7, ARRIVAL_MS, [record], None), record, ValueError("odd"))
    return dead_letter(InvalidEvent("bad-data", "d"), USAGE, 3, (7, 0), ARRIVAL_MS, raw)


@pytest.mark.parametrize("write", [written_as_before, written_now])
@pytest.mark.parametrize("form", ["bad", "fault"])
@pytest.mark.parametrize("raw", EVENTS.values(), ids=EVENTS)
def test_an_event_comes_back_from_its_letter_as_it_was_where_the_letter_holds_it_whole(write, form, raw):
    found = replayable(listed(write(form, raw)))
    assert found == ((USAGE, 3, raw) if len(raw) <= DEAD_LETTER_BYTES else None)


def test_the_letter_of_a_fault_says_when_and_what():
    letter = _shown(listed(written_now("fault", EVENTS["text"])))
    assert letter["key"] == f"{USAGE}|3|7|0"
    assert (letter["reason"], letter["detail"]) == ("internal-error", "ValueError: odd")
    assert (letter["time"], letter["event"]) == ("2023-11-14T22:13:20+00:00", '{"path": "/ü"}')
