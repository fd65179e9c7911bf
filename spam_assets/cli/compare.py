"""`spam-assets compare`: methods side by side, over one's own landed mail."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from spam_assets.cli.console import (
    FIRST_OF_ALL,
    CommandError,
    FirstDay,
    LastDay,
    err,
    escape_terminal,
    out,
    parse_range,
    show_progress,
)
from spam_assets.cli.open_home import open_landing_zone
from spam_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from spam_assets.learning.features import MailFeatures
    from spam_assets.learning.methods import Method
    from spam_assets.learning.replayed_days import ScoredMail

DAYS_TO_LEARN = 10
"""The first days are learnt and not scored, unless `--from` names the first that is."""
RIVAL = "spam_assets.estimators:tfidf_logistic_regression"
"""Whom ours is compared with where nobody is named."""
PICTURES = (".svg", ".png", ".pdf")
commands = typer.Typer()


@commands.command(epilog="Example: spam-assets compare --estimator my_models:build_pipeline --from 2002-08-01")
def compare(
    estimator: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Whom to compare ours with; may be given several times."),
    ] = None,
    from_: FirstDay = None,
    to: LastDay = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the DET curves there: .svg, .png or .pdf.")
    ] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there as well.")
    ] = None,
) -> None:
    """Score each day by the models of the days before it, method by method, and say who ranks spam best.

    `--from` and `--to` are the first and the last day that is scored; mail from before is learnt. Without `--from` the
    first ten days are only learnt. Nothing is registered, and nothing but the picture is written.
    """
    from spam_assets.learning.comparison import say_who_wins
    from spam_assets.views.det_curves import draw_det_curves

    settings = load_settings()
    path = plot or settings.home / "comparison.svg"
    if path.suffix not in PICTURES:
        raise CommandError(f"--plot {path} must end in {', '.join(PICTURES)}")
    methods = choose_methods(settings, estimator or [])
    days, first_scored = read_days(settings, *parse_range(from_, to))
    runs: dict[str, ScoredMail] = {}
    for method in methods:
        with tell_failure():
            runs[method.name] = replay_method(settings, method, days, first_scored)
    if not runs:
        raise CommandError("no method could be trained, for the reasons above")
    rows = describe_runs(runs)
    print_rows(rows, next(iter(runs.values())), f"{first_scored} to {days[-1][0]}")
    out.print(escape_terminal(say_who_wins(runs)), soft_wrap=True)
    draw_det_curves(runs, path)
    out.print(f"DET curves: {escape_terminal(str(path))}", soft_wrap=True)
    if json_ is not None:
        results = {"first_day": first_scored, "last_day": days[-1][0], "rows": rows}
        json_.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if len(runs) < len(methods):
        raise CommandError("not every method could be trained, for the reason above")


@contextmanager
def tell_failure() -> Iterator[None]:
    """Print an error of somebody else's code, so that the other methods are compared all the same."""
    from spam_assets.learning.estimator_errors import EstimatorError

    try:
        yield
    except EstimatorError as error:
        err.print(f"[red]left out:[/red] {escape_terminal(str(error))}", soft_wrap=True)


def choose_methods(settings: Settings, named: Sequence[str]) -> "list[Method]":
    """Return ours and whom it is compared with; each has built its estimator once.

    Raises:
        EstimatorError: one cannot.
    """
    from spam_assets.learning.methods import OURS, parse_method

    references = dict.fromkeys(named or ([settings.estimator] if settings.estimator else [RIVAL]))
    others = [method for method in (parse_method(name, settings.trusted) for name in references) if not method.is_ours]
    for method in others:
        method.build()
    return [OURS, *others]


