"""Dagster assets that turn labelled mail, one day at a time, into a registered spam classifier.

At the top stand Dagster's nouns; every other concern has a room. `docs/architecture.md` has the picture and two walks.

- `definitions`: wires everything below into one Dagster code location; no logic.
- `assets/`: `raw_mail` -> `validated_mail` -> `mail_features` -> `trained_model` -> `registered_model`, and
  `champion_report`; `scored_mail` of mail without labels. `checks`: asset checks, each stating one promise by calling
  one rule. `jobs`: what is launched.
- `sensors/`: new mail, retraining and its schedule, runs that died, alerts: a thin shell round a pure decision each.
- `partitions`: the days. `resources`: what assets are given to work with. `windows`: the days that a model learns.
- `io_managers/`: where assets are stored, a module a format, and the fingerprints of what they hold.
- `views/`: what people see in the UI and in MLflow: metadata, pictures.
- `settings`: every setting, typed, from the environment and `.env`.
- `shared/`: what processes share, on one machine or several: locks, notes, the days of the partitions, an agreement.
- `engine/`: how Dagster runs here: executor, database, locks, signs of life, what is recorded of each day.
- `registry/`: MLflow: training runs, registered models and aliases, what a logged model carries.
- `alerts/`: what a message says, and how it is sent.
- `landing/`: where mail comes from: the zone, its files, corrections, what changed; `importers/`, one a format.
- `cli/`: the person's front door, `spam-assets`, a module a group of commands.
- `mail/`: pure: what a mail is: columns, parsing, frames, quality rules.
- `learning/`: pure: features, classifier, evaluation, gate, champion report, retraining rule, foreign estimators.
- `challengers`: the methods that are trained beside the main one, each in a process of its own.
- `estimators`: ready estimators for SPAM_ASSETS_ESTIMATOR.
- `mail_files`, `feature_files`: days of mail and of features that are too much to hold at once.
- `files`: a file replaced in one step, wherever it is. `file_changes`: one that others change too.
- `worker_imports`: what a Celery worker has at hand before a run comes.
- `urls`: a URL as people may see it.
- `dagster_storage`: where older home folders look for what is in `engine/` now.
"""
