"""One stage of a strategy as one task: traffic for the new version, and a verdict about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.operator import REASON, RUN, ReleaseOperator, explained, given, judged, mine, went_well
from release_pipelines.core.capacity import capacity_of
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.features.stage.triggers import StageTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class StageOperator(ReleaseOperator):
    """Give the new version its traffic, or its share of the replicas, and judge it for a while. Holds no worker slot.

    A failing verdict, and a person who aborts, take the traffic back before Airflow hears of it (R4), and then fail the task.

    :param target: the app in its environment: a :class:`~release_pipelines.core.model.target.Target` or its dict.
    :param artifact: the artifact that is released.
    :param lease: the lease, from :class:`~release_pipelines.features.lease.operators.TakeLeaseOperator`.
    :param deployment: what the deploying task returned. After a first release (R17) nothing can be split: a stage succeeds at
        once, and the last one watches stable.
    :param stage: the :class:`~release_pipelines.core.model.stage.Stage` or its dict.
    :param release: the release's id.
    :return: the :class:`~release_pipelines.core.model.verdict.Verdict` as a dict; also pushed as ``verdict``, on failure too.
        ``aborted`` (``{"by", "reason"}``) is pushed when a person ended it.
    """

    template_fields = ("artifact", "lease", "deployment", "release")

    def __init__(
        self,
        *,
        target: Target | dict[str, Any],
        artifact: Any,
        lease: Any,
        deployment: Any,
        stage: Stage | dict[str, Any],
        release: str = RUN,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.artifact = artifact
        self.lease = lease
        self.deployment = deployment
        self.stage = stage
        self.release = release

    def work(self, context: Context) -> Any:
        deployment, stage = given(Deployment, self.deployment, "deployment"), given(Stage, self.stage, "stage")
        if deployment.first and not stage.last:
            self.log.info("First release: it has all traffic already, there is nothing to split.")
            return None
        if deployment.first:
            stage = stage.model_copy(update={"track": "stable", "traffic": None, "share": 100})
        target, lease = given(Target, self.target, "target"), given(Lease, self.lease, "lease")
        artifact = given(Artifact, self.artifact, "artifact")
        observed = mine(PlatformHook(target).call(lambda platform: platform.observe(target)), lease, target)
        self.defer(
            trigger=StageTrigger(
                target=to_json(target),
                release=self.release,
                artifact=to_json(artifact),
                fence=lease.fence,
                stage=to_json(stage),
                replicas=capacity_of(stage, target, max(1, observed.track("stable").wanted)),
                previous=to_json(deployment.good) if deployment.good else None,
            ),
            method_name="decided",
        )

    def decided(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """The stage has ended, and the traffic follows its verdict already: record, and tell Airflow."""
        with explained(context):
            if not event.get("verdict"):
                return went_well(event)
            target, artifact = given(Target, self.target, "target"), given(Artifact, self.artifact, "artifact")
            verdict = judged(context, event, self.release, target, artifact)
            if verdict.judgement != "pass" and not self._goes_on(verdict):
                context["ti"].xcom_push(REASON, verdict.sentence)
                raise AirflowFailException(verdict.sentence)
            self.log.info(verdict.sentence)
            return to_json(verdict)

    def _goes_on(self, verdict: Verdict) -> bool:
        from release_pipelines.core.judges.judging import action

        return action(given(Stage, self.stage, "stage").analysis, verdict) == "go_on"
