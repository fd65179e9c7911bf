"""`spam-assets classify`: what the champion says of a file of mail, and why."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from spam_assets.cli.console import CommandError, escape_terminal, out
from spam_assets.settings import load_settings

commands = typer.Typer()


@commands.command(epilog="Example: spam-assets classify message.eml   or: cat message.eml | spam-assets classify -")
def classify(
    file: Annotated[str, typer.Argument(help="An .eml, an mbox, a CSV, plain text; - reads standard input.")],
    explain: Annotated[bool, typer.Option("--explain", help="Also what speaks for and against it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: a JSON object a message.")] = False,
) -> None:
    """Say whether mail is spam, by the champion."""
    from spam_assets.learning.explanation import describe_explanation, explain_mail
    from spam_assets.learning.serving import score_mail
    from spam_assets.mail.columns import MESSAGE_ID, SUBJECT
    from spam_assets.mail.reading import read_mail
    from spam_assets.registry.registered_models import CHAMPION, ModelRegistry

    if file == "-":
        content, name = sys.stdin.buffer.read(), "standard input"
    else:
        path = Path(file)
        if not path.is_file():
            raise CommandError(
                f"{file} is not a file; name an .eml, an mbox, a CSV or a text file, or - for standard input"
            )
        content, name = path.read_bytes(), path.name
    mail = read_mail(content, name)
    registry = ModelRegistry(load_settings())
    champion = registry.aliased(CHAMPION)
    if champion is None:
        raise CommandError("there is no champion yet; run spam-assets demo, or run and backfill on your own mail")
    model = registry.load_model(champion)
    verdicts = score_mail(model, mail)
    explanations = explain_mail(model, mail) if explain else iter(())
    for (_, message), (_, verdict) in zip(mail.iterrows(), verdicts.iterrows(), strict=True):
        if as_json:
            answer = {**message[[MESSAGE_ID, SUBJECT]].to_dict(), **verdict.to_dict()}
            if explain:
                answer["explanation"] = describe_explanation(next(explanations))[1:]
            sys.stdout.write(f"{json.dumps(answer)}\n")
            continue
        word = "[red]spam[/red]" if verdict["is_spam"] else "[green]ham[/green] "
        subject = escape_terminal(str(message["subject"] or ""), 90)
        out.print(f"{word} {verdict['spam_probability']:.4f}  {subject}", soft_wrap=True)
        if explain:
            for line in describe_explanation(next(explanations))[1:]:  # the first line says the verdict again
                out.print(f"  {escape_terminal(line)}", soft_wrap=True)
