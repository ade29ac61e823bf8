"""Put a version on a track: a rolling update of stable, or a canary beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.operator import (
    RUN,
    ReleaseOperator,
    abort_watch,
    as_value,
    checked_event,
    explained,
    history_of,
    is_blank,
    known_expired,
    looks_expired,
)
from release_pipelines.airflow.rollouts import WORKER_SECONDS, longest, settle
from release_pipelines.airflow.stable import known_stable
from release_pipelines.airflow.triggers import LeaseFreeTrigger, RolloutTrigger
from release_pipelines.core.capacity import capacity_of, fitted
from release_pipelines.core.errors import LeaseHeld, PlatformError
from release_pipelines.core.model.artifact import UNKNOWN_VERSION, Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.features.deployment.decisions import first_release, good_before

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.history import History
    from release_pipelines.core.ports.platform import Platform


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
    reverts = False
    """Whether this is a revert: it restores the configuration that the version ran with, and nobody can abort it."""

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

    def choose(self, observed: Observed, artifact: Artifact) -> tuple[Track, int | None]:
        """The track, and how many replicas it gets (None: as many as the workload has)."""
        return self.track, None

    def prepare(self, hook: PlatformHook, target: Target, lease: Lease) -> None:
        """Prepare the environment before the track is changed; an error here leaves nothing to roll back."""

    def begins(self, deployment: Deployment) -> bool:
        """Whether this task starts the version; otherwise it only records what ran before."""
        return True

    def work(self, context: Context) -> Any:
        target, lease = as_value(Target, self.target, "target"), as_value(Lease, self.lease, "lease")
        artifact = as_value(Artifact, self.artifact, "artifact")
        hook = PlatformHook(target)
        observed = known_stable(hook, target)
        track, replicas = self.choose(observed, artifact)
        self.prepare(hook, target, lease)
        history = history_of(context, self.release, artifact)
        check_abort = None if self.reverts else abort_watch(history, self.release)
        if check_abort:
            check_abort()
        deployment = self._deployment(context, target, artifact, observed, track, history)
        if deployment.track != track:  # a retry of a first release finds its own half-done work on stable
            track, replicas = deployment.track, None
        sentence = f"{artifact.version} on {track}, in place of {deployment.previous_version or 'nothing'}"
        history.record_event(self.release, "deployed", sentence, target.environment, to_json(deployment))
        if not self.begins(deployment):
            return to_json(deployment)

        async def begin(platform: Platform) -> TrackStatus:
            await platform.deploy(target, track, artifact, replicas, lease.fence, restore=self.reverts)
            return await settle(
                platform,
                target,
                track,
                lease.fence,
                WORKER_SECONDS,
                check_abort,
                artifact=artifact,
                restore=self.reverts,
            )

        self.log.info("%s: %s (%s) on %s.", target.environment, artifact.version, artifact.digest, track)
        status = hook.call(begin)
        if status.settled or status.failure:
            return self._finish(target, deployment, status, lease, artifact)
        self.defer(
            trigger=RolloutTrigger(
                target=to_json(target),
                track=track,
                fence=lease.fence,
                release=None if self.reverts else self.release,
                artifact=to_json(artifact),
                restore=self.reverts,
            ),
            method_name="ready",
            kwargs={"deployment": to_json(deployment)},
            timeout=timedelta(seconds=longest(target, status.wanted)),
        )

    def _deployment(
        self, context: Context, target: Target, artifact: Artifact, observed: Observed, track: Track, history: History
    ) -> Deployment:
        """The deployment with what ran before, pushed to XCom. A retry that finds its own half-done work takes its first try's."""
        pushed = context["ti"].xcom_pull(task_ids=self.task_id, key="deployment")
        if pushed and pushed["digest"] == artifact.digest and pushed["previous_digest"] != artifact.digest:
            return Deployment.model_validate(pushed)
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
            previous_image=stable.image,
            first=first_release(observed, artifact.digest),
            good=good_before(observed, artifact, recorded),
            stable_replicas=stable.wanted or None,
            changed=observed.track(track).digest != artifact.digest,
        )
        context["ti"].xcom_push("deployment", to_json(deployment))
        return deployment

    def ready(self, context: Context, event: dict[str, Any], deployment: dict[str, Any]) -> dict[str, Any]:
        """The rollout has ended."""
        with explained(context):
            return self._finish(
                as_value(Target, self.target, "target"),
                Deployment.model_validate(deployment),
                TrackStatus.model_validate(checked_event(event)["status"]),
                as_value(Lease, self.lease, "lease"),
                as_value(Artifact, self.artifact, "artifact"),
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
        now = time.time()

        async def give(platform: Platform) -> None:
            before = (await platform.observe(target)).note
            note = before.followed_by(release=self.release, step="deployed", traffic=ALL_TO_STABLE, started_at=now)
            await platform.split(target, ALL_TO_STABLE, note, lease.fence)

        PlatformHook(target).call(give)


class RollingUpdateOperator(DeployOperator):
    """Replace the running version replica by replica, losing no request.

    Parameters, XCom and errors as :class:`DeployOperator`.

    .. code-block:: python

        lease = TakeLeaseOperator(task_id="take_lease", target=target)
        RollingUpdateOperator(task_id="deploy", target=target, artifact=artifact.output, lease=lease.output)

    Templated: ``artifact``, ``lease``, ``release``.
    XCom: return value, ``deployment``; ``aborted`` when a person ends the release; ``reason`` when it fails.
    """


class JudgedDeployOperator(DeployOperator):
    """Begin a judged release: with nothing good running yet (a first release, R17) the artifact goes on stable, and gets all
    traffic. Traffic that an earlier release left beside stable goes back to it before anything is deployed.

    Parameters, XCom and errors as :class:`DeployOperator`; the returned ``first`` says whether it was the first release.
    """

    def choose(self, observed: Observed, artifact: Artifact) -> tuple[Track, int | None]:
        """Stable for a first release; its own track for every other."""
        first = first_release(observed, artifact.digest)
        return ("stable", None) if first else (self.track, self.capacity(observed))

    def capacity(self, observed: Observed) -> int | None:
        """Replicas that the version starts with."""
        return None

    def prepare(self, hook: PlatformHook, target: Target, lease: Lease) -> None:
        """Move traffic that an earlier release left on a track beside stable (R18) back to stable: the track gets a new version."""
        observed = hook.call(lambda platform: platform.observe(target))
        serving = next(filter(observed.reaches, observed.beside), None)
        if serving is None or observed.route is None:
            return
        stable = observed.track("stable")
        if stable.ready < max(1, stable.wanted) or stable.failure:
            raise PlatformError(
                f"The {serving} that an earlier release left in {target.environment} has "
                f"{observed.route.traffic.named(serving)}, and stable cannot take it: "
                f"{stable.ready} of {stable.wanted} replicas are ready. "
                "Nothing was changed."
            )
        self.log.warning("An earlier release left traffic on the %s: stable takes all of it.", serving)
        note = observed.note.followed_by(
            release=self.release, step="cleared", traffic=ALL_TO_STABLE, started_at=time.time()
        )
        hook.call(lambda platform: platform.split(target, ALL_TO_STABLE, note, lease.fence))


class CanaryDeployOperator(JudgedDeployOperator):
    """Start the new version beside the running one, without traffic.

    :param replicas: replicas the canary starts with.
    :param stage: the first stage, a :class:`~release_pipelines.core.model.stage.Stage` or its dict: the canary starts with what
        that needs beside the replicas that stable has, instead of ``replicas``.

    Other parameters, XCom and errors as :class:`JudgedDeployOperator`.

    Templated: ``artifact``, ``lease``, ``release``.
    XCom: return value, ``deployment``; ``aborted`` when a person ends the release; ``reason`` when it fails.
    """

    track: Track = "canary"

    def __init__(self, *, replicas: int = 1, stage: Stage | dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.replicas = replicas
        self.stage = stage

    def capacity(self, observed: Observed) -> int | None:
        """As many as the first stage needs, or the parameter ``replicas`` says."""
        if self.stage is None:
            return self.replicas
        target, stage = as_value(Target, self.target, "target"), as_value(Stage, self.stage, "stage")
        stable = max(1, observed.track("stable").wanted)
        return capacity_of(fitted(stage, target, stable), target, stable)


class PreviewDeployOperator(JudgedDeployOperator):
    """Start the new version beside the running one with full capacity, reachable at its own address only.

    Parameters, XCom and errors as :class:`JudgedDeployOperator`.

    Templated: ``artifact``, ``lease``, ``release``.
    XCom: return value, ``deployment``; ``aborted`` when a person ends the release; ``reason`` when it fails.
    """

    track: Track = "preview"

    def capacity(self, observed: Observed) -> int | None:
        """As many as stable has: the version will take all traffic at once."""
        return max(1, observed.track("stable").wanted)


class RollingDeployOperator(JudgedDeployOperator):
    """Record what runs before the stages of a rolling release replace it, batch by batch. Deploys only a first release.

    Parameters, XCom and errors as :class:`JudgedDeployOperator`.

    Templated: ``artifact``, ``lease``, ``release``.
    XCom: return value, ``deployment``; ``aborted`` when a person ends the release; ``reason`` when it fails.
    """

    def begins(self, deployment: Deployment) -> bool:
        """Only a first release: else the first stage deploys."""
        return deployment.first


class RollBackUpdateOperator(RollingUpdateOperator):
    """Revert a rolling update: deploy what ran before. Takes the lease itself, and gives it back.

    :param target: the app in its environment.
    :param deployment: what :class:`RollingUpdateOperator` pushed under ``deployment``; where it is missing, or nothing ran
        before, or another release has changed the environment since or is doing so, the task is skipped.
    :param image: repository of the app's images, without tag and digest, where the deployment does not say what it ran from.
    :param release: the release's id.

    Templated: ``deployment``, ``image``, ``release``.
    XCom: return value, ``deployment``; ``reason`` when it fails.
    """

    template_fields = ("deployment", "image", "release")
    reverts = True

    def __init__(self, *, deployment: Any, image: str, **kwargs: Any) -> None:
        super().__init__(artifact=None, lease=None, **kwargs)
        self.deployment = deployment
        self.image = image
        self.expired: dict[str, Any] | None = None

    def work(self, context: Context) -> dict[str, Any]:
        if is_blank(self.deployment):
            raise AirflowSkipException("Nothing was deployed here.")
        deployed = as_value(Deployment, self.deployment, "deployment")
        if not deployed.previous_digest or deployed.previous_digest == deployed.digest:
            raise AirflowSkipException("Nothing else ran here before.")
        target = as_value(Target, self.target, "target")
        self.artifact = Artifact(
            app=target.app,
            version=deployed.previous_version or UNKNOWN_VERSION,
            image=deployed.previous_image or self.image,
            digest=deployed.previous_digest,
        )
        self._take(target)
        with self._lease_freed_on_failure(target):
            running = PlatformHook(target).call(lambda platform: platform.observe(target)).track("stable")
            if running.digest not in (deployed.digest, deployed.previous_digest):
                raise AirflowSkipException(
                    f"Another release has put {running.named} in {target.environment} since: it stays."
                )
            result: dict[str, Any] = super().work(context)
        return self._give_back(target, result)

    def ready(self, context: Context, event: dict[str, Any], deployment: dict[str, Any]) -> dict[str, Any]:
        """The revert's rollout has ended. The lease is this release's own: taking it again tells its fence."""
        with explained(context):
            target, reverted = as_value(Target, self.target, "target"), Deployment.model_validate(deployment)
            image = as_value(Deployment, self.deployment, "deployment").previous_image or self.image
            self.artifact = Artifact(app=target.app, version=reverted.version, image=image, digest=reverted.digest)
            self._take(target)
            with self._lease_freed_on_failure(target):
                result = super().ready(context, event, deployment)
            return self._give_back(target, result)

    def _take(self, target: Target) -> None:
        ttl = longest(target, target.workload.replicas)
        hook, watched = PlatformHook(target), known_expired(self.expired)
        try:
            self.lease = hook.call(lambda platform: platform.take_lease(target, self.release, ttl, **watched))
        except LeaseHeld as error:
            if looks_expired(hook, target):
                self.log.info("%s Watching whether it is.", error)
                self.defer(trigger=LeaseFreeTrigger(target=to_json(target)), method_name="resume")
            raise AirflowSkipException(f"{error} What it deploys there stays.") from None

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Nobody renews the lease: take it."""
        self.expired = event.get("expired")
        return self.execute(context)

    @contextmanager
    def _lease_freed_on_failure(self, target: Target) -> Iterator[None]:
        """Give the lease back on any error, so that nobody has to wait until it expires."""
        try:
            yield
        except Exception:  # a deferral is none
            with suppress(PlatformError):
                self._give_back(target, {})
            raise

    def _give_back(self, target: Target, result: dict[str, Any]) -> dict[str, Any]:
        lease = as_value(Lease, self.lease, "lease")
        PlatformHook(target).call(lambda platform: platform.give_back_lease(target, lease))
        return result
