"""What is done with a push as soon as it is told of: kept, looked at, and its release asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from release_pipelines.core.model.base import to_json
from release_pipelines.core.pushes.deciding import Fate, known
from release_pipelines.core.pushes.meaning import asked_for, left_out
from release_pipelines.core.pushes.push import Ignored, Push
from release_pipelines.spec.pushes import receiver_of

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.pushes.records import Delivery
    from release_pipelines.spec.release import ReleaseSpec

Told = Push | Ignored


class Answer(NamedTuple):
    """What becomes of one push: for who sent it.

    :param result: ``kept``: a release is asked for; ``known``: it was before; ``ignored``; ``refused``.
    :param run: the id that its run has, or will have; None: it will have none.
    """

    push: str
    result: Literal["kept", "known", "ignored", "refused"]
    because: str
    run: str | None = None

    def __str__(self) -> str:
        return f"{f'{self.push}: ' if self.push else ''}{self.result}, {self.because}"


def as_kept(told: Iterable[Told]) -> list[Any]:
    """What a delivery told, as JSON."""
    return [to_json(it) if isinstance(it, Push) else it.sentence for it in told]


def told_by(delivery: Delivery) -> list[Told]:
    """What a delivery told, out of JSON."""
    return [Ignored(it) if isinstance(it, str) else Push.model_validate(it) for it in delivery.told]


def ignored(told: Iterable[Told]) -> list[Answer]:
    """What becomes of what is no push."""
    return [_ignored(it) for it in told if isinstance(it, Ignored)]


def judge(history: History, spec: ReleaseSpec | None, told: Sequence[Told]) -> list[Answer]:
    """Ask for the releases of pushes. What was asked for before, by whomever, stays as it is.

    :param spec: the app; None: there is none.
    """
    return [_judge(history, spec, it) for it in told]


def judge_delivery(history: History, spec: ReleaseSpec | None, delivery: int, told: Sequence[Told]) -> list[Answer]:
    """The same for what was delivered; what it came to is kept with it."""
    answers = judge(history, spec, told)
    history.judged(delivery, "; ".join(map(str, answers)) or "it tells nothing")
    return answers


def _judge(history: History, spec: ReleaseSpec | None, told: Told) -> Answer:
    if isinstance(told, Ignored):
        return _ignored(told)
    receiver = receiver_of(spec) if spec else None
    if spec is None or receiver is None:
        return Answer(str(told), "ignored", "because no file of an app of this name has `starts`")
    start = asked_for(told, receiver)
    if isinstance(start, Ignored):
        return Answer(str(told), "ignored", f"because {start.sentence}")
    if why := left_out(told, receiver.starts):
        history.leave_out(spec.production.name, start)
        return Answer(str(told), "ignored", f"because {why}")
    fate = known(start, history.releases_like(start)) or Fate("waiting", "it has come")
    kept, new = history.ask_for(spec.production.name, start, fate)
    if kept.state in ("waiting", "starting", "started"):
        why = f"it is release {start.run_id}" if kept.run_id else "its release is asked for"
        return Answer(str(told), "kept" if new else "known", why, start.run_id)
    result: Literal["ignored", "refused"] = "refused" if kept.state == "refused" else "ignored"
    return Answer(str(told), result, f"because {kept.sentence}")


def _ignored(told: Ignored) -> Answer:
    return Answer("", "ignored", f"because {told.sentence}")
