"""Put a version on a track: a rolling update of stable, or a canary beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from release_pipelines.domain.values import (
    Artifact,
    Deployment,
    Lease,
    Observed,
    RouteNote,
    Target,
    Track,
    TrackStatus,
    to_json,
)
from release_pipelines.hooks.platform import PlatformHook
from release_pipelines.operators.base import ReleaseOperator, explained, given, history_of
from release_pipelines.operators.lease import RUN
from release_pipelines.platforms.base import LeaseHeld, PlatformError
from release_pipelines.triggers.rollout import RolloutTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.platforms.base import Platform

WORKER_SECONDS = 8.0
"""A rollout that is ready sooner is waited for in the worker: a deferral costs about 3 s of its own."""
LOOK_SECONDS = 0.5


async def settle(platform: Platform, target: Target, track: Track, fence: int, seconds: float) -> TrackStatus:
    """Advance a track until it is settled, cannot get there, or ``seconds`` have passed."""
    end = time.monotonic() + seconds
    while True:
        status = await platform.advance(target, track, fence)
        if status.settled or status.failure or time.monotonic() > end:
            return status
        await asyncio.sleep(LOOK_SECONDS)


class DeployOperator(ReleaseOperator):
    """Deploy an artifact on a track, wait until it is ready or cannot become so (R7), and leave the traffic alone.

    :param target: the app in its environment: a :class:`~release_pipelines.domain.values.Target` or its dict.
    :param artifact: what to deploy: an :class:`~release_pipelines.domain.values.Artifact`, its dict, or JSON.
    :param lease: the lease, from :class:`~release_pipelines.operators.lease.TakeLeaseOperator`.
    :param release: the release's id.
    :return: a :class:`~release_pipelines.domain.values.Deployment` as a dict; also pushed as ``deployment`` before anything
        changes, so that a rollback knows what was there.
    """

    template_fields = ("artifact", "lease", "release")
    track: Track = "stable"

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

    async def prepare(self, platform: Platform, target: Target, lease: Lease) -> None:
        """What must be so before the track is changed; a refusal here leaves nothing to roll back."""

    def work(self, context: Context) -> dict[str, Any]:
        target, lease = given(Target, self.target, "target"), given(Lease, self.lease, "lease")
        artifact = given(Artifact, self.artifact, "artifact")
        hook = PlatformHook(target)
        observed = hook.call(lambda platform: platform.observe(target))
        track, replicas = self.choose(observed, target)
        hook.call(lambda platform: self.prepare(platform, target, lease))
        stable = observed.track("stable")
        deployment = Deployment(
            environment=target.environment,
            platform=target.platform,
            track=track,
            digest=artifact.digest,
            version=artifact.version,
            previous_digest=stable.digest,
            previous_version=stable.version,
            changed=observed.track(track).digest != artifact.digest,
        )
        # A retry finds its own half-done work: what was there before it is what its first try noted.
        noted = context["ti"].xcom_pull(task_ids=self.task_id, key="deployment")
        if noted and noted["digest"] == artifact.digest and noted["previous_digest"] != artifact.digest:
            deployment = Deployment.model_validate(noted)
        context["ti"].xcom_push("deployment", to_json(deployment))

        said = f"{artifact.version} on {track}, in place of {deployment.previous_version or 'nothing'}"
        history_of(context, self.release, artifact).record_event(
            self.release, "deployed", said, target.environment, to_json(deployment)
        )

        async def begin(platform: Platform) -> TrackStatus:
            await platform.deploy(target, track, artifact, replicas, lease.fence)
            return await settle(platform, target, track, lease.fence, WORKER_SECONDS)

        self.log.info("%s: %s (%s) on %s.", target.environment, artifact.version, artifact.digest, track)
        status = hook.call(begin)
        if status.settled or status.failure:
            return self._finish(target, deployment, status, lease, artifact)
        self.defer(
            trigger=RolloutTrigger(target=to_json(target), track=track, fence=lease.fence),
            method_name="ready",
            kwargs={"deployment": to_json(deployment)},
            timeout=timedelta(seconds=10 * target.workload.ready_timeout + 600),
        )

    def ready(self, context: Context, event: dict[str, Any], deployment: dict[str, Any]) -> dict[str, Any]:
        """The rollout has ended."""
        with explained(context):
            if event.get("error"):
                raise AirflowFailException(event["error"])
            return self._finish(
                given(Target, self.target, "target"),
                Deployment.model_validate(deployment),
                TrackStatus.model_validate(event["status"]),
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
            self._give_traffic(target, lease, artifact)
        return to_json(deployment)

    def _give_traffic(self, target: Target, lease: Lease, artifact: Artifact) -> None:
        """A stable that is ready has all traffic; a first release (R17) gets its route here."""
        note = RouteNote(release=self.release, step="deployed", weight=0, started_at=time.time())

        async def give(platform: Platform) -> None:
            observed = await platform.observe(target)
            kept = observed.route.note.last_good if observed.route else None
            await platform.split(target, 0, note.model_copy(update={"last_good": kept}), lease.fence)

        PlatformHook(target).call(give)


class RollingUpdateOperator(DeployOperator):
    """Replace the running version replica by replica, losing no request.

    Parameters, XCom and errors as :class:`DeployOperator`.

    .. code-block:: python

        lease = TakeLeaseOperator(task_id="take_lease", target=target)
        RollingUpdateOperator(task_id="deploy", target=target, artifact=artifact.output, lease=lease.output)
    """


class RollBackUpdateOperator(RollingUpdateOperator):
    """Undo a rolling update: deploy what ran before. Takes the lease itself, and gives it back.

    :param target: the app in its environment.
    :param deployment: what :class:`RollingUpdateOperator` pushed under ``deployment``; where it is missing, or nothing ran
        before, or another release has changed the environment since or is doing so, the task is skipped.
    :param image: repository of the app's images, without tag and digest.
    :param release: the release's id.
    """

    template_fields = ("deployment", "image", "release")

    def __init__(self, *, deployment: Any, image: str, **kwargs: Any) -> None:
        super().__init__(artifact=None, lease=None, **kwargs)
        self.deployment = deployment
        self.image = image

    def work(self, context: Context) -> dict[str, Any]:
        if self.deployment in (None, "", "null", "None"):
            raise AirflowSkipException("Nothing was deployed here.")
        done = given(Deployment, self.deployment, "deployment")
        if not done.previous_digest or done.previous_digest == done.digest:
            raise AirflowSkipException("Nothing else ran here before.")
        target = given(Target, self.target, "target")
        self.artifact = Artifact(
            app=target.app, version=done.previous_version or "unknown", image=self.image, digest=done.previous_digest
        )
        self._take(target)
        with self._freed_on_failure(target):
            running = PlatformHook(target).call(lambda platform: platform.observe(target)).track("stable")
            if running.digest not in (done.digest, done.previous_digest):
                raise AirflowSkipException(
                    f"Another release has put {running.version or running.digest} in {target.environment} since: it stays."
                )
            result: dict[str, Any] = super().work(context)
        return self._give_back(target, result)

    def ready(self, context: Context, event: dict[str, Any], deployment: dict[str, Any]) -> dict[str, Any]:
        """The way back has ended; the lease is the holder's own, so it can be taken again to learn its fence."""
        with explained(context):
            target, back = given(Target, self.target, "target"), Deployment.model_validate(deployment)
            self.artifact = Artifact(app=target.app, version=back.version, image=self.image, digest=back.digest)
            self._take(target)
            with self._freed_on_failure(target):
                result = super().ready(context, event, deployment)
            return self._give_back(target, result)

    def _take(self, target: Target) -> None:
        ttl = 10 * target.workload.ready_timeout
        try:
            self.lease = PlatformHook(target).call(lambda platform: platform.take_lease(target, self.release, ttl))
        except LeaseHeld as held:
            raise AirflowSkipException(f"{held} What it deploys there stays.") from None

    @contextmanager
    def _freed_on_failure(self, target: Target) -> Iterator[None]:
        """Whatever goes wrong, nobody has to wait until the lease expires."""
        try:
            yield
        except Exception:  # a deferral is none
            with suppress(PlatformError):
                self._give_back(target, {})
            raise

    def _give_back(self, target: Target, result: dict[str, Any]) -> dict[str, Any]:
        lease = given(Lease, self.lease, "lease")
        PlatformHook(target).call(lambda platform: platform.give_back_lease(target, lease))
        return result


