"""What is worth telling a person: each function makes the alert of one kind of event.

When something of the kind happened, and whether it was told already, the sensors know.
"""

from collections.abc import Sequence
from hashlib import sha256
from urllib.parse import quote

from spam_assets.alerts.message import REASON_CHARACTERS, Alert, neutralize

FAILURES_IN_FULL = 3


def describe_run_failure(
    run_id: str, job_name: str, days: Sequence[str], failures: Sequence[tuple[str, str]], dagster_url: str | None
) -> Alert:
    """Describe a Dagster run that failed.

    Args:
        run_id: Of the run.
        job_name: Of its job.
        days: The days that failed, as far as they are known.
        failures: What failed (step or asset) and why, in a sentence.
        dagster_url: Where the Dagster UI is, for the link.
    """
    first, last = min(days, default=""), max(days, default="")
    when = {0: "", 1: f" for {first}"}.get(len(days), f" for {len(days)} days from {first} to {last}")
    shown = failures[:FAILURES_IN_FULL]
    room = REASON_CHARACTERS // max(len(shown), 1) - 10  # for what stands between them
    sentences = [neutralize(f"{step}: {sentence}".rstrip(". "), room) for step, sentence in shown]
    if len(failures) > len(shown):
        sentences.append(f"and {len(failures) - len(shown)} more")
    return Alert(
        kind="run_failed",
        title=f"{job_name} failed{when}",
        day=first if len(days) == 1 else None,
        reason="; ".join(sentences) or "no step says why; look at the run",
        link=_link(dagster_url, f"runs/{quote(run_id, safe='')}"),
        key=f"run_failed:{run_id}",
    )


def describe_decision_alert(
    day: str,
    version: int,
    *,
    promoted: bool,
    reason: str,
    dagster_url: str | None = None,
    held: bool = False,
    manual_change: int = 0,
) -> Alert:
    """Describe that a candidate became the champion, or that it was refused, and why.

    Args:
        day: The candidate's training date.
        version: Its version.
        promoted: Whether it serves.
        reason: One sentence.
        dagster_url: Where the Dagster UI is, for the link.
        held: Whether it would serve, had nobody pinned the champion.
        manual_change: Number of the last change by hand before it: after one, the same decision is news again.
    """
    became = "is the new champion" if promoted else "was refused"
    if held:
        became = "would be the new champion, but the present one is pinned"
    what = "promoted" if promoted else "held" if held else "refused"
    return Alert(
        kind="champion_promoted" if promoted else "champion_refused",
        title=f"Model version {version}, trained for {day}, {became}",
        day=day,
        reason=reason,
        link=_asset_link(dagster_url, "registered_model", day),
        key=f"champion_{what}:{day}:{version}" + (f":{manual_change}" if manual_change else ""),
    )


def describe_manual_change(
    number: int, what: str, who: str, why: str, *, moves_champion: bool, dagster_url: str | None = None
) -> Alert:
    """Describe what a person, or somebody outside of this project, changed about who serves.

    Args:
        number: Of the change in the history.
        what: What it did, in a few words.
        who: ``person``, ``rollback`` or ``outside``.
        why: The reason that was given.
        moves_champion: Whether another version serves now.
        dagster_url: Where the Dagster UI is, for the link.
    """
    return Alert(
        kind="champion_promoted" if moves_champion else "champion_refused",
        title=f"Changed by hand ({who}): {what}",
        day=None,
        reason=why,
        link=_asset_link(dagster_url, "registered_model", None),
        key=f"champion_changed:{number}",
    )


def describe_missing_mail(day: str, hours_late: float, dagster_url: str | None = None) -> Alert:
    """Describe a day for which nothing has landed, so many hours after it should have."""
    return Alert(
        kind="no_mail",
        title=f"No mail of {day}",
        day=day,
        reason=(
            f"{hours_late:.0f} hours after it was due, the landing zone has no file of {day}; "
            "see whether the program that lands mail still runs"
        ),
        link=_asset_link(dagster_url, "raw_mail", day),
        key=f"no_mail:{day}",
    )


def describe_landing_problem(day: str | None, problem: str, dagster_url: str | None = None) -> Alert:
    """Describe a day's file that cannot be used, or, without a day, a landing zone that cannot be read.

    Another problem of the same day is another event. All problems of the zone are one event, because their texts
    often change with every try; it ends, and its key is to be forgotten, when the zone can be read again.
    """
    what = "zone" if day is None else f"{day}:{sha256(problem.encode(errors='replace')).hexdigest()[:16]}"
    return Alert(
        kind="landing_problem",
        title="The landing zone cannot be read" if day is None else f"The landed file of {day} cannot be used",
        day=day,
        reason=problem,
        link=_asset_link(dagster_url, "raw_mail", day),
        key=f"landing_problem:{what}",
    )


def describe_landing_problems(problems: Sequence[Alert], dagster_url: str | None = None) -> Alert:
    """Describe the problems of many days at once: a program that does something wrong does it every day."""
    days = sorted(alert.day for alert in problems if alert.day is not None)
    shown = [f"{alert.day}: {alert.reason}" for alert in problems[:FAILURES_IN_FULL]]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    return Alert(
        kind="landing_problem",
        title=f"The landed files of {len(days)} days from {days[0]} to {days[-1]} cannot be used",
        day=None,
        reason="; ".join(shown),
        link=_asset_link(dagster_url, "raw_mail", None),
        key="landing_problems:" + sha256("".join(alert.key for alert in problems).encode()).hexdigest()[:16],
    )


def _link(dagster_url: str | None, path: str) -> str | None:
    return dagster_url and f"{dagster_url.rstrip('/')}/{path}"


def _asset_link(dagster_url: str | None, asset: str, day: str | None) -> str | None:
    return _link(dagster_url, f"assets/{asset}?view=partitions" + (f"&partition={quote(day, safe='')}" if day else ""))
