"""Other people's software on the same job, each in an environment of its own, which needs aiohttp besides."""

PEERS = {"official SDK": "sdk", "Daft": "daft", "Pixeltable": "pixeltable"}
"""What each is called in the table, and its module here."""
