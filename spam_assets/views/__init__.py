"""What people see of it all in the Dagster UI and in MLflow: metadata, pictures."""
