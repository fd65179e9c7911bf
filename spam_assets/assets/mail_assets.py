"""`raw_mail` and `validated_mail`: what landed, and what of it windows may find."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg

from spam_assets.assets.daily import MAIL, daily_asset
from spam_assets.engine.day_records import SOURCE_TAG, record_nothing
from spam_assets.io_managers.fingerprints import (
    fingerprint_frame,
)
from spam_assets.landing.day_content import fingerprint_source
from spam_assets.landing.errors import LandingError, LandingFileMissing
from spam_assets.landing.zone import LandingZone
from spam_assets.mail.columns import MAIL_COLUMNS, VALIDATED_MAIL_COLUMNS
from spam_assets.mail.mail_batches import Mail
from spam_assets.mail.quarantine import find_quarantined
from spam_assets.mail.validation import QualityError, validate_day
from spam_assets.partitions import SETTINGS
from spam_assets.resources import MailHistory
from spam_assets.views.metadata import (
    conceal_mail,
    describe_columns,
    describe_landed_day,
    describe_mail,
    describe_quarantined,
    describe_removed_day,
)

MAIL_EVERY_DAY = (
    dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=30), fail_window=timedelta(hours=54))
    if SETTINGS.end_date is None  # an archive has an end, and is not expected to go on
    else None
)


@daily_asset(
    group_name="mail",
    kinds={"pandas", "parquet"},
    io_manager_key="frames",
    metadata={"dagster/column_schema": describe_columns(MAIL_COLUMNS)},
    freshness_policy=MAIL_EVERY_DAY,
)
def raw_mail(
    context: dg.AssetExecutionContext,
    landing_zone: dg.ResourceParam[LandingZone],
    mail_history: dg.ResourceParam[MailHistory],
) -> Iterator[dg.MaterializeResult[Any]]:
    """What the landing zone held for the day, in the one schema of mail."""
    day = context.partition_key
    try:
        landed = landing_zone.read(day)
    except LandingFileMissing as file_missing:
        last = mail_history.last_raw_mail(day)
        if last is None:
            record_nothing(context, str(file_missing))
            return
        mail, metadata, tags = last, describe_removed_day(last, str(file_missing)), {}
    except LandingError as error:
        raise dg.Failure(str(error)) from None
    else:
        mail, metadata, tags = landed.mail, describe_landed_day(landed), {SOURCE_TAG: fingerprint_source(landed)}
    metadata |= describe_quarantined(find_quarantined(mail, day))
    yield dg.MaterializeResult(
        value=mail,
        metadata=conceal_mail(metadata, previews=SETTINGS.previews),
        tags=tags,
        data_version=dg.DataVersion(fingerprint_frame(mail)),
    )


@daily_asset(
    group_name="mail",
    kinds={"pandas", "parquet"},
    io_manager_key="frames",
    metadata={"dagster/column_schema": describe_columns(VALIDATED_MAIL_COLUMNS)},
    ins={"raw_mail": dg.AssetIn(dagster_type=MAIL)},
)
def validated_mail(context: dg.AssetExecutionContext, raw_mail: Mail) -> Iterator[dg.MaterializeResult[Any]]:
    """The day's mail, if it keeps every rule: a day that does not is never stored, so no window can find it."""
    try:
        mail = validate_day(raw_mail, context.partition_key)
    except QualityError as error:  # blocking checks stop this run here, but not a later run of this asset alone
        raise dg.Failure(str(error), allow_retries=False) from None
    yield dg.MaterializeResult(
        value=mail,
        metadata=conceal_mail(
            {**describe_mail(mail), "dropped_messages": len(raw_mail) - len(mail)}, previews=SETTINGS.previews
        ),
        data_version=dg.DataVersion(fingerprint_frame(mail)),
    )
