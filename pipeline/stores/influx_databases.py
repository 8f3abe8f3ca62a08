"""InfluxQL's view of InfluxDB 2: a database of the same name as each bucket, by which Grafana asks.

InfluxDB 2 names such mappings DBRP (database and retention policy). Newer 2.x map a bucket by its name unasked, as
*virtual* mappings; older ones answer "database not found" until somebody maps it.
"""

from __future__ import annotations

from influxdb_client import DBRPCreate, DBRPsService

from pipeline.stores.influx_http import InfluxConnection

_POLICY = "autogen"


def map_database(influx: InfluxConnection, bucket: str) -> bool:
    """Map a database to the bucket of that name, as its default, unless one of that name leads there already.

    Returns:
        Whether the mapping was made now.

    Raises:
        StoreUnavailable, StoreRejected: there is no such bucket, or the token may not do it.
    """
    service = DBRPsService(influx.client.api_client)
    with influx.errors("map a database to", bucket):
        found = influx.client.buckets_api().find_bucket_by_name(bucket)
        if found is None:
            raise influx.no_bucket(bucket)
        known = service.get_dbr_ps(org=influx.org, db=bucket).content or []
        if any(entry.bucket_id == found.id and not entry.virtual and entry.default for entry in known):
            return False
        service.post_dbrp(
            DBRPCreate(
                org=influx.org, bucket_id=found.id, database=bucket, retention_policy=_POLICY, default=True
            )
        )  # fmt: skip
    return True
