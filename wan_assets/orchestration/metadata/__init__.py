"""Metadata that Dagster shows of videos, batches and spending."""
