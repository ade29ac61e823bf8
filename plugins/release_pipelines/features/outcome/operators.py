"""The outcome of a release: recorded in the history, explained and told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.airflow.assets import HELD, announce
from release_pipelines.airflow.ending import explain_and_tell, noted
from release_pipelines.airflow.gates import SERVES
from release_pipelines.airflow.hooks.history import HistoryHook, record
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.operator import ABORTED, REASON, RELEASE_ID, TAKEN_OVER, TROUBLE, ReleaseOperator
from release_pipelines.airflow.task_states import task_states
from release_pipelines.airflow.trains import own_train
from release_pipelines.airflow.windows import ran_over
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.command import Command
from release_pipelines.core.model.outcome import INCIDENT, Outcome
from release_pipelines.core.model.release_id import is_rollback
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.task_state import touched
from release_pipelines.core.text import storable
from release_pipelines.features.outcome.decision import Facts, outcome_of, speaks_against, undone
from release_pipelines.spec.frozen import thaw
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.stages import stages
from release_pipelines.spec.target import target
from release_pipelines.spec.windows import URGENT, WINDOW, window_rule

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.core.model.records import ReleaseDetail

HURRIED = {"skip": "cut a hold short", "promote": "skipped the holds that were left"}
"""Commands that end a hold early, to what the person did in words."""


class RecordOutcomeOperator(ReleaseOperator):
    """Record the release's outcome, and fail the run unless it was released or had nothing to do (R9).

    Then its plots and its incident report are attached, and the receivers of the environment's file are notified. Meant as a
    teardown that decides over the run: ``outcome.as_teardown(on_failure_fail_dagrun=True)``, downstream of everything else.

    :param spec: the :class:`~release_pipelines.spec.release.ReleaseSpec`; its last environment counts.
    :param tasks: ids of the tasks of the run in the order in which they work: the first one that failed gives the reason.
    :param roles: ids of ``preflight``, ``complete``, ``approval``, ``deploy``, ``plan``, ``prepare``,
        ``switch``, ``verify`` and ``give_back``.
    A release that held adds an event to the asset ``release://<environment>/<app>``; no other outcome does. One of a train does not: the
    train adds it when it has ended.

    :return: ``{"outcome", "sentence"}``; pushed as ``outcome`` and ``reason`` too, because a failing task returns nothing.
    """

    def __init__(self, *, spec: ReleaseSpec, tasks: list[str], roles: dict[str, str], **kwargs: Any) -> None:
        super().__init__(**{"outlets": [HELD], **kwargs})
        self.spec = spec
        self.production = spec.production.name
        self.tasks = tasks
        self.roles = roles

    def work(self, context: Context) -> dict[str, Any]:
        preflight = self._pull(context, self.roles["preflight"]) or {}
        release = preflight.get("release") or self._pull(context, self.roles["preflight"], RELEASE_ID)
        if release:
            thaw(release)  # first: a history that is away must not keep an old specification in force
        promoted = self._promoted(context, release) if release else False
        facts = self._checked(context, self._facts(context, preflight, release, promoted), release)
        outcome, sentence = outcome_of(facts)
        if release:
            record(HistoryHook().history, "finish", release, outcome, sentence)
            against = speaks_against(facts, outcome)
            if against is not None:
                record(HistoryHook().history, "mark", release, self.production, against, sentence)
            with noted("The commands that came too late could not be answered"):
                self._answer_late(release, outcome)
        context["ti"].xcom_push("outcome", outcome)
        context["ti"].xcom_push(REASON, storable(sentence))
        if release:
            changed = facts.deployed and touched(facts.states["deploy"])
            run: Any = context["dag_run"]
            from release_pipelines.core.model.records import ReleaseDetail

            known = ReleaseDetail(
                id=release,
                app=self.spec.app.name,
                dag_id=run.dag_id,
                run_id=run.run_id,
                version=facts.version,
                requester=preflight.get("requester"),
                outcome=outcome,
                sentence=sentence,
                started_at=time.time(),
            )
            self._explain(context, known, incident=changed and outcome in INCIDENT)
        if outcome not in ("released", "no_op"):
            raise AirflowFailException(sentence)
        self.log.info(sentence)
        if outcome == "released" and release and not self._in_train(release):
            deployed = self._pull(context, self.roles["deploy"], "deployment") or {}
            announce(context, release, self.spec.app.name, self.production, facts.version, deployed.get("digest"))
        return {"outcome": outcome, "sentence": sentence}

    def _in_train(self, release: str) -> bool:
        """Whether a train may still take it back: then the train announces it when it has ended."""
        with noted("The history could not be asked whether a train has started the release"):
            return own_train(HistoryHook().history(), self.spec.app.name, release) is not None
        return False

    def _promoted(self, context: Context, release: str) -> bool:
        """Whether the release was promoted: the task that did it says so, or the history does."""
        said = [self._pull(context, task_id) for task_id in self.tasks]
        if any(isinstance(it, dict) and it.get("promoted") is True for it in said):
            return True
        with noted("The history could not be asked whether the release was promoted"):
            return HistoryHook().history().release(release).promoted_at is not None
        return False

    def _checked(self, context: Context, facts: Facts, release: str | None) -> Facts:
        """The facts, with what serves now where the release seems to have come to its end: history must not say what is not so."""
        deployed = self._pull(context, self.roles["deploy"], "deployment")
        if release is None or deployed is None or outcome_of(facts)[0] != "released":
            return facts
        where = target(self.spec, self.production)
        try:
            observed = PlatformHook(where).call(lambda platform: platform.observe(where))
        except PlatformError as error:
            self.log.warning("What serves was not checked: %s", error)
            return facts.model_copy(update={"not_checked": str(error)})
        return facts.model_copy(update={"undone": undone(observed, release, deployed["digest"])})

    @staticmethod
    def _answer_late(release: str, outcome: Outcome) -> None:
        """Answer the commands that came too late."""
        history = HistoryHook().history()
        for command in history.commands(release, open_only=True):
            history.answer(command.id, f"Came too late: the release has ended ({outcome}).")

    def _explain(self, context: Context, known: ReleaseDetail, *, incident: bool) -> None:
        explain_and_tell(
            context,
            known.id,
            target(self.spec, self.production),
            self.spec.production,
            incident=incident,
            analyses={it.name: it.analysis for it in stages(self.spec) if isinstance(it, Stage)},
            known=known,
        )

    @staticmethod
    def _pull(context: Context, task_id: str, key: str = "return_value") -> Any:
        return context["ti"].xcom_pull(task_ids=task_id, key=key)

    def _facts(self, context: Context, preflight: dict[str, Any], release: str | None, promoted: bool) -> Facts:
        states = task_states(context, [*self.tasks, *self.roles.values()])
        failed = next((task_id for task_id in self.tasks if states[task_id] == "failed"), None)
        params: Any = context["params"]
        reason = self._pull(context, failed, REASON) if failed else None
        verdict = self._verdict(context, failed)
        own = self._pull(context, failed, "verdict") if failed else None
        ended_outside = failed is None or reason is None
        if failed and reason is None:
            reason = f"{failed} was ended from outside (by a person, or its process died)"
            route_verdict = self._pull(context, self.roles["plan"], "verdict")
            if route_verdict:
                verdict, reason = route_verdict, f"{route_verdict['sentence']}; {reason}"
                own, ended_outside = route_verdict, False
        switched = self._pull(context, self.roles["switch"]) or {}
        critical = ("plan", "prepare", "switch", "verify")
        failed_rollback = next((self.roles[it] for it in critical if states[self.roles[it]] == "failed"), None)
        owner = self._pull(context, self.roles["plan"], TAKEN_OVER)
        hurried = self._hurried(release) if release and promoted else []
        return Facts(
            version=preflight.get("version") or str(params.get("version") or "unknown"),
            production=self.production,
            states={role: states[task_id] for role, task_id in self.roles.items()},
            no_op=bool(preflight.get("no_op")),
            serves=self._pull(context, self.roles["artifact"], SERVES) if "artifact" in self.roles else None,
            stopped_at=params.get("stop_at") if params.get("stop_at") not in (None, "", self.production) else None,
            approval=self._decision(context),
            failed_task=failed,
            reason=reason,
            judgement=(own or {}).get("judgement"),
            trouble=bool(failed and self._pull(context, failed, TROUBLE)),
            ended_outside=ended_outside,
            weight=(verdict or {}).get("weight"),
            returned_to=switched.get("version") or self._pull(context, self.roles["give_back"], "returned"),
            marked_by_person=failed is None,
            deployed=self._pull(context, self.roles["deploy"], "deployment") is not None,
            promoted=promoted,
            rollback_reason=self._pull(context, failed_rollback, REASON) if failed_rollback else None,
            aborted=self._pull(context, failed, ABORTED) if failed else None,
            taken_over=self._who(owner) if owner else None,
            hurried=hurried,
            unmeasured=self._unmeasured(context) if hurried else [],
            ran_over=self._ran_over(context) if promoted else None,
        )

    def _decision(self, context: Context) -> str | None:
        """What became of the approval: a second person may have said no, and it may have expired before the release's window opened."""
        for role in (WINDOW, URGENT, "approval"):
            task = self.roles.get(role)
            if task and (decision := self._pull(context, task, "decision")):
                return str(decision)
        return None

    def _ran_over(self, context: Context) -> str | None:
        """How far the release ran over its window, or that it overrode it, in a sentence."""
        window, rule = self.roles.get(WINDOW), window_rule(self.spec, self.production)
        said = self._pull(context, window) if window else None
        if rule is None or not isinstance(said, dict):
            return None
        if said.get("overridden"):
            return str(said["overridden"])
        with noted("Nobody could tell whether the release ran over its window"):
            return ran_over(rule, said["began_at"], time.time())
        return None

    def _unmeasured(self, context: Context) -> list[str]:
        """Names of the stages that ended without any number about the version."""
        names = {it.name for it in stages(self.spec) if isinstance(it, Stage)}
        found = []
        for task_id in self.tasks:
            name, said = task_id.rpartition(".")[2], self._pull(context, task_id)
            numbers = said.get("metrics") or [] if isinstance(said, dict) else []
            if name in names and isinstance(said, dict) and all(it.get("value") is None for it in numbers):
                found.append(name)
        return found

    def _verdict(self, context: Context, failed: str | None) -> Any:
        """The failed task's verdict, else that of the stage before it: its weight says how far the version had come."""
        if failed is None:
            return None
        for task_id in reversed(self.tasks[: self.tasks.index(failed) + 1]):
            verdict = self._pull(context, task_id, "verdict")
            if verdict:
                return verdict
        return None

    def _who(self, owner: str) -> str:
        """A sentence about the release or rollback that took the environment over."""
        try:
            other = HistoryHook().history().release(owner)
        except Exception:  # it knows nothing of it, or is away
            return f"{owner} has taken over"
        if not is_rollback(owner):
            return f"{owner} ({other.version}, by {other.requester or 'nobody'}) has taken over"
        return f"{other.requester} rolled {other.app} back: {other.reason}"

    @staticmethod
    def _hurried(release: str) -> list[str]:
        """Sentences about the people who ended a hold early."""
        commands: list[Command] = []
        with noted("The history could not be asked who cut a hold short"):
            commands = HistoryHook().history().commands(release, open_only=False)
        return [
            f"{it.by} {HURRIED[it.kind]}{f': {it.reason}' if it.reason else ''}"
            for it in commands
            if it.kind in HURRIED and it.answered_at
        ]
