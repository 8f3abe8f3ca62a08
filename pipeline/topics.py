"""Names of the Kafka topics besides the event topics (see ``pipeline.events.families.EVENT_TOPICS``)."""

DEAD_LETTERS = "csf.dead-letters"
PARTIALS = "csf.partials"
KPIS = "csf.kpis"
CURSORS = "csf.cursors"
