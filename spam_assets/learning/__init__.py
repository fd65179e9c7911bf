"""Learning: features, classifier, training, evaluation and the gate.

Pure: no Dagster, MLflow, environment, clock or unseeded randomness. Import the module you need
(``features``, ``training``, ``model``, ``evaluation``, ``gate``); this file imports nothing, so that a
process that only scores does not pay for what only training needs.
"""
