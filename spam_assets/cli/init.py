"""`spam-assets init`: the home folder of a machine that shares Dagster's instance with others."""

import shutil
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from spam_assets.cli.console import CommandError, err, escape_terminal, out
from spam_assets.settings import POSTGRES, Settings, load_settings

commands = typer.Typer()
UNTRANSLATED = ("postgresql://", "postgres://")


@commands.command(
    epilog="Example: spam-assets init --postgres postgresql+psycopg2://db.internal/dagster --celery redis://queue.internal"
)
def init(
    postgres: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Dagster's database (default: SPAM_ASSETS_POSTGRES_URL)."),
    ] = None,
    celery: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Celery's broker (default: SPAM_ASSETS_CELERY_URL; without: no workers)."),
    ] = None,
    results: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Celery's results (default: SPAM_ASSETS_CELERY_RESULTS_URL, else the broker's Redis)."
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Runs at once: what all workers have room for.")] = 2,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put a file that was changed by hand aside, as dagster.yaml.before.")
    ] = False,
) -> None:
    """Write the [bold]dagster.yaml[/bold] of an instance that several machines share: PostgreSQL, and Celery's workers.

    URLs are not written into it, for they hold passwords: it names the variables of the environment that have them.
    docs/deployment.md has the rest.
    """
    from spam_assets.engine.shared_instance import CELERY_URL, RESULTS_URL, write_instance, write_worker_settings

    settings = take_urls(load_settings(), postgres, celery, results)
    if settings.postgres_url is None:
        raise CommandError("name the database with --postgres URL, or in SPAM_ASSETS_POSTGRES_URL")
    kept = None
    if settings.celery_url is not None:
        kept = CELERY_URL if settings.celery_results_url is None else RESULTS_URL
        if kept == CELERY_URL and not settings.celery_url.get_secret_value().startswith(("redis://", "rediss://")):
            raise CommandError("this broker keeps no results; name what does with --results redis://...")
    place = prepare_place(settings)
    texts = {place / "dagster.yaml": write_instance(runs, kept)}
    if kept is not None:
        texts[place / "celery.yaml"] = write_worker_settings(kept)
    for path in texts:
        make_room(path, replace=replace)
    for path, text in texts.items():
        write_configuration(path, text)
    tell_what_is_needed(settings, texts)


def take_urls(settings: Settings, postgres: str | None, celery: str | None, results: str | None) -> Settings:
    """Return the settings with the URLs of the command line in place of theirs, checked by the same rules."""
    for scheme in UNTRANSLATED:
        if postgres is not None and postgres.startswith(scheme):
            postgres = POSTGRES + postgres.removeprefix(scheme)
            out.print(
                f"note: {scheme} is written {POSTGRES} here, for the driver that Dagster installs", soft_wrap=True
            )
    named = {"postgres_url": postgres, "celery_url": celery, "celery_results_url": results}
    urls = {name: SecretStr(url) for name, url in named.items() if url is not None}
    return Settings.model_validate({**settings.model_dump(by_alias=False), **urls})


def prepare_place(settings: Settings) -> Path:
    """Make the folder of Dagster's configuration, in a home folder that nobody else may enter, and return it."""
    from spam_assets.engine.private_home import keep_home_private
    from spam_assets.shared.place import choose_dagster_home

    keep_home_private(settings)
    place, _ = choose_dagster_home(settings)
    place.mkdir(parents=True, exist_ok=True)
    return place


def make_room(path: Path, *, replace: bool) -> None:
    """See that a file may be written; what somebody changed is put aside only if that was asked for.

    Raises:
        CommandError: somebody changed it.
    """
    from spam_assets.engine.instance import is_unchanged
    from spam_assets.engine.shared_instance import is_written_by_init

    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    if is_written_by_init(text):
        return
    if is_unchanged(text):
        if (path.parent / "history").exists():
            out.print(
                escape_terminal(
                    f"note: runs of before stay in {path.parent / 'history'}, where this instance does not look"
                ),
                soft_wrap=True,
            )
        return
    aside = path.with_name(f"{path.name}.before")
    if not replace or aside.exists():
        raise CommandError(
            f"{path} was changed by hand; "
            + (f"move {aside} away first" if replace else f"--replace puts it aside as {aside.name}")
        )
    shutil.copy2(path, aside)


def write_configuration(path: Path, text: str) -> None:
    """Check a configuration as far as what is installed here allows, write it, and say what became of the file."""
    from spam_assets.engine.shared_instance import check_instance
    from spam_assets.files import replace_local_file

    lacking = check_instance(text) if path.name == "dagster.yaml" else []
    before = path.read_text(encoding="utf-8") if path.exists() else None
    if before != text:
        replace_local_file(path, text.encode())
    became = "written" if before is None else "as it was" if before == text else "replaced"
    out.print(escape_terminal(f"{path}: {became}"), soft_wrap=True)
    if lacking:
        err.print(
            f"[yellow]note:[/yellow] not checked by {' and '.join(lacking)}: not installed here",
            soft_wrap=True,
        )


def tell_what_is_needed(settings: Settings, texts: dict[Path, str]) -> None:
    """Print which variables every process needs, and what of this home folder other machines will not see."""
    from spam_assets.engine.instance import find_variables

    names = dict.fromkeys(name for text in texts.values() for name in find_variables(text))
    out.print(f"set for every process, on every machine: {', '.join(names)}", soft_wrap=True)
    own = {
        "SPAM_ASSETS_LANDING": settings.landing,
        "SPAM_ASSETS_STORAGE": settings.storage,
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
    }
    unset = [name for name, value in own.items() if value is None]
    if unset:
        out.print(
            f"set {', '.join(unset)} as well, to what all machines reach; now {'they are' if unset[1:] else 'it is'} "
            "in this home folder",
            soft_wrap=True,
        )
