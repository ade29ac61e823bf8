"""Which commands a person may give a release now: one rule for the pages, their API, the command line and the DAG ``release_control``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from release_pipelines.core.approvers import allowed_approvers, approves_alone, in_words, is_one_of
from release_pipelines.core.model.command import COMMAND_KINDS, Command, CommandKind, command_state
from release_pipelines.core.model.person import Identity, Person
from release_pipelines.core.model.release_id import ROLLBACK_DAG

if TYPE_CHECKING:
    from release_pipelines.core.model.records import ReleaseDetail

Word = Literal["pause", "resume", "skip", "promote", "abort", "approve", "reject", "roll_back"]
"""What a person may tell a release: the same word on a button, in the command line, in the API and in the audit trail."""
WORDS: tuple[Word, ...] = get_args(Word)
ANSWERS: tuple[Word, ...] = ("approve", "reject")
"""Answers to a form of Airflow's."""
NEED_APPROVER: tuple[CommandKind, ...] = ("promote", "skip")
"""Commands that shorten the checks: only who may approve a release may give them."""
NEED_REASON: Mapping[str, str] = {
    "abort": "An abort needs a reason: say why in a few words.",
    "reject": "A rejection needs a reason: say why in a few words.",
    "roll_back": "A rollback needs a reason: say why in a few words.",
}
QUESTION = "question"
"""Kind of the event that says that people are asked in the middle of a release."""
ASKED = "asked"
"""Kind of the event that says that the approval is asked for."""


class No(NamedTuple):
    """Why a command is not taken.

    :ivar kind: it is not theirs to give, not now, or something is missing in it.
    :ivar sentence: the same for people.
    """

    kind: Literal["not yours", "not now", "incomplete"]
    sentence: str

    @property
    def status(self) -> int:
        """As HTTP says it."""
        return {"not yours": 403, "not now": 409, "incomplete": 422}[self.kind]


@dataclass(frozen=True)
class State:
    """What a command depends on, of a release.

    :param version: what is released.
    :param kind: a train takes an abort only; a rollback takes none.
    :param ended: its outcome, or what Airflow says of its run; None while it runs.
    :param abort: the command that ends it.
    :param pause: the command by which its clock stands still.
    :param promote: the command that has ended all holds.
    :param asks: whether its approval is asked for now, or a question between its stages.
    :param asked: who asked for it, and who started its run.
    :param step: the stage that it has come to.
    :param weight: percent of the traffic that its version has there; None before the first stage.
    :param digest: what is released.
    :param good: versions that can be gone back to, the best one first.
    :param other: the version of another release of the app that runs now.
    :param known: whether the commands that it was given are known.
    """

    version: str = ""
    kind: Literal["release", "train", "rollback"] = "release"
    ended: str | None = None
    abort: Command | None = None
    pause: Command | None = None
    promote: Command | None = None
    asks: Literal["approval", "question"] | None = None
    asked: tuple[str | None, ...] = ()
    step: str | None = None
    weight: int | None = None
    digest: str | None = None
    good: tuple[str, ...] = ()
    other: str | None = None
    known: bool = True


@dataclass(frozen=True)
class Steerer:
    """A person, and what they are to a release.

    :param who: all that is known of them.
    :param reads: whether they may see it.
    :param runs: whether they may start and change runs of its DAG.
    :param answers: whether they may answer forms of its DAG.
    :param rolls: whether they may start runs of the DAG that rolls back.
    :param approvers: who may approve it.
    :param answerers: who may answer the form that is open now.
    :param self_approval: whether who asked for it may approve it.
    """

    who: Identity
    reads: bool = True
    runs: bool = True
    answers: bool = False
    rolls: bool = False
    approvers: Sequence[str | Person] = ()
    answerers: Sequence[str | Person] = ()
    self_approval: bool = False


@dataclass(frozen=True)
class Seen:
    """What somebody saw who gives a command.

    :param release: the release's id, with its life.
    :param step: the stage that it was in.
    :param weight: percent of the traffic that it had.
    :param digest: what the form was about.
    """

    release: str = ""
    step: str | None = None
    weight: int | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Given:
    """What became of a command.

    :param id: of the click: where the same one was made a moment before, that one's.
    :param command: as the history has it; None: it is none of the history's.
    :param no: why it was refused.
    """

    id: str = ""
    command: Command | None = None
    no: No | None = None


