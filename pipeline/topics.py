"""Names of the Kafka topics besides the event topics (see ``pipeline.events.families.EVENT_TOPICS``)."""

DEAD_LETTERS = "csf.dead-letters"
PARTIALS = "csf.partials"
KPIS = "csf.kpis"
#: what alerting hears, in one order: all in partition 0
ALERT_INPUTS = "csf.alert-inputs"
#: changes of alerts, and what became of notifications
ALERTS = "csf.alerts"
CURSORS = "csf.cursors"
