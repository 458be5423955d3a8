"""`python -m wan_assets`."""

from wan_assets.cli import main

main()