@dataclass(frozen=True)
class Order:
    """A command as it was given on a page.

    :param kind: the word.
    :param by: who gives it, as shown.
    :param reason: why.
    :param key: the same for every click on the same button by the same person who sees the same.
    :param id: of this click.
    :param address: where it came from.
    :param seen: what was seen.
    """

    kind: Word
    by: str
    reason: str | None = None
    key: str = ""
    id: str = ""
    address: str | None = None
    seen: Seen = field(default_factory=Seen)

    def told(self) -> dict[str, str]:
        """What the audit trail keeps beside who and why."""
        known = {"key": self.key, "id": self.id, "step": self.seen.step, "digest": self.seen.digest}
        weight = None if self.seen.weight is None else str(self.seen.weight)
        return {name: it for name, it in {**known, "weight": weight}.items() if it}


Decide = Callable[["ReleaseDetail"], No | None]


def refused(kind: str, state: State | None, person: Steerer, reason: str | None = None) -> No | None:
    """Why a command is not taken from a person in a state; None: it is.

    :param kind: one of :data:`WORDS`.
    :param state: None: no release is running.
    :param person: who gives it.
    :param reason: why it is given.
    """
    if kind not in WORDS:
        return No("incomplete", f"There is no action `{kind}`: one of {', '.join(COMMAND_KINDS)} is expected.")
    if no := not_theirs(kind, person):
        return no
    if state is None:
        return No("not now", f"No release is running: there is nothing to {kind}.")
    if no := _not_now_at_all(kind, state):
        return no
    if kind in NEED_REASON and not (reason or "").strip():
        return No("incomplete", NEED_REASON[kind])
    if kind in NEED_APPROVER and not person.self_approval:
        named = allowed_approvers(person.approvers, *state.asked, self_approval=False)
        if not is_one_of(named, person.who):
            who = in_words(named, "an approver who did not ask for the release")
            return No(
                "not yours", f"{person.who} may not {kind} {state.version}, because it shortens its checks: {who} may."
            )
    if kind in ANSWERS and (why := _no_answerer(kind, state, person)):
        return No("not yours", why)
    return _not_in_this_state(kind, state)


def allowed(state: State | None, person: Steerer) -> dict[str, No | None]:
    """Every word with why it is not taken; None: it is. A reason that is missing stands in the way of nothing here."""
    return {it: refused(it, state, person, "given later") for it in WORDS}


def not_theirs(kind: str, person: Steerer) -> No | None:
    """Why a command is refused by what Airflow lets a person do, whatever the release does; None: it is not."""
    if not person.reads:
        return No("not yours", "You may not see this, or it does not exist.")
    if kind in ANSWERS and not person.answers:
        return No("not yours", f"{person.who} may not answer forms of this DAG: Airflow does not let them.")
    if kind not in ANSWERS and not person.runs:
        return No("not yours", f"{person.who} may not {_said(kind)} this release: Airflow lets them read its DAG only.")
    if kind == "roll_back" and not person.rolls:
        return No("not yours", f"{person.who} may not start runs of the DAG {ROLLBACK_DAG}.")
    return None


def _not_now_at_all(kind: str, state: State) -> No | None:
    """Where a release is of a kind, or at an end, that takes no such word."""
    if state.kind == "rollback":
        return No("not now", f"This is a rollback: it takes no {_said(kind)}.")
    if state.kind == "train" and kind not in ("abort", *ANSWERS):
        return No("not now", f"This is a train: `abort` stops it, and `{kind}` is for the releases of its apps.")
    if kind == "roll_back":
        if state.other:
            return No("not now", f"{state.other} is being released now: its own page steers it.")
        if not state.good:
            return No("not now", "Nothing is known that could be gone back to: no version was promoted and held.")
        return None
    if state.ended:
        return No("not now", f"{state.version} has ended ({state.ended}): there is nothing to {_said(kind)}.")
    return None


