"""An example of a Dagster project with wan-assets."""
