"""Undo a rolling update in an environment before production."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.operator import blank, explained, given
from release_pipelines.core.errors import LeaseHeld, PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.target import Target
from release_pipelines.features.deployment.operators import RollingUpdateOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class RollBackUpdateOperator(RollingUpdateOperator):
    """Undo a rolling update: deploy what ran before. Takes the lease itself, and gives it back.

    :param target: the app in its environment.
    :param deployment: what :class:`RollingUpdateOperator` pushed under ``deployment``; where it is missing, or nothing ran
        before, or another release has changed the environment since or is doing so, the task is skipped.
    :param image: repository of the app's images, without tag and digest.
    :param release: the release's id.
    """

    template_fields = ("deployment", "image", "release")
    way_back = True

    def __init__(self, *, deployment: Any, image: str, **kwargs: Any) -> None:
        super().__init__(artifact=None, lease=None, **kwargs)
        self.deployment = deployment
        self.image = image

    def work(self, context: Context) -> dict[str, Any]:
        if blank(self.deployment):
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
