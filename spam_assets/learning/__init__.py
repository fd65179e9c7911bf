"""Learning: features, classifier, training, evaluation and the promotion rule.

Pure: no Dagster, MLflow, environment, clock or unseeded randomness. Import the module you need
(``features``, ``training``, ``model``, ``evaluation``, ``promotion``); this file imports nothing, so that a
process that only scores does not pay for what only training needs.
"""
