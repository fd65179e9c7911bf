"""Jobs: what people, sensors and the clock launch."""

import dagster as dg

from spam_assets.challengers import name_challengers
from spam_assets.engine.tags import RETRIES_AFTER_A_CRASH
from spam_assets.partitions import SETTINGS

REASON_TAG = "spam_assets/reason"
"""On runs that a sensor or the schedule requested: why, in a sentence."""

train_job = dg.define_asset_job(
    "train_job",
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets("scored_mail"),
    description="One day, or a range of days, from the landing zone to the registered model, with all checks.",
)
mail_job = dg.define_asset_job(
    "mail_job",
    selection=dg.AssetSelection.assets("raw_mail", "validated_mail", "mail_features", "champion_report"),
    tags=RETRIES_AFTER_A_CRASH,
    description="New mail: landed, checked, featurized, and scored by the champion. Trains nothing.",
)
score_job = dg.define_asset_job(
    "score_job",
    selection=dg.AssetSelection.assets("scored_mail"),
    tags=RETRIES_AFTER_A_CRASH,
    description="Mail without labels: checked, and scored by the champion and the challenger.",
)
gate_job = dg.define_asset_job(
    "gate_job",
    selection=dg.AssetSelection.assets("registered_model"),
    tags=RETRIES_AFTER_A_CRASH,
    description="Candidates that wait, judged again with the mail of a newer day. Trains nothing.",
)
report_job = dg.define_asset_job(
    "report_job",
    selection=dg.AssetSelection.assets("champion_report"),
    description="Champion reports of days whose mail is there. Trains nothing.",
)
retrain_job = dg.define_asset_job(
    "retrain_job",
    selection=dg.AssetSelection.assets("trained_model", *name_challengers(SETTINGS), "registered_model"),
    tags=RETRIES_AFTER_A_CRASH,
    description="A model for a day whose mail is there, and its way through the gate.",
)
