"""Asset factories: the videos, the dataset built from them, and exports."""
