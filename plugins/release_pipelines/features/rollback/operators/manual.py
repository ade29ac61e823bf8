"""Manual rollback: a person goes back to a good version, whether a release runs or not (R8)."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from release_pipelines.airflow.ending import explain_and_tell
from release_pipelines.airflow.hooks.history import HistoryHook, record
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.operator import REASON, ReleaseOperator, release_id
from release_pipelines.airflow.people import asked_by
from release_pipelines.airflow.stable import named_stable
from release_pipelines.airflow.task_states import task_states
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import UNKNOWN_VERSION, Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.outcome import INCIDENT
from release_pipelines.core.model.release_id import is_rollback
from release_pipelines.core.model.target import Target
from release_pipelines.core.stable import runs
from release_pipelines.features.rollback.operators.planned import Planned, owner_of, record_plan
from release_pipelines.features.rollback.plan import RollbackPlan, plan_rollback
from release_pipelines.spec.environment import EnvironmentSpec
from release_pipelines.spec.frozen import spec_of
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.stages import retire_after
from release_pipelines.spec.target import target as target_of

if TYPE_CHECKING:
    from airflow.sdk import Context

LEASE_SECONDS = 900.0
"""Lifetime of a manual rollback's lease, in seconds, since nothing renews it. A rolling update of many replicas has longer."""

ROLLBACK_FACTS = "rollback"
"""XCom key of a manual rollback's facts: its id, version, requester, reason, target and environment. Pushed before it is in the
history."""


