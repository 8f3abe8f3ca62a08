"""A bad week gives exactly the expected notifications by every channel, whatever dies in the middle."""

import random

from tests.alerts.week import BREACH, CHANNELS, MENDED, OUTAGE, RELEASE, SILENCE, Week, minutes

SHOP, MAIL = "service:shop", "service:mail"
#: what is looked at each hour only (the slump) is told by the hour
EXPECTED = [
    ("Tue 10:01", "raise", "burn_fast", SHOP),  # a minute of an hour is 17 times what 99.9 % allows
    ("Tue 10:03", "raise", "down", SHOP),  # half of five minutes, and a minute longer
    ("Tue 10:44", "clear", "burn_fast", SHOP),  # five good minutes
    ("Tue 10:44", "clear", "down", SHOP),
    ("Wed 14:00", "raise", "release", "org"),  # 2 of 5 changes
    ("Wed 16:30", "clear", "release", "org"),  # 7 of 10
    ("Thu 02:00", "raise", "breach", "org"),
    ("Fri 02:00", "clear", "breach", "org"),  # a day without another, and the source says so
    ("Fri 10:00", "raise", "slump", "org"),
    ("Sat 08:08", "raise", "silent", MAIL),  # more than half of five minutes, and the 259 s that the budget allows
    ("Sat 10:00", "clear", "slump", "org"),
    ("Sat 11:02", "clear", "silent", MAIL),
]  # crm is down in planned maintenance on Sunday: nobody hears of it, then or when it ends


def test_every_channel_is_told_of_each_trouble_once_and_of_its_end():
    told = Week().play()
    assert told == dict.fromkeys(CHANNELS, EXPECTED)


def test_the_same_week_with_deaths_of_everything_in_the_middle():
    at = sorted(minutes())
    troubles = {
        m for m in at if any(abs((m - t).total_seconds()) <= 240 for t in (*OUTAGE, RELEASE, MENDED, BREACH, *SILENCE))
    }
    deaths = troubles | set(random.Random(11).sample(at, 20))
    assert len(deaths) > 60
    assert Week().play(deaths) == dict.fromkeys(CHANNELS, EXPECTED)
