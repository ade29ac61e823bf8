"""Put a version on a track: a rolling update of stable, or a canary beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.operator import (
    RUN,
    ReleaseOperator,
    abort_watch,
    explained,
    given,
    history_of,
    went_well,
)
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.progression.rollout import RolloutTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.history import History
    from release_pipelines.core.ports.platform import Platform

UNKNOWN = "unknown"
"""Version of what ran before any release put it there, named by nothing but its digest."""
WORKER_SECONDS = 8.0
"""A rollout that is ready sooner is waited for in the worker: a deferral costs about 3 s of its own."""
LOOK_SECONDS = 0.5
COMMAND_SECONDS = 1.0
"""Pause between two looks for a person who aborts."""


async def settle(
    platform: Platform, target: Target, track: Track, fence: int, seconds: float, look: Callable[[], None] | None = None
) -> TrackStatus:
    """Advance a track until it is settled, cannot get there, or ``seconds`` have passed.

    :param look: called about once a second, in a thread of its own; what it raises ends the wait.
    """
    end, looked = time.monotonic() + seconds, 0.0
    while True:
        if look is not None and time.monotonic() - looked >= COMMAND_SECONDS:
            await asyncio.to_thread(look)
            looked = time.monotonic()
        status = await platform.advance(target, track, fence)
        if status.settled or status.failure or time.monotonic() > end:
            return status
        await asyncio.sleep(LOOK_SECONDS)


class DeployOperator(ReleaseOperator):
    """Deploy an artifact on a track, wait until it is ready or cannot become so (R7), and leave the traffic alone.

    :param target: the app in its environment: a :class:`~release_pipelines.core.model.target.Target` or its dict.
    :param artifact: what to deploy: an :class:`~release_pipelines.core.model.artifact.Artifact`, its dict, or JSON.
    :param lease: the lease, from :class:`~release_pipelines.features.lease.operators.TakeLeaseOperator`.
    :param release: the release's id.
    :return: a :class:`~release_pipelines.core.model.deployment.Deployment` as a dict; also pushed as ``deployment`` before anything
        changes, so that a rollback knows what was there. A person who aborts the release ends it, with XCom ``aborted``.
    """

    template_fields = ("artifact", "lease", "release")
    track: Track = "stable"
    way_back = False
    """A way back restores the configuration that the version ran with, and nobody can abort it."""

    def __init__(
        self,
        *,
        target: Target | dict[str, Any],
        artifact: Any,
        lease: Any,
        release: str = RUN,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.artifact = artifact
        self.lease = lease
        self.release = release

    def choose(self, observed: Observed, target: Target) -> tuple[Track, int | None]:
        """The track, and how many replicas it gets (None: as many as the workload has)."""
        return self.track, None

    def prepare(self, hook: PlatformHook, target: Target, lease: Lease) -> None:
        """What must be so before the track is changed; a refusal here leaves nothing to roll back."""

    def begins(self, deployment: Deployment) -> bool:
        """Whether this task starts the version; otherwise it only notes what was there."""
        return True

    def work(self, context: Context) -> Any:
        target, lease = given(Target, self.target, "target"), given(Lease, self.lease, "lease")
        artifact = given(Artifact, self.artifact, "artifact")
        hook = PlatformHook(target)
        observed = hook.call(lambda platform: platform.observe(target))
        track, replicas = self.choose(observed, target)
        self.prepare(hook, target, lease)
        history = history_of(context, self.release, artifact)
        look = None if self.way_back else abort_watch(history, self.release)
        if look:
            look()
        deployment = self._noted(context, target, artifact, observed, track, history)
        if deployment.track != track:  # a retry of a first release finds its own half-done work on stable
            track, replicas = deployment.track, None
        said = f"{artifact.version} on {track}, in place of {deployment.previous_version or 'nothing'}"
        history.record_event(self.release, "deployed", said, target.environment, to_json(deployment))
        if not self.begins(deployment):
            return to_json(deployment)

        async def begin(platform: Platform) -> TrackStatus:
            await platform.deploy(target, track, artifact, replicas, lease.fence, restore=self.way_back)
            return await settle(platform, target, track, lease.fence, WORKER_SECONDS, look)

        self.log.info("%s: %s (%s) on %s.", target.environment, artifact.version, artifact.digest, track)
        status = hook.call(begin)
        if status.settled or status.failure:
            return self._finish(target, deployment, status, lease, artifact)
        self.defer(
            trigger=RolloutTrigger(
                target=to_json(target),
                track=track,
                fence=lease.fence,
                release=None if self.way_back else self.release,
            ),
            method_name="ready",
            kwargs={"deployment": to_json(deployment)},
            timeout=timedelta(seconds=10 * target.workload.ready_timeout + 600),
        )

    def _noted(
        self, context: Context, target: Target, artifact: Artifact, observed: Observed, track: Track, history: History
    ) -> Deployment:
        """What there was before, kept in XCom. A retry that finds its own half-done work takes its first try's note."""
        noted = context["ti"].xcom_pull(task_ids=self.task_id, key="deployment")
        if noted and noted["digest"] == artifact.digest and noted["previous_digest"] != artifact.digest:
            return Deployment.model_validate(noted)
        stable = observed.track("stable")
        recorded = history.last_good(target.app, target.environment, excluding=artifact.digest)
        deployment = Deployment(
            environment=target.environment,
            platform=target.platform,
            track=track,
            digest=artifact.digest,
            version=artifact.version,
            previous_digest=stable.digest,
            previous_version=stable.version,
            first=first_release(observed),
            good=good_before(observed, artifact, recorded),
            changed=observed.track(track).digest != artifact.digest,
        )
        context["ti"].xcom_push("deployment", to_json(deployment))
        return deployment

    def ready(self, context: Context, event: dict[str, Any], deployment: dict[str, Any]) -> dict[str, Any]:
        """The rollout has ended."""
        with explained(context):
            return self._finish(
                given(Target, self.target, "target"),
                Deployment.model_validate(deployment),
                TrackStatus.model_validate(went_well(event)["status"]),
                given(Lease, self.lease, "lease"),
                given(Artifact, self.artifact, "artifact"),
            )

    def _finish(
        self, target: Target, deployment: Deployment, status: TrackStatus, lease: Lease, artifact: Artifact
    ) -> dict[str, Any]:
        if status.failure:
            raise AirflowFailException(f"{deployment.version} did not become ready: {status.failure}")
        self.log.info("%s: %s of %s replicas ready.", deployment.track, status.ready, status.wanted)
        if deployment.track == "stable":
            self._give_traffic(target, lease)
        return to_json(deployment)

    def _give_traffic(self, target: Target, lease: Lease) -> None:
        """A stable that is ready has all traffic; a first release (R17) gets its route here."""
        note = RouteNote(release=self.release, step="deployed", traffic=ALL_TO_STABLE, started_at=time.time())

        async def give(platform: Platform) -> None:
            observed = await platform.observe(target)
            kept = observed.route.note.last_good if observed.route else None
            await platform.split(target, ALL_TO_STABLE, note.model_copy(update={"last_good": kept}), lease.fence)

        PlatformHook(target).call(give)


