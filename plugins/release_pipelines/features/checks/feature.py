"""Checks against a running app."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.stage import Check, Stage
from release_pipelines.core.templates import field, passed, ran
from release_pipelines.spec.feature import Feature, FeatureTask, Key, Scene, Slot
from release_pipelines.spec.stages import stages_before, track_of

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


AT_WILL: dict[str, Any] = {"optional": True, "moves": (Slot.AFTER_DEPLOY, Slot.CHECK)}
"""What an app may do with these checks: leave them out, or let them stand elsewhere once the version is deployed."""


class ChecksFeature(Feature):
    """In environments before the last one a smoke test and the app's integration test; in the last one the preview is asked, and the
    strategy's own checks are run."""

    app_keys = {
        "integration_test": Key(
            list[str],
            list,
            "Command run in the new image against staging (BASE_URL and HOST in its environment)",
        )
    }

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment is None:
            return
        if environment != spec.production.name:
            smoke = {f"Smoke test in {environment}": passed(f"{environment}.smoke_test")}
            yield FeatureTask("smoke_test", Slot.CHECK, _smoke_test, evidence=smoke, **AT_WILL)
            test = {f"Integration test in {environment}": ran(f"{environment}.integration_test")}
            yield FeatureTask("integration_test", Slot.CHECK, _integration_test, evidence=test, order=1, **AT_WILL)
            return
        if track_of(spec) == "preview":
            yield FeatureTask("preview_test", Slot.CHECK, _preview_test, optional=True)
        for number, (stage, before) in enumerate(stages_before(spec)):
            if isinstance(stage, Check):
                yield FeatureTask(stage.name, Slot.STAGE, partial(_check, stage, before), order=number)


def _smoke_test(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.checks.operators import SmokeTestOperator

    version = field(scene.id_of(Slot.ARTIFACT), "version")
    paths = scene.spec.app.smoke_test
    return SmokeTestOperator(task_id=task_id, target=scene.target, paths=paths, version=version, **scene.queue)


def _integration_test(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.checks.operators import IntegrationTestOperator

    command = scene.spec.app.part("integration_test", list) or []
    return IntegrationTestOperator(
        task_id=task_id, target=scene.target, artifact=scene.artifact, command=command, **scene.queue
    )


def _preview_test(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.checks.operators import PreviewTestOperator

    paths = scene.spec.app.smoke_test
    return PreviewTestOperator(
        task_id=task_id, target=scene.target, deployment=scene.deployment, paths=paths, **scene.queue
    )


def _check(check: Check, before: Stage | None, task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.checks.operators import CheckOperator

    return CheckOperator(task_id=task_id, verify=check.verify, stage=before, **scene.work)


FEATURE = ChecksFeature()
