"""Asset factories: videos, the dataset around them, and exports."""
