"""The image that is released, looked at as it lies in the registry."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.findings import keep_results
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.airflow.operator import ReleaseOperator, is_blank
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.model.finding import ScanResult, Severity
from release_pipelines.core.model.image import PlatformImage
from release_pipelines.core.model.limits import Limits
from release_pipelines.core.ports.registry import Images
from release_pipelines.core.ports.scanner import IMAGE_SCANNERS, ImageScanner, image_scanner
from release_pipelines.features.scan.operators._place import within
from release_pipelines.features.scan.operators._verdict import (
    image_results,
    limited,
    log_findings,
    named,
    stop,
    summary_of,
)

if TYPE_CHECKING:
    from airflow.sdk import Context


class ImageScanOperator(ReleaseOperator):
    """Scan the image of each platform that a digest stands for, and stop the release on what is bad enough, or could not be looked at.

    Each platform's image is fetched from the registry by its digest: no tag, no engine and no cache has a say in what is looked at.
    What a builder has put beside the images of an index, its attestations, is no image, and not looked at.

    :param scanner: ``trivy``, ``grype`` (packages with known vulnerabilities), ``secrets`` (keys in all layers), the name of another
        package's scanner, or an :class:`~release_pipelines.core.ports.scanner.ImageScanner` of your own.
    :param image: the repository, with or without the registry's host.
    :param digest: of an image, or of an index.
    :param registry_conn_id: the registry.
    :param block_on: findings of this severity and above stop the release; None: none does, only what could not be looked at.
    :param options: of the scanner, where it takes any: like ``{"osv": [...]}`` of ``advisories``.
    :param timeout: how long it may look at one platform, in seconds.
    :param memory: how much memory the scanner's processes may have together, in bytes, or like ``2Gi``; None: as much as there is.
    :param container: image in whose container the scanner's program runs, by digest or tag; None: on the worker.
    :param engine_conn_id: the engine that runs it.
    :param release: id of the release that keeps the results; empty: they are kept nowhere.
    :return: ``{"scanner", "status", "sentence", "counts"}``; a failing task pushes it as ``result``.

    Templated: ``image``, ``digest``, ``release``.
    XCom: return value, ``result``; ``reason`` when it fails.
    """

    template_fields = ("image", "digest", "release")

    def __init__(
        self,
        *,
        scanner: str | ImageScanner,
        image: str,
        digest: str,
        registry_conn_id: str = "registry",
        block_on: Severity | None = "high",
        options: Mapping[str, Any] | None = None,
        timeout: float | str = 300.0,
        memory: int | str | None = None,
        container: str | None = None,
        engine_conn_id: str = "container_engine",
        release: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"retries": 3, "retry_delay": timedelta(seconds=30), **kwargs})
        if isinstance(scanner, str) and scanner not in IMAGE_SCANNERS.names():
            names = ", ".join(IMAGE_SCANNERS.names())
            raise ValueError(f"A scanner of images is one of {names} or an object, found {scanner!r}.")
        self.scanner = scanner
        self.image = image
        self.digest = digest
        self.registry_conn_id = registry_conn_id
        self.block_on = block_on
        self.options = dict(options or {})
        self.limits = Limits.model_validate({"timeout": timeout, "memory": memory})
        self.container = container
        self.engine_conn_id = engine_conn_id
        self.release = release

    def work(self, context: Context) -> dict[str, Any]:
        scanner = image_scanner(self.scanner, self.options) if isinstance(self.scanner, str) else self.scanner
        if is_blank(self.digest):
            raise ValueError("digest is missing: the task that gives it has not run, or gave nothing.")
        with within(self.container, self.engine_conn_id, self.registry_conn_id, self.limits):
            results = list(self._results(scanner))
        if not is_blank(self.release):
            keep_results(HistoryHook().history(), self.release, image_results(scanner.name), results)
        summary = summary_of(scanner.name, results)
        context["ti"].xcom_push("result", summary)
        findings = log_findings(self.log, results)
        unknown = [it for it in results if it.status == "unknown"]
        if unknown:
            error = PlatformUnavailable if all(it.again for it in unknown) else PlatformError
            raise error(summary["sentence"])
        stop(scanner.name, findings, self.block_on)
        self.log.info("%s", summary["sentence"])
        return summary

    def _results(self, scanner: ImageScanner) -> Iterator[ScanResult]:
        """What came of each platform's image, one after the other: they are large."""
        registry = RegistryHook(self.registry_conn_id).get_conn()
        if not isinstance(registry, Images):
            raise PlatformError(
                f"{registry.host} cannot tell what a digest is made of: another type of registry is expected."
            )
        made_of = registry.image(self.image, self.digest)
        if made_of is None:
            raise PlatformError(
                f"The registry has no image {registry.repository(self.image)}@{self.digest}: push it again."
            )
        if not made_of.platforms:
            raise PlatformError(f"unknown: {self.digest} holds no image that {scanner.name} could look at.")
        several = len(made_of.platforms) > 1
        for it in made_of.platforms:
            self.log.info("%s looks at %s, %s.", scanner.name, it.platform, it.digest)
            yield named(_looked(limited(scanner, self.limits), registry, self.image, it), it, several)


def _looked(scanner: ImageScanner, registry: Images, image: str, platform: PlatformImage) -> ScanResult:
    """What came of one platform's image: about its digest, or unknown."""
    with tempfile.TemporaryDirectory(prefix="image-") as name:
        layout = Path(name) / "layout"
        try:
            registry.fetch(image, platform.digest, layout)
        except PlatformUnavailable:
            raise
        except PlatformError as error:
            sentence = f"unknown: {scanner.name} could not look, because the image cannot be fetched: {error}"
            return ScanResult(status="unknown", sentence=sentence, subject=platform.digest)
        result = scanner.scan_image(layout, platform)
    if result.status != "unknown" and result.subject != platform.digest:
        about = result.subject or "no digest"
        sentence = f"unknown: {scanner.name} looked at something else: its report names {about}, and {platform.digest} was expected."
        return result.model_copy(update={"status": "unknown", "sentence": sentence})
    return result
