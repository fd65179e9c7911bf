"""Dagster assets that turn labelled mail, one day at a time, into a registered spam classifier.

Where things live (dependencies point downwards only):

- `cli`: the person's front door, `spam-assets`.
- `definitions`: wires everything below into one Dagster code location; no logic.
- `jobs`, `checks`: jobs; asset checks, each stating one promise by calling one rule.
- `assets`: `raw_mail` -> `validated_mail` -> `mail_features` -> `trained_model` -> `registered_model`.
- `partitions`, `io_managers`, `resources`, `executor`: Dagster's side of days, storage, MLflow and runs.
- `settings`: every setting, typed, from the environment and `.env`.
- `learning/`: pure: features, classifier, evaluation, promotion rule.
- `mail/`: pure: columns, parsing, landing files, importers, quality rules.
"""
