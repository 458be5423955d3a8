"""Dagster metadata of videos, batches and spending."""
