"""Dagster assets that turn labelled mail, one day at a time, into a registered spam classifier.

Where things live (dependencies point downwards only):

- `cli`: the person's front door, `spam-assets`.
- `runs`, `home`, `ui`, `verification`: what the commands do: run days, make the home folder, serve, check files.
- `definitions`: wires everything below into one Dagster code location; no logic.
- `sensors/`: new mail, retraining and its schedule, runs that died, alerts.
- `jobs`, `checks`: jobs; asset checks, each stating one promise by calling one rule.
- `assets`: `raw_mail` -> `validated_mail` -> `mail_features` -> `trained_model` -> `registered_model`, and
  `champion_report`; with `metadata` and `plots`, what the UI shows of them.
- `resources`, `io_managers`, `tracking`: landing zone, storage, MLflow; `model_package`: what a logged model carries.
- `executor`, `dead_runs`, `dagster_storage`: how a run executes, what if it dies, Dagster's own database.
- `day_records`, `data_versions`: what is known of each day, and fingerprints of what it holds.
- `alerts`: what a message says and how it is sent.
- `partitions`, `locks`: the days; who may do what at the same time.
- `settings`: every setting, typed, from the environment and `.env`.
- `learning/`: pure: features, classifier, evaluation, promotion rule, champion report, retraining rule.
- `mail/`: pure: columns, parsing, landing files, importers, quality rules.
"""
