"""Wait for a rollout that somebody else began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.operator import as_value, explained
from release_pipelines.airflow.triggers import WatchTrigger
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track

if TYPE_CHECKING:
    from airflow.sdk import Context


class RolloutSensor(BaseSensorOperator):
    """Succeed when a track runs what it shall run; fail as soon as it is clear that it cannot (R7).

    Only looks. Deferred by default: holds no worker slot.

    :param target: the app in its environment: a :class:`~release_pipelines.core.model.target.Target` or its dict.
    :param track: ``stable`` or ``canary``.
    :param deferrable: False: poke in the worker.
    :return: the :class:`~release_pipelines.core.model.observation.TrackStatus` as a dict.

    Templated: nothing.
    XCom: return value.
    """

    def __init__(
        self, *, target: Target | dict[str, Any], track: Track = "stable", deferrable: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.track: Track = track
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Look once, then wait for the trigger."""
        if not self.deferrable:
            return super().execute(context)
        if not self.poke(context):
            target = as_value(Target, self.target, "target")
            self.defer(trigger=WatchTrigger(target=to_json(target), track=self.track), method_name="ended")
        return None

    def poke(self, context: Context) -> bool:
        """Whether the track is settled."""
        with explained(context):
            target = as_value(Target, self.target, "target")
            status = PlatformHook(target).call(lambda platform: platform.observe(target)).track(self.track)
            return self._settled(status)

    def ended(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """The trigger has seen the end."""
        with explained(context):
            if event.get("error"):
                raise AirflowFailException(event["error"])
            status = TrackStatus.model_validate(event["status"])
            self._settled(status)
            return to_json(status)

    def _settled(self, status: TrackStatus) -> bool:
        if status.failure:
            raise AirflowFailException(f"{status.version or self.track} did not become ready: {status.failure}")
        self.log.info("%s: %s of %s ready. %s", status.track, status.ready, status.wanted, status.waiting or "")
        return status.settled