def read_days(settings: Settings, first: str, last: str) -> "tuple[list[tuple[str, MailFeatures]], str]":
    """Read the landed mail that is scored, and what is learnt before it; days that break a rule are told and left out.

    Returns:
        The days with their mail, oldest first, and the first that is scored.

    Raises:
        CommandError: there are too few.
        LandingError: the landing zone fails.
    """
    from spam_assets.landing.errors import LandingError, LandingZoneError
    from spam_assets.learning.features import read_frame
    from spam_assets.mail.validation import QualityError, validate_day
    from spam_assets.resources import open_excluded_days
    from spam_assets.windows import first_day_of_window

    zone, excluded = open_landing_zone(settings), open_excluded_days(settings).read()
    landed = [day for day in zone.days() if day <= last and day not in excluded]
    if first == FIRST_OF_ALL:
        first = landed[DAYS_TO_LEARN] if len(landed) > DAYS_TO_LEARN else ""
    scored = [day for day in landed if day >= first] if first else []
    if not scored or scored[0] == landed[0]:
        raise CommandError(
            f"too few days have landed in {settings.shown_landing}: {len(landed)}; to score a day others must have "
            f"landed before it ({DAYS_TO_LEARN} where --from does not say how many)"
        )
    oldest = first_day_of_window(scored[0], settings.window_days + 1)
    wanted = [day for day in landed if day >= oldest]
    days: list[tuple[str, MailFeatures]] = []
    with show_progress("reading") as report:
        for number, day in enumerate(wanted, start=1):
            try:
                days.append((day, read_frame(validate_day(zone.read(day).frame, day))))
            except LandingZoneError:
                raise
            except (LandingError, QualityError) as refused:
                err.print(f"[yellow]left out:[/yellow] {day}: {escape_terminal(str(refused))}", soft_wrap=True)
            report(number, len(wanted), f"days, {day}")
    if not days or days[-1][0] < scored[0]:
        raise CommandError("no day that is to be scored can be used, for the reasons above")
    return days, scored[0]


def replay_method(
    settings: Settings, method: "Method", days: "Sequence[tuple[str, MailFeatures]]", first_scored: str
) -> "ScoredMail":
    """Run the daily protocol with a method that is trained anew on the window of each day, as the assets train it.

    Raises:
        EstimatorError: somebody else's code fails.
    """
    from spam_assets.learning.replayed_days import MethodReplay, join_scored, replay_days
    from spam_assets.resources import build_training_settings

    replay = MethodReplay(method, build_training_settings(settings), settings.window_days)
    parts = []
    with show_progress(method.name) as report:
        for number, scored in enumerate(replay_days(replay, days, first_scored), start=1):
            report(number, len(days), f"days, {days[number - 1][0]}")
            if scored is not None:
                parts.append(scored)
    return join_scored(parts)


def describe_runs(runs: "Mapping[str, ScoredMail]") -> list[dict[str, Any]]:
    """Return a row of figures for each method, under the names that `benchmarks.quality` uses."""
    from spam_assets.learning.comparison import measure_method

    rows = []
    for name, scored in runs.items():
        figures = measure_method(scored)
        evaluation = figures.evaluation
        rows.append(
            {
                "method": name,
                "one_minus_roca_percent": evaluation.one_minus_roca_percent,
                "one_minus_roca_percent_interval": list(figures.interval),
                "recall_at_fpr_0.1_percent": evaluation.recall_at_fpr_0_1_percent,
                "fpr": evaluation.fpr,
                "recall": evaluation.recall,
                "ham_called_spam": evaluation.false_positives,
                "spam_missed": evaluation.false_negatives,
            }
        )
    return rows


def print_rows(rows: Sequence[Mapping[str, Any]], scored: "ScoredMail", days: str) -> None:
    """Print the figures as a table."""
    table = Table(
        "method", "(1-ROCA)%", "95 %", "recall at 0.1 % FPR", "FPR", "recall", "ham lost", "spam missed",
        title=f"{days}: {len(scored.labels)} messages, {int(scored.labels.sum())} spam, scored before they were learnt",
    )  # fmt: skip
    for row in rows:
        low, high = row["one_minus_roca_percent_interval"]
        table.add_row(
            escape_terminal(row["method"]), f"{row['one_minus_roca_percent']:.4f}", f"{low:.3f}-{high:.3f}",
            f"{row['recall_at_fpr_0.1_percent']:.3f}", f"{row['fpr']:.4f}", f"{row['recall']:.3f}",
            str(row["ham_called_spam"]), str(row["spam_missed"]),
        )  # fmt: skip
    out.print(table)