class ManualRollbackPlanOperator(ReleaseOperator):
    """Plan a rollback that a person asks for; take the app's lease by force, so that a running release ends.

    The rollback has a row of its own in the history, under the version that it removes, which is never "last good" again.

    :param apps: folder of the app files.
    :param config: folder of the environment files.
    :param app: the app's name.
    :param environment: the environment's name; empty: the app's last one.
    :param version: the version to go back to; empty: the newest one that was promoted and held.
    :param reason: the person's reason.
    :param requested_by: the person's name, for runs that no signed-in user triggered.
    :return: a :class:`~release_pipelines.features.rollback.operators.planned.Planned` as a dict. Skipped when the version serves already. Where
        nothing good is known, it fails and changes nothing.

    Templated: ``app``, ``environment``, ``version``, ``reason``, ``requested_by``.
    XCom: return value, ``plan``; ``reason`` when it fails.
    """

    template_fields = ("app", "environment", "version", "reason", "requested_by")

    def __init__(
        self,
        *,
        apps: Path,
        config: Path,
        app: str,
        environment: str = "",
        version: str = "",
        reason: str = "",
        requested_by: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.apps = apps
        self.config = config
        self.app = app
        self.environment = environment
        self.version = version
        self.reason = reason
        self.requested_by = requested_by

    def work(self, context: Context) -> dict[str, Any]:
        dag_run: Any = context["dag_run"]
        asked, reason = asked_by(dag_run, self.requested_by), self.reason.strip()
        by = str(asked)
        if asked.requester is None:
            raise AirflowFailException("Nobody is named who asks for this rollback: give `requested_by`.")
        if not reason:
            raise AirflowFailException("A rollback needs a reason: say why in a few words.")
        spec = spec_of(self.app.strip(), self.apps, self.config)
        target = self._target(spec)
        hook = PlatformHook(target)
        observed = hook.call(lambda platform: platform.observe(target))
        with suppress(
            PlatformError
        ):  # where nobody can name what runs, it is what the traffic goes back to all the same
            observed = named_stable(target, observed)
        release, owner = release_id(context), owner_of(observed)
        if is_rollback(owner) and owner != release and observed.lease is not None and observed.lease.holder == owner:
            raise AirflowFailException(f"{target.app} in {target.environment} is being rolled back already by {owner}.")
        bad = track_to_remove(observed)
        if bad is None:
            raise AirflowFailException(f"Nothing of {target.app} runs in {target.environment}: nothing was changed.")
        good = self._good(target, observed, bad)
        if serves(observed, good):
            raise AirflowSkipException(f"{good.version} already serves all traffic in {target.environment}.")
        plan = _possible(plan_rollback(observed, bad.digest, good, decided=True))
        environment = spec.environment(target.environment)
        self._begin(context, release, target, bad, good, by, reason, environment)

        rolled = observed.track("stable").wanted if plan.kind == "redeploy" else 0
        seconds = max(LEASE_SECONDS, target.workload.ready_timeout * rolled)
        lease = hook.call(lambda platform: platform.take_lease(target, release, seconds, force=True))
        try:
            observed = hook.call(lambda platform: platform.observe(target))  # nobody else writes from here on
            with suppress(PlatformError):
                observed = named_stable(target, observed)
            plan = plan_rollback(observed, bad.digest, good, decided=True)
            context["ti"].xcom_push("plan", to_json(plan))
            record_plan(release, target, plan, observed)
            _possible(plan)
        except Exception:
            with suppress(PlatformError):
                hook.call(lambda platform: platform.give_back_lease(target, lease))
            raise
        self.log.info("%s rolls %s back: %s. Plan: %s.", by, bad.named, reason, plan.sentence)
        return to_json(
            Planned(
                target=target,
                release=release,
                plan=plan,
                lease=Lease.model_validate(lease),
                paths=spec.app.smoke_test,
                retire_after=retire_after(spec),
            )
        )

    def _target(self, spec: ReleaseSpec) -> Target:
        names = [environment.name for environment in spec.environments]
        wanted = self.environment.strip() or names[-1]
        if wanted not in names:
            raise ValueError(f"{spec.app.name} does not go to `{wanted}`: one of {', '.join(names)} is expected.")
        return target_of(spec, wanted)

    def _good(self, target: Target, observed: Observed, bad: TrackStatus) -> Artifact:
        """The version to go back to. A history that is away leaves what the route's note names."""
        from release_pipelines.adapters.history import UnknownRelease

        wanted = self.version.strip()
        noted = observed.route.note.last_good if observed.route else None
        noted = noted if noted and noted.digest != bad.digest else None
        try:
            history = HistoryHook().history()
            if wanted:
                return history.good_version(target.app, target.environment, wanted)
            good = history.last_good(target.app, target.environment, excluding=bad.digest)
        except UnknownRelease:
            raise
        except Exception as error:
            away = str(error).partition("\n")[0]
            self.log.warning("%s The way back is what the route's note says.", away)
            if wanted and (noted is None or noted.version != wanted):
                raise AirflowFailException(
                    f"{away} Without it only {noted.version if noted else 'nothing'} is known as good of {target.app} in "
                    f"{target.environment}: nothing was changed."
                ) from error
            good = None
        good = good or noted
        if good is None:
            raise AirflowFailException(
                f"Nothing good is known of {target.app} in {target.environment} but what runs: nothing was changed."
            )
        return good

    def _begin(
        self,
        context: Context,
        release: str,
        target: Target,
        bad: TrackStatus,
        good: Artifact,
        by: str,
        reason: str,
        environment: EnvironmentSpec,
    ) -> None:
        run: Any = context["dag_run"]
        version = bad.version or (bad.digest or UNKNOWN_VERSION).removeprefix("sha256:")[:12]
        facts = {
            "release": release,
            "version": version,
            "by": by,
            "reason": reason,
            "target": to_json(target),
            "environment": to_json(environment),
        }
        context["ti"].xcom_push(ROLLBACK_FACTS, facts)
        record(HistoryHook().history, "begin", release, target.app, run.dag_id, run.run_id, version, by, reason)
        if bad.digest:
            removed = good.model_copy(
                update={
                    "version": version,
                    "digest": bad.digest,
                    "image": bad.image or good.image,
                    "commit": None,
                    "evidence": {},
                }
            )
            record(HistoryHook().history, "record_artifact", release, removed)


class RecordRollbackOperator(ReleaseOperator):
    """Record the outcome of a manual rollback, and fail the run unless the traffic is back (R9).

    Then its incident report is attached, and the receivers of the environment's file are notified. Meant as a teardown that decides
    over the run: ``outcome.as_teardown(on_failure_fail_dagrun=True)``, downstream of everything else.

    :param group: id of the group of the rollback's tasks.
    :return: ``{"outcome", "sentence"}``; pushed as ``outcome`` and ``reason`` too, because a failing task returns nothing.

    Templated: nothing.
    XCom: return value, ``outcome``, ``reason``.
    """

    def __init__(self, *, group: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.critical = [f"{group}.{task}" for task in ("plan", "prepare", "switch", "verify")]

    def work(self, context: Context) -> dict[str, Any]:
        ti: Any = context["ti"]
        plan, *_, verify = self.critical
        states = task_states(context, self.critical)
        facts = ti.xcom_pull(task_ids=plan, key=ROLLBACK_FACTS)
        planned = ti.xcom_pull(task_ids=plan, key="plan")
        if states[plan] == "skipped":
            return self._end(context, "no_op", "The version already serves all traffic; nothing was changed.", None)
        failed = next((task for task in self.critical if states[task] != "success"), None)
        why = str((failed and ti.xcom_pull(task_ids=failed, key=REASON)) or f"{failed} was ended by a person").rstrip(
            "."
        )
        if not facts or not planned:
            return self._end(context, "failed", f"Nothing was rolled back: {why}.", facts)
        if failed is None or states[verify] == "success":
            sentence = (
                f"Rolled back {facts['version']}: {facts['by']}: {facts['reason'].rstrip('.')}, "
                f"traffic is back on {planned['version']}."
            )
            return self._end(context, "rolled_back", sentence, facts)
        return self._end(context, "rollback_failed", f"Rollback of {facts['version']} failed: {why}.", facts)

    def _end(self, context: Context, outcome: Any, sentence: str, facts: dict[str, Any] | None) -> dict[str, Any]:
        if facts:
            record(HistoryHook().history, "finish", facts["release"], outcome, sentence)
            if outcome in (
                "rolled_back",
                "rollback_failed",
            ):  # who removes a version has a reason, also where that fails
                place = facts["target"]["environment"]
                record(HistoryHook().history, "mark", facts["release"], place, True, sentence)
        context["ti"].xcom_push("outcome", outcome)
        context["ti"].xcom_push(REASON, sentence)
        if facts:
            target = Target.model_validate(facts["target"])
            environment = _environment(facts, target)
            run: Any = context["dag_run"]
            from release_pipelines.core.model.records import ReleaseDetail

            known = ReleaseDetail(
                id=facts["release"],
                app=target.app,
                dag_id=run.dag_id,
                run_id=run.run_id,
                version=facts["version"],
                requester=facts["by"],
                reason=facts["reason"],
                outcome=outcome,
                sentence=sentence,
                started_at=time.time(),
            )
            explain_and_tell(context, known.id, target, environment, incident=outcome in INCIDENT, known=known)
        if outcome not in ("rolled_back", "no_op"):
            raise AirflowFailException(sentence)
        self.log.info(sentence)
        return {"outcome": outcome, "sentence": sentence}


def track_to_remove(observed: Observed) -> TrackStatus | None:
    """The track that a rollback removes: the new version beside stable while a release runs, else stable; None where nothing runs."""
    stable = observed.track("stable")
    beside = (observed.track(track) for track in ("canary", "preview"))
    return next((it for it in (*beside, stable) if runs(it)), None)


def serves(observed: Observed, good: Artifact) -> bool:
    """Whether ``good`` serves all traffic already, so that there is nothing to roll back."""
    stable = observed.track("stable")
    return stable.digest == good.digest and stable.settled and observed.stable_alone and not observed.beside


def _possible(plan: RollbackPlan) -> RollbackPlan:
    """The plan, unless only a person can help.

    :raises AirflowFailException: otherwise.
    """
    if plan.kind == "person":
        raise AirflowFailException(plan.sentence[0].upper() + plan.sentence[1:] + ".")
    return plan


def _environment(facts: dict[str, Any], target: Target) -> EnvironmentSpec:
    """The environment's settings in a rollback's facts; those that version 0.1 pushed have only its receivers."""
    if "environment" in facts:
        return EnvironmentSpec.model_validate(facts["environment"])
    connections = {
        "platform": target.platform_connection,
        "registry": target.registry_connection,
        "prometheus": target.prometheus_connection,
    }
    return EnvironmentSpec.model_validate(
        {
            "name": target.environment,
            "platform": target.platform,
            "router": {"kind": target.router.kind},
            "connections": connections,
            "address": {"url": target.url},
            "notify": facts.get("notify") or [],
        }
    )
