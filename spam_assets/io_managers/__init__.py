"""Where assets are stored: one file a day and asset, on disk or at any fsspec URL."""
