"""Numbers stay right whatever is killed: seeded schedules of faults on real processes, judged by the oracle."""
