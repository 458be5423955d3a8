"""How long a test waits for another process before it fails."""

PATIENCE_S = 600.0
"""A slow machine that does other things besides takes minutes for what takes seconds on another."""
