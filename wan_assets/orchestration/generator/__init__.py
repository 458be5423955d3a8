"""The generator of videos for users' own assets, ops, scripts and notebooks."""
