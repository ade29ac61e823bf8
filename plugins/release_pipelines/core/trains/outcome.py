"""What a train came to, in one word and one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from release_pipelines.core.model.outcome import TrainOutcome
from release_pipelines.core.model.train import GOOD, IN_WORDS, AppResult, TrainApp


class TrainFacts(NamedTuple):
    """What a train's outcome is decided from.

    :param name: the train.
    :param apps: its apps, as they are at its end; none: it did not come so far as to know them.
    :param reason: why it stopped, in a sentence; None: it did not stop.
    :param decision: ``rejected`` or ``expired``, where the approval came to that.
    :param aborted: whether a person ended it.
    """

    name: str
    apps: Sequence[TrainApp]
    reason: str | None = None
    decision: str | None = None
    aborted: bool = False


def train_outcome(facts: TrainFacts) -> tuple[TrainOutcome, str]:
    """The outcome and its sentence. Nothing is called compensated as long as one app is not where it was."""
    apps, train = facts.apps, f"train {facts.name}"
    why = (facts.reason or "a person ended the run").rstrip(".")
    if apps and facts.reason is None and not facts.aborted and all(it.result in GOOD for it in apps):
        if not any(it.result == "released" for it in apps):
            return "no_op", f"Nothing to do for {train}: {_each(apps)}."
        return "released", f"Released {train}: {_each(apps)}."
    lost = [it for it in apps if it.result == "not_taken_back"]
    if lost:
        return (
            "compensation_failed",
            f"Stopped {train}: {why}. A person is needed: {', '.join(_why(it) for it in lost)}. {_rest(apps, lost)}",
        )
    back = [it for it in apps if it.result == "taken_back"]
    if back:
        rest = _rest(apps, back)
        return "compensated", f"Compensated {train}: {why}. Taken back: {_names(back)}. {rest}".rstrip()
    if any(it.held_at is not None or it.result in ("failed", "running") for it in apps):
        kind: TrainOutcome = "aborted" if facts.aborted else "stopped"
        return kind, f"{kind.capitalize()} {train}: {why}. {_rest(apps, [])}".rstrip()
    if facts.decision == "rejected":
        return "rejected", f"Rejected {train}: {why}."
    if facts.decision == "expired":
        return "expired", f"Expired {train}: {why}."
    if facts.aborted:
        return "aborted", f"Aborted {train} before anything was changed: {why}."
    return "failed", f"Failed {train} before anything was changed: {why}."


def _why(app: TrainApp) -> str:
    return f"{app.app} failed to go back ({app.sentence.rstrip('.')})"


def _names(apps: Iterable[TrainApp]) -> str:
    return ", ".join(it.named for it in apps)


def _each(apps: Iterable[TrainApp]) -> str:
    return "; ".join(f"{it.named} {IN_WORDS[it.result]}" for it in apps)


def _rest(apps: Sequence[TrainApp], besides: Sequence[TrainApp]) -> str:
    """What became of the others, by what became of them."""
    groups: dict[AppResult, list[TrainApp]] = {}
    for it in apps:
        if it not in besides:
            groups.setdefault(it.result, []).append(it)
    words = [f"{IN_WORDS[result].capitalize()}: {_names(found)}" for result, found in groups.items()]
    return ". ".join(words) + "." if words else ""