def _no_answerer(kind: str, state: State, person: Steerer) -> str | None:
    """Why somebody may not answer the form that is open."""
    if state.asks is None:
        return None
    alone = approves_alone(person.who, *state.asked, self_approval=person.self_approval)
    named = allowed_approvers(person.answerers, *state.asked, self_approval=person.self_approval)
    if not alone and (is_one_of(named, person.who) or (not named and person.self_approval)):
        return None
    who = in_words(named, "an approver who did not ask for the release")
    why = "because they asked for it" if alone else "because they are no approver of it"
    return f"{person.who} may not {kind} {state.version}, {why}: {who} may."


def _not_in_this_state(kind: str, state: State) -> No | None:
    if kind == "roll_back":  # it takes the release over, whatever that is doing
        return None
    if state.abort and (kind != "abort" or state.abort.answered_at is not None):
        said = f": {state.abort.effect}" if state.abort.effect else "."
        return No("not now", f"{state.abort.by} has aborted {state.version}{said}")
    if kind in ANSWERS and state.asks is None:
        return No("not now", f"Nobody is asked about {state.version} now: there is nothing to {kind}.")
    if kind == "promote" and state.asks == "approval":
        return No(
            "not now",
            f"{state.version} waits for its approval, and the form says what will be measured: give `promote` when it is approved.",
        )
    if kind == "promote" and state.promote and state.promote.answered_at is not None:
        return No("not now", f"{state.promote.by} has promoted {state.version} already.")
    if kind == "skip" and state.asks:
        return No("not now", f"{state.version} waits for an answer: no hold runs that could be skipped.")
    if kind == "pause" and state.pause and state.pause.answered_at is not None:
        return No("not now", f"{state.version} is paused already, by {state.pause.by}.")
    if kind == "resume" and state.pause is None and state.known:
        return No("not now", f"{state.version} is not paused: there is nothing to resume.")
    return None


def _said(kind: str) -> str:
    return kind.replace("_", " ")


def outdated(kind: str, seen: Seen, state: State, release: str) -> No | None:
    """What has changed since a person looked, where the command is not taken because of it.

    :param release: the newest life of the run's release, as its id says it.
    """
    if seen.release != release:
        return No(
            "not now",
            "The run was cleared since, and this is another life of it: look at the page again."
            if seen.release.rpartition("#")[0] == release.rpartition("#")[0]
            else "The page is of another release: look at it again.",
        )
    if kind in ("abort", "roll_back") or state.ended:  # traffic goes back, whatever was seen
        return None
    if kind in ANSWERS:
        if not seen.digest or seen.digest != state.digest:
            return No(
                "not now",
                f"The form is about {state.digest or 'another image'} now, you saw {seen.digest or 'none'}: nothing was answered.",
            )
        return None
    if seen.step != state.step:
        return No("not now", f"It is at {_place(state.step, state.weight)} now, you saw {_place(seen.step, None)}.")
    return None


def _place(step: str | None, weight: int | None) -> str:
    if step is None:
        return "no stage yet"
    return step if weight is None else f"{step} ({weight} %)"


def state_of(
    detail: ReleaseDetail, *, train: bool = False, good: Sequence[str] = (), other: str | None = None
) -> State:
    """The state that a release's records tell.

    :param detail: the release.
    :param train: whether it is a train.
    :param good: versions that can be gone back to.
    :param other: the version of another release of the app that runs now.
    """
    told, progress = command_state(detail.commands), detail.progress
    kind: Literal["release", "train", "rollback"] = "train" if train else "release"
    return State(
        version=detail.version,
        kind="rollback" if detail.dag_id == ROLLBACK_DAG else kind,
        ended=detail.outcome,
        abort=told.abort,
        pause=told.pause,
        promote=told.promote,
        asks=None if detail.outcome else asks(detail),
        asked=(detail.requester, detail.started_by),
        step=progress.step if progress else None,
        weight=progress.weight if progress else None,
        digest=detail.digest,
        good=tuple(good),
        other=other,
    )


def asks(detail: ReleaseDetail) -> Literal["approval", "question"] | None:
    """What people are asked now, as far as the history knows it."""
    questions = [it for it in detail.events if it.kind in (ASKED, QUESTION)]
    if not questions:
        return None
    newest = questions[-1]
    if any(it.at >= newest.at for it in detail.approvals):
        return None
    return "approval" if newest.kind == ASKED else "question"
