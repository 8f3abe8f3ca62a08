"""The catalogue in plain batch, from docs/semantics.md alone: shares no fold code with the pipeline."""
