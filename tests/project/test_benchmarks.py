"""What the benchmark tells of ratios: only a fall of more than 15 % is worth a sentence."""

from benchmarks.run import FLOOR, PLAIN_LEAN, PLAIN_SESSIONS, SAME_WORK, WHOLE, fallen, ratios, table

RESULTS = {
    PLAIN_SESSIONS: {"events": 10, "seconds": 10.0, "cpu": 10.0},
    PLAIN_LEAN: {"events": 10, "seconds": 5.0, "cpu": 5.0},
    WHOLE: {"events": 600, "seconds": 20.0, "cpu": 20.0, "rss_mb": 400.0},
    FLOOR: {"events": 600, "seconds": 1.0, "cpu": 1.0},
    SAME_WORK: {"events": 600, "seconds": 2.5, "cpu": 2.0},
}


def test_ratios_are_of_cpu_time() -> None:
    assert ratios(RESULTS) == {"every KPI / plain Faust": 30.0, "the floor's figures / floor": 0.5}
    assert f"| {SAME_WORK} | 240 | 300 | 150.0 | 0.50 | - |" in table(RESULTS)


def test_a_fall_is_told_beyond_fifteen_percent() -> None:
    now = ratios(RESULTS)
    assert fallen(now, {"every KPI / plain Faust": 35.0, "another": 5.0}) == []
    (told,) = fallen(now, {"every KPI / plain Faust": 36.0})
    assert told == "SLOWER: every KPI / plain Faust is 30.00, 17% below the 36.00 recorded"
