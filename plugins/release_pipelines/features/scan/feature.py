"""The source is scanned beside the build."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.source import Source
from release_pipelines.core.templates import field
from release_pipelines.features.scan.spec import ScanSpec
from release_pipelines.spec.feature import Feature, FeatureTask, Key, Scene, Slot

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


BUILDING = (Slot.SOURCE, Slot.BUILD, Slot.PUBLISH, Slot.AFTER_BUILD)
"""Where an app may let a scan stand: once the commit is known."""


class ScanFeature(Feature):
    """The key ``scan``: a task for each scanner, where the app is built here."""

    app_keys = {"scan": Key(ScanSpec, ScanSpec)}

    def summary(self, spec: ReleaseSpec) -> str | None:
        scanners = _scan(spec).scanners if source_of(spec) else []
        return f"scanned by {', '.join(scanners)}" if scanners else None

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment is not None or source_of(spec) is None:
            return
        for scanner in _scan(spec).scanners:
            evidence = {f"Scan by {scanner}": field(f"scan.{scanner}", "sentence")}
            make = partial(_scanning, scanner)
            yield FeatureTask(scanner, Slot.BUILD, make, group="scan", evidence=evidence, optional=True, moves=BUILDING)


def source_of(spec: ReleaseSpec) -> Source | None:
    """The source code that the app is built from; None where it is built elsewhere."""
    return spec.app.part("build", Source)


def _scan(spec: ReleaseSpec) -> ScanSpec:
    return spec.app.part("scan", ScanSpec) or ScanSpec()


def _scanning(scanner: str, task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.scan.operators import ScanOperator

    source = source_of(scene.spec)
    assert source is not None  # noqa: S101 - the task exists only with it
    return ScanOperator(
        task_id=task_id,
        scanner=scanner,
        repository=source.repository,
        git_conn_id=source.git_connection,
        commit=field(scene.id_of(Slot.SOURCE), "commit"),
        context=source.context,
        dockerfile=source.dockerfile,
        block_on=_scan(scene.spec).block_on,
        exclude=_scan(scene.spec).exclude,
    )


FEATURE = ScanFeature()
