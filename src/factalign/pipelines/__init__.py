"""Pipelines: thin nodes that translate between the catalog and the library. One folder a pipeline."""
