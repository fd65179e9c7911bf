"""The assets, one UTC day a partition: from raw_mail to registered_model, champion_report and scored_mail.

A body takes its inputs, calls a pure function or two, and returns a value with metadata. Not here: rules
(`mail`, `learning`), paths and formats (`io_managers`), MLflow (`registry`), pictures and tables (`views`).
"""

from spam_assets.assets.feature_assets import mail_features, training_window
from spam_assets.assets.gate_assets import registered_model
from spam_assets.assets.mail_assets import raw_mail, validated_mail
from spam_assets.assets.model_assets import CHALLENGERS, challengers, trained_model
from spam_assets.assets.report_assets import champion_report, scored_mail

__all__ = [
    "CHALLENGERS",
    "challengers",
    "champion_report",
    "mail_features",
    "raw_mail",
    "registered_model",
    "scored_mail",
    "trained_model",
    "training_window",
    "validated_mail",
]
