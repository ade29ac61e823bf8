"""Load as a stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.operator import abort_watch, as_value, is_blank
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.own_stage import OwnStageResult
from release_pipelines.core.model.target import Target
from release_pipelines.features.own_stages.kinds.performance import PerformanceOptions
from release_pipelines.features.own_stages.operators.base import OwnStageOperator
from release_pipelines.spec.folders import airflow_home, load_folder

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.history import History
    from release_pipelines.core.site.load import Load


class PerformanceStageOperator(OwnStageOperator):
    """Put load on the app with k6, on this worker, and judge failed and slow requests: against their limits, and against what the
    last good release came to in the same test, by the sequential judge.

    What cannot be measured (no k6, too few requests, a summary that is not this run's own, load that could not be sent) fails the task,
    whatever ``continue_when`` says.

    ``options`` is a :class:`~release_pipelines.features.own_stages.kinds.performance.PerformanceOptions` or its dict. The other arguments,
    what is returned and pushed: :class:`~release_pipelines.features.own_stages.operators.base.OwnStageOperator`. Handed on: ``errors`` and
    ``slow`` as ``[bad, all]``, and ``compared``.

    Templated: ``artifact``, ``version``, ``release``, ``earlier``, ``lease``, ``deployment``.
    XCom: return value, also as ``result`` where it fails; ``aborted`` when a person ends the release; ``reason`` when it fails.
    """

    def run(self, context: Context, options: dict[str, Any], seconds: float) -> OwnStageResult:
        from release_pipelines.adapters.site import k6
        from release_pipelines.core.model.analysis import Metric
        from release_pipelines.core.site.load import NotMeasured, definition, judged, load_of

        wanted = PerformanceOptions.model_validate(options)
        target = self.app_target()
        script = _script(wanted)
        history = HistoryHook().history()
        try:
            kind = definition(
                wanted.model_dump(mode="json", exclude={"errors", "slow", "min_requests", "tolerance"}),
                script.read_text(),
            )
            summary, code = k6.run(script, self._variables(target, wanted), seconds, abort_watch(history, self.release))
            load = load_of(summary, code, kind)
            before = self._before(history, target)
            same = before if before and before.definition == kind else None
            shared: dict[str, Any] = {"min_requests": wanted.min_requests, "tolerance": wanted.tolerance}
            metrics = [
                Metric(name="errors", source="errors", limit=wanted.errors, **shared),
                Metric(
                    name="slow",
                    source="slow_requests",
                    limit=wanted.slow,
                    slower_than=wanted.slower_than,
                    **shared,
                ),
            ]
            good, sentence = judged(load, same, metrics)
        except (NotMeasured, OSError, KeyError, TypeError) as error:
            why = str(error) if isinstance(error, NotMeasured) else f"{type(error).__name__}: {error}"
            raise ReleaseError(f"The load could not be measured: {why.rstrip('.')}.") from None
        self._keep_load(history, target, load)
        compared = "beside the last good release" if same else _uncompared(before)
        return OwnStageResult(
            succeeded=good,
            sentence=f"{sentence}; {compared}",
            values={**{name: list(it) for name, it in load.counts.items()}, "compared": same is not None},
        )

    def _variables(self, target: Target, wanted: PerformanceOptions) -> dict[str, str]:
        keys = {"rate", "clients", "paths", "slower_than"}
        host = target.preview_host if wanted.track == "preview" else target.host
        load = {
            **wanted.model_dump(mode="json", include=keys),
            "seconds": wanted.duration,
            "timeout": max(5.0, 4 * wanted.slower_than),
        }
        return {
            "LOAD": json.dumps(load),
            "BASE_URL": target.url.rstrip("/"),
            "HOST": host or "",
            "VERSION": str(self.known()["version"]),
        }

    def _name(self, target: Target) -> str:
        return f"load-{target.environment}-{self.task_id.rpartition('.')[2]}.json"

    def _keep_load(self, history: History, target: Target, load: Load) -> None:
        try:
            history.attach(self.release, self._name(target), "application/json", json.dumps(to_json(load)))
        except ReleaseError as error:
            self.log.warning("What it came to cannot be kept for later releases. %s", error)

    def _before(self, history: History, target: Target) -> Load | None:
        """What the last good version came to when it was released."""
        from release_pipelines.core.site.load import Load

        if is_blank(self.artifact):
            return None
        artifact = as_value(Artifact, self.artifact, "artifact")
        good = history.last_good(target.app, excluding=artifact.digest)
        for release in history.past_of(target.app, good.digest, self.release) if good else ():
            for it in history.attachments(release.id):
                if it.name == self._name(target):
                    return Load.model_validate_json(it.content)
        return None


def _script(wanted: PerformanceOptions) -> Path:
    from release_pipelines.adapters.site import k6

    if wanted.script is None:
        return k6.SCRIPT
    folder = load_folder(airflow_home()).resolve()
    script = (folder / wanted.script).resolve()
    if not script.is_relative_to(folder):
        raise ReleaseError(f"The script {wanted.script} is not in {folder}: the path of a file there is expected.")
    return script


def _uncompared(before: Load | None) -> str:
    if before is None:
        return "the last good release has no numbers to compare with"
    return "not compared with the last good release, which was asked for something else"
