"""The source is scanned beside the build, the image once it is in the registry."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.limits import Limits
from release_pipelines.core.model.source import Source
from release_pipelines.core.templates import field
from release_pipelines.features.scan.spec import SarifSpec, ScanSpec
from release_pipelines.spec.feature import Feature, FeatureTask, Key, Scene, Slot

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


ECR = "ecr"
"""What Amazon ECR's own scan is called among the others."""


class ScanFeature(Feature):
    """The key ``scan``: a task for each scanner of the source, where the app is built here, and for each of the image."""

    app_keys = {"scan": Key(ScanSpec, ScanSpec)}

    def summary(self, spec: ReleaseSpec) -> str | None:
        scan = _scan(spec)
        names = [*scan.scanners, *(it.name for it in scan.sarif)] if source_of(spec) else []
        parts = [
            f"scanned by {', '.join(names)}" if names else "",
            f"image scanned by {', '.join(_of_image(scan))}" if _of_image(scan) else "",
        ]
        return ", ".join(filter(None, parts)) or None

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment is not None:
            return
        scan = _scan(spec)
        if source_of(spec) is not None:
            looking: list[str | SarifSpec] = [*scan.scanners, *scan.sarif]
            for it in looking:
                name = it.name if isinstance(it, SarifSpec) else it
                evidence = {f"Scan by {name}": field(f"scan.{name}", "sentence")}
                yield FeatureTask(name, Slot.BUILD, partial(_scanning, it), group="scan", evidence=evidence)
        for name in _of_image(scan):
            facts = {f"Image scan by {name}": field(f"image_scan.{name}", "sentence")}
            make = _waiting if name == ECR else partial(_examining, name)
            yield FeatureTask(name, Slot.EXAMINE, make, group="image_scan", facts=facts)


def source_of(spec: ReleaseSpec) -> Source | None:
    """The source code that the app is built from; None where it is built elsewhere."""
    return spec.app.part("build", Source)


def _scan(spec: ReleaseSpec) -> ScanSpec:
    return spec.app.part("scan", ScanSpec) or ScanSpec()


def _of_image(scan: ScanSpec) -> list[str]:
    """The names of all that looks at the image."""
    return [*scan.image_scanners, *([ECR] if scan.ecr else [])]


def _limits(scene: Scene, name: str) -> dict[str, Any]:
    limits = _scan(scene.spec).limits.get(name, Limits())
    return {"timeout": limits.timeout, "memory": limits.memory}


def _scanning(scanner: str | SarifSpec, task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.scan.operators.source import ScanOperator

    source = source_of(scene.spec)
    assert source is not None  # noqa: S101 - the task exists only with it
    return ScanOperator(
        task_id=task_id,
        scanner=_sarif(scanner) if isinstance(scanner, SarifSpec) else scanner,
        repository=source.repository,
        git_conn_id=source.git_connection,
        commit=field(scene.id_of(Slot.SOURCE), "commit"),
        context=source.context,
        dockerfile=source.dockerfile,
        block_on=_scan(scene.spec).block_on,
        exclude=_scan(scene.spec).exclude,
        release=scene.release,
        **_limits(scene, task_id),
    )


def _sarif(spec: SarifSpec) -> Any:
    from release_pipelines.adapters.scanners._sarif import SarifScanner

    return SarifScanner(spec.name, spec.command, spec.report)


def _examining(scanner: str, task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.scan.operators.image import ImageScanOperator

    artifact = scene.id_of(Slot.ARTIFACT)
    return ImageScanOperator(
        task_id=task_id,
        scanner=scanner,
        image=field(artifact, "image"),
        digest=field(artifact, "digest"),
        registry_conn_id=scene.spec.environments[0].connections.registry,
        block_on=_scan(scene.spec).block_on,
        release=scene.release,
        **_limits(scene, scanner),
    )


def _waiting(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.scan.sensors import EcrImageScanSensor

    scan, artifact = _scan(scene.spec), scene.id_of(Slot.ARTIFACT)
    assert scan.ecr is not None  # noqa: S101 - the task exists only with it
    return EcrImageScanSensor(
        task_id=task_id,
        image=field(artifact, "image"),
        digest=field(artifact, "digest"),
        aws_conn_id=scan.ecr.connection,
        region_name=scan.ecr.region,
        wait=scan.ecr.wait,
        block_on=scan.block_on,
        release=scene.release,
    )


FEATURE = ScanFeature()
