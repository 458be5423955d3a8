"""Other people's software on the same job, each in an environment of its own, which needs aiohttp besides."""
