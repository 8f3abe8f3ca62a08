"""Whatever the history, zone and number of partitions: the engine's numbers are the oracle's."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle.oracle import Oracle
from tests.properties.compare import differences
from tests.properties.histories import ZONES, Sent, catalogue, histories, write


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(sent=histories(), zone=st.sampled_from(ZONES), partitions=st.integers(1, 3), rollups=st.sampled_from([1, 3, 8]))
def test_the_engine_gives_the_numbers_of_the_oracle(sent: list[Sent], zone: str, partitions: int, rollups: int) -> None:
    cluster = write(sent, zone, partitions, rollups).run()
    assert differences(cluster, Oracle(catalogue(zone), cluster.messages())) == []
