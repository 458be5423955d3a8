"""Prompt tables in Dagster: tables from upstream assets, accepted tables and their snapshots."""
