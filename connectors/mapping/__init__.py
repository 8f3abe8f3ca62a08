"""Import mappings: how the columns of a file become events."""

from connectors.mapping.events import MappedEvent
from connectors.mapping.load import load_mapping, shipped
from connectors.mapping.run import Summary, map_file

__all__ = ["MappedEvent", "Summary", "load_mapping", "map_file", "shipped"]
