"""The source is scanned beside the build; where the app asks for more, all that was found is judged together before anything is deployed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.source import Source
from release_pipelines.core.templates import field, part
from release_pipelines.features.scan.spec import ScanSpec
from release_pipelines.spec.feature import Feature, FeatureTask, Key, Mistake, Scene, Slot

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


GATE = "findings_gate"
"""The task that judges all findings."""

FOUND = {"Findings": "sentence", "Excepted findings": "excepted"}
COMPARED = {
    "New findings": "new",
    "Fixed findings": "fixed",
    "Older findings": "same",
    "Findings of what serves": "serving",
}
"""What an approver is shown of it: of the digest, and of this release."""


class ScanFeature(Feature):
    """The key ``scan``: a task for each scanner, where the app is built here, and the gate behind all of them."""

    app_keys = {"scan": Key(ScanSpec, ScanSpec)}

    def mistakes(self, spec: ReleaseSpec) -> Iterator[Mistake]:
        """VEX documents have to be there, and to be such."""
        if names := _scan(spec).vex:
            from release_pipelines.features.scan.documents import vex_mistakes

            yield from vex_mistakes(names)

    def remarks(self, spec: ReleaseSpec) -> Iterator[str]:
        """Exceptions that hold no more."""
        now = time.time()
        for number, it in enumerate(_scan(spec).exceptions):
            if not it.holds(now):
                yield f"`scan.exceptions[{number}]`, for {it.id} in {it.component}, has run out on {it.until:%Y-%m-%d}"

    def summary(self, spec: ReleaseSpec) -> str | None:
        scanners = _scan(spec).scanners if source_of(spec) else []
        return f"scanned by {', '.join(scanners)}" if scanners else None

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment is not None:
            return
        for scanner in _scan(spec).scanners if source_of(spec) else []:
            evidence = {f"Scan by {scanner}": field(f"scan.{scanner}", "sentence")}
            make = partial(_scanning, scanner)
            yield FeatureTask(scanner, Slot.BUILD, make, group="scan", evidence=evidence)
        if _scan(spec).gated:
            evidence, facts = ({name: field(GATE, key) for name, key in it.items()} for it in (FOUND, COMPARED))
            yield FeatureTask(GATE, Slot.JUDGE, _judging, evidence=evidence, facts=facts)


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
        rules=_scan(scene.spec).rules,
        gated=_scan(scene.spec).gated,
        release=scene.release,
    )


def _judging(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.scan.operators import FindingsGateOperator

    scan = _scan(scene.spec)
    return FindingsGateOperator(
        task_id=task_id,
        rules=scan.rules,
        release=scene.release,
        artifact=scene.artifact,
        serving=part(scene.id_of(Slot.PREFLIGHT), "before"),
        scanners=scan.scanners if source_of(scene.spec) else [],
        vex=scan.vex,
    )


FEATURE = ScanFeature()
