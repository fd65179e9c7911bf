"""The tags and names that Dagster itself reads and writes on runs and materializations.

Dagster documents the tags and exports no names for them; spelled out here they could go out of step with it.
"""

from collections.abc import Mapping
from datetime import date

from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    MAX_RETRIES_TAG,
    PARTITION_NAME_TAG,
    PRIORITY_TAG,
    REPOSITORY_LABEL_TAG,
    RETRY_NUMBER_TAG,
    RETRY_STRATEGY_TAG,
    WILL_RETRY_TAG,
)

__all__ = [
    "ASSET_PARTITION_RANGE_END_TAG",
    "ASSET_PARTITION_RANGE_START_TAG",
    "COMMAND_TAG",
    "DATA_VERSION_TAG",
    "DAYS_TO_REPEAT_TAG",
    "IMPLICIT_ASSET_JOB_NAME",
    "MAX_RETRIES_TAG",
    "PARTITION_NAME_TAG",
    "PERSONS_RUN_TAG",
    "PRIORITY_TAG",
    "REPOSITORY_LABEL_TAG",
    "RETRIES_AFTER_A_CRASH",
    "RETRIES_OF_A_PERSONS_RUN",
    "RETRY_NUMBER_TAG",
    "RETRY_STRATEGY_TAG",
    "TRANSIENT_FAULT_TAG",
    "WILL_RETRY_TAG",
    "list_days_of_run",
    "tag_days",
]

COMMAND_TAG = "spam_assets/command"
"""Ours, on runs of the command line: which command, whose interruption cancels the run."""
TRANSIENT_FAULT_TAG = "spam_assets/transient_fault"
"""Ours, on runs of which a fault that passes by itself has failed days: "true"."""
DAYS_TO_REPEAT_TAG = "spam_assets/days_to_repeat"
"""Which days those are, with commas between them."""

RETRIES_AFTER_A_CRASH = {MAX_RETRIES_TAG: "2", RETRY_STRATEGY_TAG: "ALL_STEPS"}
"""On runs that nobody watches: the executor goes on where the dead process was."""
PERSONS_RUN_TAG = "spam_assets/run_of_a_person"
RETRIES_OF_A_PERSONS_RUN = {**RETRIES_AFTER_A_CRASH, PERSONS_RUN_TAG: "true"}
"""On a person's runs where several machines share the storage: the person does not see which worker died."""


def tag_days(first: str, last: str) -> dict[str, str]:
    """Return the tags of a run over the days from first to last, both included."""
    if first == last:
        return {PARTITION_NAME_TAG: first}
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}


def list_days_of_run(tags: Mapping[str, str]) -> list[str]:
    """Return the days that a run covers."""
    if PARTITION_NAME_TAG in tags:
        return [tags[PARTITION_NAME_TAG]]
    if ASSET_PARTITION_RANGE_START_TAG not in tags or ASSET_PARTITION_RANGE_END_TAG not in tags:
        return []
    first, last = (
        date.fromisoformat(tags[name]).toordinal()
        for name in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
    )
    return [date.fromordinal(number).isoformat() for number in range(first, last + 1)]
