"""What is wrong with the landing zone, as alerts: files that cannot be used, mail that is missing."""

from collections.abc import Sequence

from spam_assets.alerts.events import describe_landing_problem, describe_landing_problems, describe_missing_mail
from spam_assets.alerts.message import Alert
from spam_assets.partitions import SETTINGS
from spam_assets.settings import Settings

MISSING_MAIL_GRACE_HOURS = 6.0
PROBLEMS_IN_FULL = 3


def join_problems(alerts: Sequence[Alert]) -> dict[Alert, tuple[str, ...]]:
    """Return alerts with the keys of what each tells: landing problems of many days are one message."""
    problems = [alert for alert in alerts if alert.kind == "landing_problem" and alert.day is not None]
    if len(problems) <= PROBLEMS_IN_FULL:
        return {alert: (alert.key,) for alert in alerts}
    others = {alert: (alert.key,) for alert in alerts if alert not in problems}
    return {describe_landing_problems(problems, SETTINGS.dagster_url): tuple(alert.key for alert in problems), **others}


def find_landing_alerts(settings: Settings, now_seconds: float) -> tuple[list[Alert], bool]:
    """Return what is wrong with the landing zone, and whether it answered."""
    from spam_assets.landing.errors import LandingError
    from spam_assets.landing.missing_mail import find_future_days, find_missing_mail
    from spam_assets.landing.watching import QUIET_SECONDS
    from spam_assets.landing.zone import LandingZone, select_training_files

    try:
        files = LandingZone(settings.landing_url).list_files()
    except LandingError as error:
        return [describe_landing_problem(None, str(error), settings.dagster_url)], False
    found = []
    for day, landed in files.items():
        training = select_training_files(landed)
        # While a day is landed again in another format there are two files for a moment.
        changed_seconds = max((file.modified_seconds or 0.0 for file in training), default=0.0)
        if len(training) > 1 and now_seconds - changed_seconds >= QUIET_SECONDS:
            names = " and ".join(file.name for file in training)
            problem = f"there are {names}; keep one and remove the other"
            found.append(describe_landing_problem(day, problem, settings.dagster_url))
    found += [
        describe_landing_problem(day, "the day has not come yet; rename or remove its file", settings.dagster_url)
        for day in find_future_days(files, now_seconds)
    ]
    missing = find_missing_mail(files, now_seconds, MISSING_MAIL_GRACE_HOURS) if settings.end_date is None else None
    if missing is not None:
        found.append(describe_missing_mail(*missing, settings.dagster_url))
    return found, True
