"""Partitions: the keys of rows, their synchronization with Dagster, and data versions."""
