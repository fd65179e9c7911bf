"""How Dagster runs here. The only room that imports Dagster's private modules, each with the reason."""
