"""`verify` finds what was damaged, lost or exchanged behind Dagster's back."""

import dagster as dg

from spam_assets.cli.verification import find_faults
from spam_assets.settings import Settings
from spam_assets_tests.conftest import LandDays
from spam_assets_tests.pipeline import run_days, stores


def test_faults_are_found_one_by_one_and_named_with_the_remedy(
    settings: Settings, instance: dg.DagsterInstance, land_days: LandDays
) -> None:
    days = land_days(3)
    run_days(settings, instance, days[0], days[-1])

    def faults() -> list[str]:
        return list(find_faults(settings, instance, lambda *_: None))

    assert faults() == []

    frames, features, models = stores(settings)
    frames.path_of("validated_mail", days[0]).unlink()
    features.path_of("mail_features", days[1]).write_bytes(b"ARROW1 no more")
    models.path_of("trained_model", days[1]).write_bytes(models.path_of("trained_model", days[2]).read_bytes())

    missing, damaged, exchanged = faults()
    assert f"validated_mail of {days[0]} is not in storage" in missing
    assert f"mail_features of {days[1]} is damaged" in damaged
    assert exchanged == (
        f"trained_model of {days[1]} is not what Dagster recorded; materialize trained_model for {days[1]} again"
    )
