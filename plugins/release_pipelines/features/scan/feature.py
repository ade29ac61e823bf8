"""The source is scanned beside the build, the image once it is in the registry; all that was found is judged before anything is deployed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from release_pipelines.core.errors import ExtensionError
from release_pipelines.core.findings.rules import Rules
from release_pipelines.core.model.advisories import AdvisorySources
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.limits import Limits
from release_pipelines.core.model.source import Source
from release_pipelines.core.ports.scanner import IMAGE_SCANNERS, SCANNERS, Contained
from release_pipelines.core.templates import field, part
from release_pipelines.features.scan.spec import ECR, SarifSpec, ScanSpec
from release_pipelines.spec.ended import ended_exceptions
from release_pipelines.spec.feature import Feature, FeatureTask, Key, Mistake, Scene, Slot
from release_pipelines.spec.placing import placed_tasks

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


GATE = "findings_gate"
"""The task that judges all findings."""
ADVISORIES = "advisories"
"""The scanner of images that needs the environment's key of the same name."""
BUILDING = (Slot.SOURCE, Slot.BUILD, Slot.PUBLISH, Slot.AFTER_BUILD)
"""Where an app may let a scan stand: once the commit is known."""

FOUND = {"Findings": "sentence", "Excepted findings": "excepted"}
COMPARED = {
    "New findings": "new",
    "Fixed findings": "fixed",
    "Older findings": "same",
    "Findings of what serves": "serving",
}
"""What an approver is shown of it: of the digest, and of this release."""


class ScanFeature(Feature):
    """The key ``scan``: a task for each scanner of the source, where the app is built here, and of the image; and the gate behind all of them."""

    app_keys = {"scan": Key(ScanSpec, ScanSpec)}

    def mistakes(self, spec: ReleaseSpec) -> Iterator[Mistake]:
        """VEX documents have to be there, and to be such; so have feeds."""
        if names := _scan(spec).vex:
            from release_pipelines.features.scan.documents import vex_mistakes

            yield from vex_mistakes(names)
        rules, first = _rules(spec), spec.environments[0].name
        for place, found, key, lacks in (
            ("scan.known_exploited", "`true`", "kev", rules.known_exploited is True),
            ("scan.epss", "no `data`", "epss", rules.epss is not None and rules.epss.data is None),
        ):
            if lacks:
                yield Mistake(place, found, f"`advisories.{key}` in {first}.yaml or base.yaml, or where the data are")
        if ADVISORIES in _scan(spec).image_scanners and not _advisories(spec).osv:
            place = f"scan.image_scanners[{_scan(spec).image_scanners.index(ADVISORIES)}]"
            expected = f"`advisories.osv` in {first}.yaml or base.yaml: where the records are"
            yield Mistake(place, f"`{ADVISORIES}`", expected)
        yield from _nobody_asked(spec)
        yield from _names_taken(spec)
        yield from _not_contained(spec)

    def remarks(self, spec: ReleaseSpec) -> Iterator[str]:
        """Exceptions that hold no more, and scanners that have nothing to look at."""
        yield from ended_exceptions(spec.app)
        scan = _scan(spec)
        if source_of(spec) is None and "scanners" in scan.model_fields_set and scan.scanners:
            yield (
                "`scan.scanners` look at nothing, since the app has no `build`; `image_scanners` and `ecr` look at images that are "
                "built elsewhere"
            )

    def summary(self, spec: ReleaseSpec) -> str | None:
        source, image = _of_source(spec), _scan(spec).of_image
        parts = [
            f"scanned by {', '.join(source)}" if source else "",
            f"image scanned by {', '.join(image)}" if image else "",
        ]
        return ", ".join(filter(None, parts)) or None

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment is not None:
            return
        scan = _scan(spec)
        looking: list[str | SarifSpec] = [*scan.scanners, *scan.sarif] if source_of(spec) else []
        for it in looking:
            name = it.name if isinstance(it, SarifSpec) else it
            evidence = {f"Scan by {name}": field(f"scan.{name}", "sentence")}
            make = partial(_scanning, it)
            yield FeatureTask(name, Slot.BUILD, make, group="scan", evidence=evidence, optional=True, moves=BUILDING)
        for name in scan.of_image:
            facts = {f"Image scan by {name}": field(f"image_scan.{name}", "sentence")}
            yield FeatureTask(
                name, Slot.EXAMINE, _WAYS.get(name, partial(_examining, name)), group="image_scan", facts=facts
            )
        if scan.gated:
            evidence, facts = ({name: field(GATE, key) for name, key in it.items()} for it in (FOUND, COMPARED))
            yield FeatureTask(GATE, Slot.JUDGE, _judging, evidence=evidence, facts=facts)


def source_of(spec: ReleaseSpec) -> Source | None:
    """The source code that the app is built from; None where it is built elsewhere."""
    return spec.app.part("build", Source)


def _scan(spec: ReleaseSpec) -> ScanSpec:
    return spec.app.part("scan", ScanSpec) or ScanSpec()


def _rules(spec: ReleaseSpec) -> Rules:
    """The rules, with the data of the environment where the app names none."""
    rules = _scan(spec).rules
    there = _advisories(spec)
    update: dict[str, Any] = {}
    if rules.known_exploited is True and there.kev:
        update["known_exploited"] = there.kev
    if rules.epss and rules.epss.data is None:
        update["epss"] = rules.epss.model_copy(update={"data": there.epss})
    return rules.model_copy(update=update)


def _advisories(spec: ReleaseSpec) -> AdvisorySources:
    """Where the first environment has its data: scans are before all environments."""
    return spec.environments[0].part(ADVISORIES, AdvisorySources) or AdvisorySources()


