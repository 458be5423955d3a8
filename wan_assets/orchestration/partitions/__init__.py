"""Partitions: the keys of rows, the keys that Dagster knows, and data versions."""
