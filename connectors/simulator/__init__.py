"""A simulated organisation: 13 months back and live, telling a story on all eight CSFs, with a ground truth."""

from connectors.simulator.organisation import catalogue_dir

__all__ = ["catalogue_dir"]
