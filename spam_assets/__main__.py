"""`python -m spam_assets` is `spam-assets`."""

from spam_assets.cli.app import main

main()