class RollingUpdateOperator(DeployOperator):
    """Replace the running version replica by replica, losing no request.

    Parameters, XCom and errors as :class:`DeployOperator`.

    .. code-block:: python

        lease = TakeLeaseOperator(task_id="take_lease", target=target)
        RollingUpdateOperator(task_id="deploy", target=target, artifact=artifact.output, lease=lease.output)
    """


class JudgedDeployOperator(DeployOperator):
    """Begin a judged release: with nothing good running yet (a first release, R17) the artifact goes on stable, and gets all
    traffic. Traffic that an earlier release left beside stable goes back to it before anything is deployed.

    Parameters, XCom and errors as :class:`DeployOperator`; the returned ``first`` says whether it was the first release.
    """

    def choose(self, observed: Observed, target: Target) -> tuple[Track, int | None]:
        """Stable for a first release; its own track for every other."""
        return ("stable", None) if first_release(observed) else (self.track, self.capacity(observed))

    def capacity(self, observed: Observed) -> int | None:
        """Replicas that the version starts with."""
        return None

    def prepare(self, hook: PlatformHook, target: Target, lease: Lease) -> None:
        """A track that an earlier release left with traffic (R18) must lose it first: what is deployed here is new."""
        observed = hook.call(lambda platform: platform.observe(target))
        left = next((track for track in observed.beside if observed.weight(track)), None)
        if left is None:
            return
        stable = observed.track("stable")
        if stable.ready < max(1, stable.wanted) or stable.failure:
            raise PlatformError(
                f"The {left} that an earlier release left in {target.environment} has {observed.weight(left)} % of the "
                f"traffic, and stable cannot take it: {stable.ready} of {stable.wanted} replicas are ready. "
                "Nothing was changed."
            )
        self.log.warning("An earlier release left traffic on the %s: stable takes all of it.", left)
        note = RouteNote(
            release=self.release,
            step="cleared",
            traffic=ALL_TO_STABLE,
            started_at=time.time(),
            last_good=observed.route.note.last_good if observed.route else None,
        )
        hook.call(lambda platform: platform.split(target, ALL_TO_STABLE, note, lease.fence))


class CanaryDeployOperator(JudgedDeployOperator):
    """Start the new version beside the running one, without traffic.

    :param replicas: replicas the canary starts with.

    Other parameters, XCom and errors as :class:`JudgedDeployOperator`.
    """

    track: Track = "canary"

    def __init__(self, *, replicas: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.replicas = replicas

    def capacity(self, observed: Observed) -> int | None:
        """As given."""
        return self.replicas


class PreviewDeployOperator(JudgedDeployOperator):
    """Start the new version beside the running one with full capacity, reachable at its own address only.

    Parameters, XCom and errors as :class:`JudgedDeployOperator`.
    """

    track: Track = "preview"

    def capacity(self, observed: Observed) -> int | None:
        """As much as stable has: it will take all traffic at once."""
        return max(1, observed.track("stable").wanted)


class RollingDeployOperator(JudgedDeployOperator):
    """Note what runs before the stages of a rolling release replace it, batch by batch. Deploys only a first release.

    Parameters, XCom and errors as :class:`JudgedDeployOperator`.
    """

    def begins(self, deployment: Deployment) -> bool:
        """The first stage deploys by itself."""
        return deployment.first


def first_release(observed: Observed) -> bool:
    """R17: nothing runs that could take the traffic back."""
    stable = observed.track("stable")
    known_good = observed.route.note.last_good if observed.route else None
    return stable.digest is None or (stable.ready == 0 and known_good is None)


def good_before(observed: Observed, artifact: Artifact, recorded: Artifact | None) -> Artifact | None:
    """What a rollback of stable goes back to: what held before; else what runs and is ready, though no release put it there.

    :param recorded: the newest artifact that the history knows as good.
    """
    stable = observed.track("stable")
    noted = observed.route.note.last_good if observed.route else None
    ran = None
    if stable.digest and stable.ready:
        ran = artifact.model_copy(
            update={"digest": stable.digest, "version": stable.version or UNKNOWN, "commit": None, "evidence": {}}
        )
    return next((it for it in (noted, recorded, ran) if it is not None and it.digest != artifact.digest), None)
