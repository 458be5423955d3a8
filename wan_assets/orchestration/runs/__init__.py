"""One run: its partitions, the engine in a thread, its events, and the costs that it reports."""
