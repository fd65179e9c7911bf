"""MLflow: training runs, registered versions and their aliases, and what a logged model carries."""
