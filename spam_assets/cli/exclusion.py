"""`spam-assets exclude` and `include`: a bad day is taken back, and given back."""

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from spam_assets.cli.console import CommandError, check_partitions, escape_terminal, out, parse_day
from spam_assets.cli.open_home import open_instance
from spam_assets.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

commands = typer.Typer()
DAY_ASSETS = ("raw_mail", "validated_mail", "mail_features")


@commands.command(epilog='Example: spam-assets exclude 2002-08-22 --reason "labels of a broken export"')
def exclude(
    date_: Annotated[str, typer.Argument(metavar="YYYY-MM-DD", help="The day to take back.")],
    reason: Annotated[str, typer.Option(help="Why, for whoever reads it later.")],
) -> None:
    """Take a day back: no model learns it from now on, nor is any judged by it. Its mail stays stored."""
    day = parse_day(date_, "the day")
    if not reason.strip():
        raise CommandError("--reason is empty; say in a sentence what is wrong with the day")
    with open_instance() as (settings, instance):
        check_partitions(day)
        from spam_assets.resources import open_excluded_days
        from spam_assets.windows import EXCLUDED

        exclusion = open_excluded_days(settings).exclude(day, reason, datetime.now(timezone.utc))
        tell_dagster(instance, day, f"no model learns this day: {exclusion.reason}", EXCLUDED)
        out.print(escape_terminal(f"{day} is excluded: {exclusion.reason}"), soft_wrap=True)
        tell_what_follows(settings, instance, day)
        for line in find_served_exclusions(settings):
            out.print(escape_terminal(line), soft_wrap=True)


@commands.command(epilog="Example: spam-assets include 2002-08-22")
def include(date_: Annotated[str, typer.Argument(metavar="YYYY-MM-DD", help="The day to give back.")]) -> None:
    """Give an excluded day back to the models."""
    day = parse_day(date_, "the day")
    with open_instance() as (settings, instance):
        from spam_assets.engine.day_records import read_day_records
        from spam_assets.resources import open_excluded_days

        if not open_excluded_days(settings).include(day):
            raise CommandError(f"{day} is not excluded; spam-assets models lists the days that are")
        features = read_day_records(instance, "mail_features").get(day)
        tell_dagster(instance, day, "models may learn this day again", features.data_version if features else None)
        out.print(f"{day} is included again")
        tell_what_follows(settings, instance, day)


def tell_dagster(instance: "dg.DagsterInstance", day: str, note: str, version_in_windows: str | None) -> None:
    """Observe the day: with a note where people look at it, and with its version as the windows of models see it."""
    import dagster as dg

    from spam_assets.assets import training_window
    from spam_assets.engine.tags import DATA_VERSION_TAG

    for asset in DAY_ASSETS:
        instance.report_runless_asset_event(dg.AssetObservation(asset, partition=day, metadata={"excluded": note}))
    if version_in_windows is not None:
        tags = {DATA_VERSION_TAG: version_in_windows}
        instance.report_runless_asset_event(dg.AssetObservation(training_window.key, partition=day, tags=tags))


def tell_what_follows(settings: Settings, instance: "dg.DagsterInstance", day: str) -> None:
    """Print which models are out of date now."""
    from spam_assets.engine.day_records import read_day_records
    from spam_assets.windows import first_day_of_window

    records = read_day_records(instance, "trained_model").items()
    trained = sorted(other for other, record in records if not record.skipped)
    of_window = [other for other in trained if first_day_of_window(other, settings.window_days) <= day <= other]
    if of_window:
        span = of_window[0] if len(of_window) == 1 else f"{of_window[0]} to {of_window[-1]}"
        out.print(
            f"{len(of_window)} models whose window holds it are out of date, {span}; spam-assets backfill trains them "
            "again",
            soft_wrap=True,
        )


def describe_exclusions(settings: Settings) -> list[str]:
    """Return a sentence for each excluded day, and one for each version with an alias that has learnt one."""
    from spam_assets.resources import open_excluded_days

    lines = [
        f"excluded: {day} since {exclusion.since[:10] or 'an unknown day'}, {exclusion.reason}"
        for day, exclusion in open_excluded_days(settings).read().items()
    ]
    return [*lines, *find_served_exclusions(settings)]


def find_served_exclusions(settings: Settings) -> list[str]:
    """Return a sentence for each version with an alias that has learnt an excluded day."""
    from spam_assets.learning.dated_model import DatedModel
    from spam_assets.registry.registered_models import CHAMPION, ModelRegistry
    from spam_assets.resources import open_excluded_days

    excluded = open_excluded_days(settings).read()
    if not excluded:
        return []
    registry = ModelRegistry(settings)
    lines = []
    for version in registry.versions():
        dated = registry.load_or_explain(version) if version.aliases else None
        learnt = sorted(dated.model.learnt_days & set(excluded)) if isinstance(dated, DatedModel) else []
        if learnt:
            serves = "; it serves until a newer one passes the gate" if CHAMPION in version.aliases else ""
            lines.append(
                f"version {version.version} ({', '.join(version.aliases)}) has learnt {', '.join(learnt)}{serves}"
            )
    return lines
