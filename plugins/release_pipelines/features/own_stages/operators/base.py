"""What all stages of a team's own share: placeholders, tries, what a failure means, and what is handed on."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from release_pipelines.airflow.forms import TRIES
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.operator import (
    RUN,
    ReleaseOperator,
    as_value,
    checked_event,
    explained,
    is_blank,
    judging_arguments,
    recorded_verdict,
)
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.own_stage import LARGEST_RESULT, OwnStageResult
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.units import lasting
from release_pipelines.core.placeholders import filled
from release_pipelines.core.ports.own_stage import OwnStagePlace
from release_pipelines.core.text import clean, one_line, storable

if TYPE_CHECKING:
    from airflow.sdk import Context

RESULT = "result"
"""XCom key of what a stage came to, also where it failed."""
BEGUN = "own_stage_begun"
"""Key in the task's state of when its first try began, in Unix seconds."""
KEPT_LENGTH = 256 * 1024
"""Maximum length of an output that is kept with a release, in characters; of a longer one the end is kept."""


class OwnStageOperator(ReleaseOperator):
    """Base: a subclass writes :meth:`run`, which returns a result, or defers; then :meth:`result_of` makes one of the event.

    A result that is a failure is tried again ``tries_again`` times, and then fails the task, unless ``continue_when`` is ``ended``.
    What could not be run at all is raised by a subclass, and fails the task whatever ``continue_when`` says.

    :param options: what the kind needs; placeholders in its texts are filled in right before it is used.
    :param target: the app in the environment that it works in: a :class:`~release_pipelines.core.model.target.Target` or its dict;
        None: none.
    :param artifact: the artifact that is released, as far as there is one by then.
    :param version: the version that is released.
    :param release: the release's id.
    :param earlier: names of earlier stages to templates of what they returned, as JSON.
    :param timeout: maximum time of one try, in seconds.
    :param tries_again: how often it is tried again after it has failed.
    :param stop_after: maximum time of all tries together, in seconds; None: no other than theirs.
    :param continue_when: ``ended``: a failure is told, and does not fail the task.
    :param keep_output: whether what it gives is kept with the release, as the text ``stage-<task>.txt``.
    :param judged: the :class:`~release_pipelines.core.model.stage.Stage` whose traffic the version has meanwhile, and that goes on being
        judged; with ``lease`` and ``deployment``. None: it has none.
    :param place: where it stands, and what is allowed there; None: nothing says so.
    :param lease: the lease, from :class:`~release_pipelines.features.lease.operators.TakeLeaseOperator`.
    :param deployment: what the deploying task returned.
    :return: the :class:`~release_pipelines.core.model.own_stage.OwnStageResult` as a dict.

    Templated: ``artifact``, ``version``, ``release``, ``earlier``, ``lease``, ``deployment``.
    XCom: return value, also as ``result`` where it fails; ``verdict`` when the version turns bad meanwhile, ``aborted`` when a person
    ends the release; ``reason`` when it fails.
    """

    template_fields = ("artifact", "version", "release", "earlier", "lease", "deployment")
    begins_again = TRIES
    """How often it is begun again after a worker died or a service did not answer, whatever is said about failures of its own."""
    typed = False
    """Whether an option that is a placeholder and nothing else gets the value as it is, and not as text."""

    def __init__(
        self,
        *,
        options: Any,
        target: Target | dict[str, Any] | None = None,
        artifact: Any = None,
        version: str = "",
        release: str = RUN,
        earlier: Mapping[str, Any] | None = None,
        timeout: float = 600.0,
        tries_again: int = 0,
        stop_after: float | None = None,
        continue_when: Literal["succeeded", "ended"] = "succeeded",
        keep_output: bool = False,
        judged: Stage | None = None,
        place: OwnStagePlace | None = None,
        lease: Any = None,
        deployment: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"retries": max(self.begins_again, tries_again), **kwargs})
        self.options = options
        self.target = target
        self.artifact = artifact
        self.version = version
        self.release = release
        self.earlier = dict(earlier or {})
        self.timeout = timeout
        self.tries_again = tries_again
        self.stop_after = stop_after
        self.continue_when = continue_when
        self.keep_output = keep_output
        self.judged = judged
        self.place = place
        self.lease = lease
        self.deployment = deployment

    # --- what a subclass writes -------------------------------------------------------------------------------

    def run(self, context: Context, options: dict[str, Any], seconds: float) -> OwnStageResult:
        """Do the work, or defer with ``method_name="ended"``.

        :param options: the options with all placeholders filled in, as JSON.
        :param seconds: maximum time of this try.
        :raises ReleaseError: when it could not be run at all.
        """
        raise NotImplementedError

    def result_of(self, context: Context, event: dict[str, Any]) -> OwnStageResult:
        """What the event of the trigger amounts to; its errors and aborts are dealt with."""
        return OwnStageResult.model_validate(event["result"])

    def output_of(self, event: dict[str, Any]) -> str | None:
        """What is kept of the event, where ``keep_output`` asks for it; None: the values."""
        return event.get("output")

    # --- the rest ---------------------------------------------------------------------------------------------

    def work(self, context: Context) -> dict[str, Any]:
        seconds = min(self.timeout, self._left(context))
        if seconds <= 0:
            raise AirflowFailException(f"It was stopped after {lasting(self.stop_after or 0)} (`stop_after`).")
        return self.came_to(context, self.run(context, self.filled_options(), seconds))

    def ended(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """It has ended, or somebody ended it, or the version turned bad."""
        with explained(context):
            if event.get("verdict"):
                target, artifact = self.app_target(), as_value(Artifact, self.artifact, "artifact")
                raise AirflowFailException(recorded_verdict(context, event, self.release, target, artifact).sentence)
            result = self.result_of(context, checked_event(event))
            return storable(self.came_to(context, result, self.output_of(event)))  # type: ignore[no-any-return]

    def came_to(self, context: Context, result: OwnStageResult, output: str | None = None) -> dict[str, Any]:
        """The result for XCom.

        :raises AirflowFailException: for a failure that is none of those with which the release goes on.
        """
        size = len(json.dumps(result.values).encode())
        if size > LARGEST_RESULT:
            raise AirflowFailException(f"It hands on {size:,} bytes: {LARGEST_RESULT:,} at most are expected.")
        result = result.model_copy(update={"sentence": one_line(result.sentence, 500)})
        if self.keep_output:
            self._keep(output if output is not None else json.dumps(result.values, indent=2))
        ti: Any = context["ti"]
        if not result.succeeded:
            again = ti.try_number <= self.tries_again and self._left(context) > 0
            if not again and result.ended and self.continue_when == "ended":
                result = result.model_copy(
                    update={"goes_on": True, "sentence": f"{result.sentence}; the release goes on all the same"}
                )
                self.log.warning("%s.", result.sentence)
            else:
                ti.xcom_push(RESULT, to_json(result))
                failure = AirflowException if again else AirflowFailException
                raise failure(f"{result.sentence[:1].upper()}{result.sentence[1:]}.")
        ti.xcom_push(RESULT, to_json(result))
        self.log.info("%s.", result.sentence)
        return to_json(result)

    def filled_options(self) -> dict[str, Any]:
        """The options with all placeholders filled in, as JSON."""
        return dict(filled(self._as_json(), self.known(), typed=self.typed))

    def known(self) -> dict[str, Any]:
        """What placeholders can name."""
        known: dict[str, Any] = {"version": self.version, "release": self.release, "stages": self._handed_on()}
        if not is_blank(self.artifact):
            artifact = as_value(Artifact, self.artifact, "artifact")
            known |= {"version": artifact.version, "digest": artifact.digest, "image": artifact.reference}
        if self.target is not None:
            target = self.app_target()
            known |= {
                "app": target.app,
                "environment": target.environment,
                "url": target.url,
                "host": target.host or "",
            }
        return known

    def app_target(self) -> Target:
        """The app in the environment that it works in."""
        return as_value(Target, self.target, "target")

    def judging(self) -> dict[str, Any]:
        """Arguments with which an :class:`~release_pipelines.features.own_stages.triggers.OwnStageTrigger` goes on judging the version."""
        if self.judged is None:
            return {}
        return judging_arguments(
            self.judged, self.lease, self.deployment, as_value(Artifact, self.artifact, "artifact")
        )

    def _as_json(self) -> dict[str, Any]:
        options = self.options
        return dict(options) if isinstance(options, dict) else options.model_dump(mode="json")

    def _handed_on(self) -> dict[str, Any]:
        found = {}
        for name, told in self.earlier.items():
            result = {} if is_blank(told) else json.loads(told) if isinstance(told, str) else told
            found[name] = {
                **_mapping(result.get("values")),
                "exit_code": result.get("exit_code"),
                "sentence": result.get("sentence"),
            }
        return found

    def _left(self, context: Context) -> float:
        """Time until it is stopped, over all its tries, in seconds."""
        if self.stop_after is None:
            return float("inf")
        store: Any = context.get("task_state_store")
        begun = store.get(BEGUN) if store is not None else None
        if begun is None:
            begun = time.time()
            if store is not None:
                store.set(BEGUN, begun)
        return float(begun) + self.stop_after - time.time()

    def _keep(self, output: str) -> None:
        history = HistoryHook().history()
        name = f"stage-{self.task_id.rpartition('.')[2]}.txt"
        try:
            history.attach(self.release, name, "text/plain", clean(output, KEPT_LENGTH, "end"))
        except ReleaseError as error:
            self.log.warning("What it gave cannot be kept with the release. %s", error)


def _mapping(values: Any) -> dict[str, Any]:
    return values if isinstance(values, dict) else {"value": values}