class CanaryDeployOperator(DeployOperator):
    """Start the new version beside the running one, without traffic.

    With nothing good running yet (a first release, R17) the artifact goes on stable and gets all traffic. The
    returned ``track`` says which of both it was.

    :param replicas: replicas the canary starts with.

    Other parameters, XCom and errors as :class:`DeployOperator`.
    """

    def __init__(self, *, replicas: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.replicas = replicas

    def choose(self, observed: Observed, target: Target) -> tuple[Track, int | None]:
        """Stable for a first release; the canary for every other."""
        return ("stable", None) if first_release(observed) else ("canary", self.replicas)

    async def prepare(self, platform: Platform, target: Target, lease: Lease) -> None:
        """A canary that an earlier release left with traffic (R18) must lose it first: what is deployed here is new."""
        observed = await platform.observe(target)
        if not observed.weight("canary"):
            return
        stable = observed.track("stable")
        if stable.ready < max(1, stable.wanted) or stable.failure:
            raise PlatformError(
                f"The canary that an earlier release left in {target.environment} has {observed.weight('canary')} % of the "
                f"traffic, and stable cannot take it: {stable.ready} of {stable.wanted} replicas are ready. "
                "Nothing was changed."
            )
        self.log.warning("An earlier release left traffic on the canary: stable takes all of it.")
        kept = observed.route.note.last_good if observed.route else None
        note = RouteNote(release=self.release, step="cleared", weight=0, started_at=time.time(), last_good=kept)
        await platform.split(target, 0, note, lease.fence)


def first_release(observed: Observed) -> bool:
    """R17: nothing runs that could take the traffic back."""
    stable = observed.track("stable")
    known_good = observed.route.note.last_good if observed.route else None
    return stable.digest is None or (stable.ready == 0 and known_good is None)
