"""The SBOM of what is released is a text of the release."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from release_pipelines.core.templates import field
from release_pipelines.spec.feature import Feature, FeatureTask, Key, Scene, Slot

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


class SbomFeature(Feature):
    """The key ``sbom``: a task beside the scans of the image."""

    app_keys = {
        "sbom": Key(bool, False, "Whether a list of what the image is made of (SBOM) is kept with each release")
    }

    def summary(self, spec: ReleaseSpec) -> str | None:
        return "SBOM kept" if spec.app.part("sbom", bool) else None

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment is None and spec.app.part("sbom", bool):
            evidence = {"SBOM": field("scan.sbom", "sentence")}
            yield FeatureTask("sbom", Slot.EXAMINE, _sbom, group="scan", evidence=evidence)


def _sbom(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.sbom.operators import SbomOperator

    artifact = scene.id_of(Slot.ARTIFACT)
    return SbomOperator(
        task_id=task_id,
        image=field(artifact, "image"),
        digest=field(artifact, "digest"),
        registry_conn_id=scene.spec.environments[0].connections.registry,
        release=scene.release,
    )


FEATURE = SbomFeature()
