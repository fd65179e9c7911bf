-- Run once by PostgreSQL's image, on an empty volume: MLflow has a database of its own beside Dagster's.
CREATE DATABASE mlflow;
