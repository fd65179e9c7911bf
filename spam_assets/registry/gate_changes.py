"""What the gate has before it, and how its verdicts are carried out in MLflow."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spam_assets.registry.alias_changes import CHALLENGER, CHAMPION, Change
from spam_assets.registry.registered_models import ModelRegistry, succeed

if TYPE_CHECKING:
    from spam_assets.learning.dated_model import DatedModel, UnreadableModel
    from spam_assets.learning.method_choice import Judged
    from spam_assets.learning.succession import Succession


def load_succession(registry: ModelRegistry) -> "Succession":
    """Return the models that the gate knows: the champion, the best one, and those that wait; and the pin.

    One that cannot be read is there with the reason. Where its store cannot be reached, nobody knows, and that is
    an error.
    """
    from spam_assets.learning.dated_model import DatedModel, UnreadableModel
    from spam_assets.learning.succession import Succession

    standing, serving = registry.standing(), registry.aliased(CHAMPION)
    is_another = serving is None or standing.best != serving.version
    best_version = registry.best() if is_another else serving
    champion, best = (registry.load_or_explain(version) if version else None for version in (serving, best_version))
    waiting = [registry.load_or_explain(version) for version in registry.waiting()]
    pin = standing.pin
    return Succession(
        champion if isinstance(champion, DatedModel) else None,
        best if isinstance(best, DatedModel) else None,
        tuple(one for one in waiting if isinstance(one, DatedModel)),
        pin.why if pin else "",
        champion if isinstance(champion, UnreadableModel) else None,
        best if isinstance(best, UnreadableModel) and is_another else None,
        tuple(one for one in waiting if isinstance(one, UnreadableModel)),
    )


def carry_out_verdicts(
    registry: ModelRegistry, before: "Succession", after: "Succession", judged: "Sequence[Judged]"
) -> Change | None:
    """Note what the gate said of each candidate, and move the aliases as it decided; return how they moved.

    A promoted candidate becomes champion and the old one `previous`; the newest of the others becomes
    `challenger` if it is not older than the champion.
    """
    from spam_assets.learning.gate import Decision

    served, champion = before.serving, after.serving
    succeeds = champion is not None and (served is None or champion.version != served.version)
    for lost in before.unreadable_waiting:
        registry.note_verdict(lost.version, Decision("refuse", f"it waited in vain: {lost.told}"))
    for one in judged:
        if succeeds and champion is not None and one.candidate.version == champion.version:
            continue  # noted with the change itself: else, after a crash between, it would never be judged again
        is_not_newer = served is not None and one.candidate.training_date <= served.training_date
        registry.note_verdict(_number(one.candidate), one.decision, is_first_only=is_not_newer)
    wanted: dict[str, int] = {}
    why = ""
    others = [one for one in judged if not one.decision.promote]
    newest = max(others, key=lambda one: one.candidate.training_date, default=None)
    if newest is not None and (champion is None or newest.candidate.training_date >= champion.training_date):
        wanted[CHALLENGER] = _number(newest.candidate)
        why = f"{newest.decision.verdict}: {newest.decision.reason}"
    if succeeds and champion is not None:
        wanted |= succeed(_number(champion), served.version if served else None)
        why = next((one.decision.reason for one in judged if one.decision.promote), "")
    best = after.best.version if after.best is not None else None
    if before.best is not None and best == before.best.version:
        best = None
    return registry.change("gate", why, wanted, best=best)


def _number(dated: "DatedModel | UnreadableModel") -> int:
    if dated.version is None:
        raise ValueError(f"the model trained for {dated.training_date} is not registered; register it first")
    return dated.version
