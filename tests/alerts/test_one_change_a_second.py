"""An alert changes at most once a second, so that its changes have an order in every store, which keeps seconds."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.alerts.samples import DELAY, T0, World, catalogue

NOW = replace(DELAY, hold="0s")
FIRES, OVER = 200, 10


def states(w: World) -> list[tuple[int, str]]:
    w.deliver()
    return [(change.at - T0, change.state) for change in w.changes.values()]


def test_what_is_over_within_the_second_in_which_it_fired_is_over_in_the_next() -> None:
    w = World(catalogue(NOW))
    w.tell("delay", FIRES, T0)
    w.tell("delay", OVER, T0)
    assert states(w) == [(0, "firing")]
    w.clock(T0 + 1)
    assert states(w) == [(0, "firing"), (1, "resolved")]


def test_what_fires_again_within_the_second_in_which_it_was_over_fires_in_the_next() -> None:
    w = World(catalogue(NOW))
    w.tell("delay", FIRES, T0)
    w.tell("delay", OVER, T0 + 5)
    w.tell("delay", FIRES, T0 + 5)
    w.clock(T0 + 6)
    assert states(w) == [(0, "firing"), (5, "resolved"), (6, "firing")]


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([FIRES, OVER])), max_size=12))
def test_raise_and_clear_never_share_a_second(told: list[tuple[int, int]]) -> None:
    w = World(catalogue(NOW))
    for at, number in sorted(told, key=lambda t: t[0]):
        w.tell("delay", number, T0 + at)
    w.clock(T0 + 9)
    found = states(w)
    assert len({at for at, _ in found}) == len(found)
    assert [state for _, state in found] == ["firing", "resolved"] * (len(found) // 2) + ["firing"] * (len(found) % 2)
    last = max(told, key=lambda t: t[0])[0] if told else 0
    values = [number for at, number in told if at == last]
    assert (bool(found) and found[-1][1] == "firing") == (bool(values) and values[-1] == FIRES)
