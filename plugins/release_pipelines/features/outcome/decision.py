"""What a release came to, in one word and one sentence (R9, R13)."""

from pydantic import Field

from release_pipelines.core.model.base import Stored, Value
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.outcome import Outcome
from release_pipelines.core.model.task_state import touched
from release_pipelines.core.model.traffic import ALL_TO_STABLE

WENT_WRONG: tuple[Outcome, ...] = ("rolled_back", "rollback_failed", "aborted")
"""Outcomes that say whether they speak against the version."""


class Abort(Stored):
    """Who ended a release, and why, in that person's words."""

    by: str
    reason: str


class Facts(Value):
    """What the outcome is decided from.

    ``judgement`` is that of the failed task's own verdict; ``trouble``: that task failed because something did not answer, or refused, and
    not because of the version; ``ended_outside``: nobody knows why it ended.

    ``states`` maps the names below to Airflow's task states: ``complete``, ``approval``, ``deploy`` (the first task that
    changes production), ``plan``, ``verify`` (of the rollback). ``failed_task`` and ``reason`` are those of the
    first task that failed. ``deployed``: something was put in production; ``promoted``: the history knows that it
    held; ``rollback_reason``: why the rollback failed; ``taken_over``: who took the environment away from this release;
    ``undone``: what serves instead of the version, and who put it there; ``not_checked``: why nobody could look at what serves.
    """

    version: str
    production: str
    states: dict[str, str | None]
    no_op: bool = False
    serves: str | None = Field(None, description="That the same images serve already, in a sentence")
    stopped_at: str | None = None
    approval: str | None = None
    failed_task: str | None = None
    reason: str | None = None
    judgement: str | None = None
    trouble: bool = False
    ended_outside: bool = False
    weight: int | None = None
    returned_to: str | None = None
    marked_by_person: bool = False
    deployed: bool = True
    promoted: bool = True
    rollback_reason: str | None = None
    aborted: Abort | None = None
    taken_over: str | None = None
    undone: str | None = None
    not_checked: str | None = None
    ran_over: str | None = Field(None, description="How far it ran over its window, in a sentence")
    hurried: list[str] = Field(default_factory=list, description="Who cut a hold short, in sentences")
    unmeasured: list[str] = Field(default_factory=list, description="Stages that ended so without a measurement")


def outcome_of(facts: Facts) -> tuple[Outcome, str]:
    """The outcome and its sentence. Only a new version that serves all traffic and held is ``released``."""
    state = facts.states.get
    why = _why(facts)
    if state("complete") == "success" and not touched(state("plan")):
        if facts.serves:
            return "no_op", facts.serves
        if facts.no_op:
            return "no_op", f"{facts.version} already serves all traffic in {facts.production}; nothing was changed."
        if facts.stopped_at:
            return "no_op", f"{facts.version} was checked up to {facts.stopped_at} and stopped there, as asked."
        if facts.promoted and facts.undone:
            return "superseded", f"Superseded {facts.version}: it was promoted, and then {facts.undone}."
        if facts.promoted:
            checked = (
                f" What serves was not checked at the end: {facts.not_checked.rstrip('.')}."
                if facts.not_checked
                else ""
            )
            told = [*facts.hurried, *([facts.ran_over] if facts.ran_over else [])]
            hurried = "".join(f" {sentence.rstrip('.')}." for sentence in told)
            held = f"; not measured: {', '.join(facts.unmeasured)}" if facts.unmeasured else " and held"
            return (
                "released",
                f"Released {facts.version}: it serves all traffic in {facts.production}{held}.{hurried}{checked}",
            )
        why = "it was marked as complete by hand, and was never promoted"
    if not touched(state("deploy")) or not facts.deployed:
        return _before_production(facts, why)
    at = f" at {facts.weight} %" if facts.weight else ""
    if facts.taken_over:
        return "superseded", f"Superseded {facts.version}{at}: {facts.taken_over.rstrip('.')}."
    back = f"traffic is back on {facts.returned_to}" if facts.returned_to else None
    if state("verify") == "success" and facts.aborted:
        return "aborted", f"Aborted {facts.version}{at}: {why}{f'; {back}' if back else ''}."
    if state("verify") == "success":
        return "rolled_back", f"Rolled back {facts.version}{at}: {why}{f', {back}' if back else ''}."
    if not touched(state("plan")):
        return "aborted", f"Aborted {facts.version}{at}: {why}; {back or 'its log says where the traffic is'}."
    if facts.rollback_reason and facts.rollback_reason != facts.reason:
        failed = facts.rollback_reason.rstrip(".")
        return "rollback_failed", f"Rollback of {facts.version} failed: {failed}. It was to go back because: {why}."
    return "rollback_failed", f"Rollback of {facts.version} failed: {why}."


def speaks_against(facts: Facts, outcome: Outcome) -> bool | None:
    """Whether the outcome speaks against the version in production; None where production was left as it was, or the version stayed.

    Only what the version did itself does: not a person's abort, not a measurement that could not be made, and not trouble of what is
    around it.
    """
    if outcome not in WENT_WRONG or not touched(facts.states.get("deploy")) or not facts.deployed:
        return None
    if outcome == "aborted" or facts.aborted or facts.taken_over:
        return False
    return facts.judgement not in ("error", "inconclusive") and not facts.trouble and not facts.ended_outside


def undone(observed: Observed, release: str, digest: str) -> str | None:
    """What serves instead of the version that was promoted, and who did that, without a full stop; None: it serves (R9).

    Once another release, or a rollback, has the environment, what serves is that one's.

    :param observed: the state of the environment, when the release ends.
    :param release: the release's id.
    :param digest: what it promoted.
    """
    holder = observed.lease.holder if observed.lease else None
    if observed.note.release != release or holder not in (None, "", release):
        return None
    stable, route = observed.track("stable"), observed.route
    if stable.digest != digest:
        return f"{stable.changed_by or 'somebody'} put {stable.named} on stable, which serves now"
    if route and not route.traffic.same(ALL_TO_STABLE):
        return f"{route.changed_by or 'somebody'} left stable with {route.traffic.weight('stable')} % of the traffic"
    return None


def _why(facts: Facts) -> str:
    if facts.aborted:
        return f"{facts.aborted.by}: {facts.aborted.reason}".rstrip(".")
    why = facts.reason or (f"{facts.failed_task} failed" if facts.failed_task else "a person ended the run")
    return why.rstrip(".")


def _before_production(facts: Facts, why: str) -> tuple[Outcome, str]:
    if facts.aborted:
        return "aborted", f"Aborted {facts.version} before {facts.production} was changed: {why}."
    if facts.approval == "rejected":
        return "rejected", f"Rejected {facts.version}: {why}."
    if facts.approval == "expired":
        return "expired", f"Expired {facts.version}: {why}."
    if facts.marked_by_person and facts.failed_task is None:
        return "aborted", f"Aborted {facts.version} before {facts.production} was changed: a person ended the run."
    return "failed", f"Failed {facts.version} before {facts.production} was changed: {why}."
