"""Loads the videos of partitions, as a function and as the value of a downstream asset's parameter."""
