"""Jobs: what people and sensors launch."""

import dagster as dg

train_job = dg.define_asset_job(
    "train_job",
    selection=dg.AssetSelection.all(),
    description="One day, or a range of days, from the landing zone to the registered model, with all checks.",
)
