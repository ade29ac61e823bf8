"""Promotion: the version that passed all stages becomes stable (R18)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.airflow.hooks.history import record
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.operator import (
    RUN,
    TROUBLE,
    ReleaseOperator,
    as_value,
    checked_event,
    checked_lease,
    explained,
    history_of,
    is_blank,
)
from release_pipelines.airflow.windows import WINDOW_CLOSED, kept_to
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.stage import OnDrift
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.window import WindowRule
from release_pipelines.features.promotion.triggers import PromoteTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class PromoteOperator(ReleaseOperator):
    """Make the version that passed all stages the new stable (R18). Deferred: holds no worker slot.

    :param target: the app in its environment: a :class:`~release_pipelines.core.model.target.Target` or its dict.
    :param artifact: the artifact that passed all stages.
    :param lease: the lease, from :class:`~release_pipelines.features.lease.operators.TakeLeaseOperator`.
    :param release: the release's id.
    :param deployment: what the deploying task returned: it names what stable gets back when somebody aborts the promotion.
    :param return_weights: falling weights of the judged track while its traffic returns to stable; 0 comes last by itself.
    :param keep_old: seconds that the old version keeps running on stable before it is changed, so that a rollback is one
        write during that time.
    :param retire_after: seconds that the judged track keeps running after it lost its traffic (R15).
    :param return_hold: seconds that stable is watched after each of these weights.
    :param analysis: how stable is judged meanwhile, an :class:`~release_pipelines.core.model.analysis.Analysis` or its dict: when
        it gets worse, the track that held takes the traffic again. None: by its replicas only.
    :param on_drift: ``reassert`` or ``abort``: what to do when somebody else puts something else on stable (R14).
    :param window: the :class:`~release_pipelines.core.model.window.WindowRule` that the release keeps to until stable is changed, or its
        dict; None: to none.
    :param overridden: why an urgent release does not keep to it; empty: it does.
    :return: ``{"promoted": true}``.

    Fails when stable does not take the new version: then all traffic stays on the healthy track. A person who
    aborts fails it too, with XCom ``aborted``.

    Templated: ``artifact``, ``lease``, ``release``, ``deployment``, ``overridden``.
    XCom: return value; ``aborted`` when a person ends the release; ``reason`` when it fails.
    """

    template_fields = ("artifact", "lease", "release", "deployment", "overridden")

    def __init__(
        self,
        *,
        target: Target | dict[str, Any],
        artifact: Any,
        lease: Any,
        release: str = RUN,
        deployment: Any = None,
        return_weights: list[int] | None = None,
        keep_old: float = 0.0,
        retire_after: float = 30.0,
        return_hold: float = 0.0,
        analysis: Analysis | dict[str, Any] | None = None,
        on_drift: OnDrift = "reassert",
        window: WindowRule | dict[str, Any] | None = None,
        overridden: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.artifact = artifact
        self.lease = lease
        self.release = release
        self.deployment = deployment
        self.return_weights = [50] if return_weights is None else return_weights
        self.keep_old = keep_old
        self.retire_after = retire_after
        self.return_hold = return_hold
        self.analysis = analysis
        self.on_drift: OnDrift = on_drift
        self.window = window
        self.overridden = overridden

    def work(self, context: Context) -> None:
        target, lease = as_value(Target, self.target, "target"), as_value(Lease, self.lease, "lease")
        artifact = as_value(Artifact, self.artifact, "artifact")
        observed = checked_lease(PlatformHook(target).call(lambda platform: platform.observe(target)), lease, target)
        track = judged_track(observed)
        deployment = None if is_blank(self.deployment) else as_value(Deployment, self.deployment, "deployment")
        judged_in_place = deployment is not None and deployment.track == "stable"  # then it is set again
        if observed.track(track).digest != artifact.digest and not (track == "stable" and judged_in_place):
            raise AirflowFailException(
                f"{observed.track(track).digest} runs on {track}, and {artifact.digest} was to be promoted: nothing was changed."
            )
        self.defer(
            trigger=PromoteTrigger(
                target=to_json(target),
                release=self.release,
                artifact=to_json(artifact),
                fence=lease.fence,
                track=track,
                return_weights=self.return_weights,
                keep_old=self.keep_old,
                retire_after=self.retire_after,
                previous=to_json(deployment.good) if deployment and deployment.good else None,
                return_hold=self.return_hold,
                analysis=to_json(as_value(Analysis, self.analysis, "analysis")) if self.analysis else None,
                on_drift=self.on_drift,
                window=kept_to(self.window, self.overridden),
            ),
            method_name="promoted",
        )

    def promoted(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """The promotion has ended."""
        with explained(context):
            artifact, notes = as_value(Artifact, self.artifact, "artifact"), event.get("notes") or []
            for note in notes:
                environment = as_value(Target, self.target, "target").environment
                record(
                    lambda: history_of(context, self.release, artifact),
                    "record_event",
                    self.release,
                    "drift",
                    note,
                    environment,
                )
            checked_event(event)
            if event.get("failure"):
                from release_pipelines.core.progression.closing import comes_from_window

                if comes_from_window(event["failure"]):  # that is not the version's fault
                    context["ti"].xcom_push(TROUBLE, WINDOW_CLOSED)
                    raise AirflowFailException(event["failure"])
                raise AirflowFailException(
                    f"Stable did not take the new version, the traffic stays where it held: {event['failure']}"
                )
            record(lambda: history_of(context, self.release, artifact), "promoted", self.release)
            return event


def judged_track(observed: Observed) -> Track:
    """The track beside stable that the new version was judged on; stable where it was rolled, or is the first."""
    return next((track for track in ("canary", "preview") if observed.track(track).wanted), "stable")