def _of_source(spec: ReleaseSpec) -> list[str]:
    """Names of all that look at the source."""
    scan = _scan(spec)
    return [*scan.scanners, *(it.name for it in scan.sarif)] if source_of(spec) else []


def _nobody_asked(spec: ReleaseSpec) -> Iterator[Mistake]:
    """Scanners that would never run, and a gate that could let nothing pass: what nobody has looked at is not clean."""
    scan = _scan(spec)
    if source_of(spec) is None and scan.sarif:
        expected = (
            "`build`, whose source is scanned; `image_scanners` and `ecr` look at images that are built elsewhere"
        )
        yield Mistake("scan.sarif", "no `build`", expected)
    left_out = spec.app.part("leave_out", list) or []
    runs = [it for it in _of_source(spec) if not {it, f"scan.{it}"} & set(left_out)]
    # Exceptions and VEX only let pass, and a stage of the team's own may look: what it keeps with the release is judged, too.
    demanding = sorted((Rules.later - {"exceptions"}) & scan.model_fields_set)
    if demanding and scan.gated and not (runs or scan.of_image or spec.app.part("stages", list)):
        asked = " and ".join(f"`{it}`" for it in demanding)
        found = f"{asked}, with which all findings are judged, and nothing that looks"
        expected = "`image_scanners`, `ecr`, or `build` with `scanners` or `sarif`: what nobody has looked at lets no release pass"
        yield Mistake("scan", found, expected)


def _names_taken(spec: ReleaseSpec) -> Iterator[Mistake]:
    """Commands that are called like another task beside them."""
    commands = _scan(spec).sarif if source_of(spec) else []
    if not commands:
        return
    try:
        ids = [it.id for it in placed_tasks(spec)]
    except ExtensionError:  # the feature that cannot say its tasks says what is wrong
        return
    for number, it in enumerate(commands):
        if ids.count(f"scan.{it.name}") > 1:
            yield Mistake(
                f"scan.sarif[{number}].name", f"`{it.name}`, as another task of `scan` is called", "a name of its own"
            )


def _not_contained(spec: ReleaseSpec) -> Iterator[Mistake]:
    """Scanners that cannot run in a container, and containers that no engine runs."""
    scan, first = _scan(spec), spec.environments[0]
    if scan.containers and not first.connections.engine:
        expected = f"`connections.engine` in {first.name}.yaml, on which containers run"
        yield Mistake("scan.containers", "no engine", expected)
    own = {it.name for it in scan.sarif}
    for name in sorted(set(scan.containers) - own):
        scanners: list[object] = [SCANNERS.get(name)] if name in scan.scanners else []
        scanners += [IMAGE_SCANNERS.get(name)] if name in scan.image_scanners else []
        if not all(isinstance(it, Contained) and it.contained for it in scanners):
            expected = "scanners whose program is all that they need; this one runs on the worker"
            yield Mistake(f"scan.containers.{name}", f"`{name}`", expected)


def _within(scene: Scene, name: str) -> dict[str, Any]:
    """Where a scanner runs, and what it may use."""
    scan, connections = _scan(scene.spec), scene.spec.environments[0].connections
    limits = scan.limits.get(name, Limits())
    within: dict[str, Any] = {"timeout": limits.timeout, "memory": limits.memory}
    if name in scan.containers:
        within |= {"container": scan.containers[name], "engine_conn_id": connections.engine}
    return within


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
        rules=_scan(scene.spec).rules,
        registry_conn_id=scene.spec.environments[0].connections.registry,
        gated=_scan(scene.spec).gated,
        release=scene.release,
        **_within(scene, task_id),
    )


def _sarif(spec: SarifSpec) -> Any:
    from release_pipelines.adapters.scanners._sarif import SarifScanner

    return SarifScanner(spec.name, spec.command, spec.report)


def _released(scene: Scene) -> dict[str, Any]:
    """What all have in common that look at the image. What they find is judged by the gate, together."""
    artifact = scene.id_of(Slot.ARTIFACT)
    return {
        "image": field(artifact, "image"),
        "digest": field(artifact, "digest"),
        "release": scene.release,
        "block_on": None,
    }


def _examining(scanner: str, task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.scan.operators.image import ImageScanOperator

    first = scene.spec.environments[0]
    options = first.part(scanner, Value)
    return ImageScanOperator(
        task_id=task_id,
        scanner=scanner,
        options=options.model_dump(mode="json") if options else None,
        registry_conn_id=first.connections.registry,
        **_released(scene),
        **_within(scene, scanner),
    )


def _waiting(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.scan.sensors import EcrImageScanSensor

    ecr = _scan(scene.spec).ecr
    assert ecr is not None  # noqa: S101 - the task exists only with it
    return EcrImageScanSensor(
        task_id=task_id,
        aws_conn_id=ecr.connection,
        region_name=ecr.region,
        wait=ecr.wait,
        **_released(scene),
    )


_WAYS = {ECR: _waiting}


def _judging(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.scan.operators._verdict import image_results
    from release_pipelines.features.scan.operators.gate import FindingsGateOperator

    scan = _scan(scene.spec)
    return FindingsGateOperator(
        task_id=task_id,
        rules=_rules(scene.spec),
        release=scene.release,
        artifact=scene.artifact,
        serving=part(scene.id_of(Slot.PREFLIGHT), "before"),
        scanners=[
            *(it for it in _of_source(scene.spec) if f"scan.{it}" in scene.tasks),  # an app may leave one out
            *map(image_results, scan.of_image),
        ],
        vex=scan.vex,
    )


FEATURE = ScanFeature()
