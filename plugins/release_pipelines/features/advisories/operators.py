"""Known flaws of what an image is made of, for anyone's DAG; in a release the scanner of images does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from release_pipelines.airflow.findings import keep_results
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.images import fetched
from release_pipelines.airflow.operator import RUN, ReleaseOperator, validation_sentence
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.advisories import AdvisorySources
from release_pipelines.core.model.finding import Severity, badness, in_words, reaches

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.core.model.finding import ScanResult

SCANNER = "advisories"
LOGGED_FINDINGS = 20
"""Maximum number of findings in the log."""


class AdvisoryScanOperator(ReleaseOperator):
    """Look up each package of an image, or of an SBOM, in advisories of OSV format, and fail on what is bad enough, or could not be looked up.

    Works without the internet: the records are in folders or archives on the workers, or come from an address of one's own, of
    which the last copy is kept.

    :param image: repository of the image, with or without the registry's host.
    :param digest: digest of the image, or of its index; each platform is looked up.
    :param registry_conn_id: where the image is.
    :param sbom: instead of ``image``: path of an SBOM on the worker, CycloneDX or SPDX JSON, whoever made it.
    :param osv: where records are: folders, archives (``.zip``, ``.tar.gz``), addresses of archives.
    :param older_than: records whose newest is older than this count as none; a time like ``2d``. None: their age does not matter.
    :param leave_out: types of package URLs that the records need not cover, like ``generic``.
    :param block_on: findings of this severity and above, and those whose severity nobody can say, fail the task.
    :param release: the release's id; where the history knows it, the whole results are kept with it.
    :return: ``{"scanner", "status", "sentence", "counts", "data_at"}``; a failing task pushes it as ``result``. ``data_at`` is how
        old the oldest data are, as Unix time in seconds.

    Templated: ``image``, ``digest``, ``sbom``, ``release``.
    XCom: return value, ``result``; ``reason`` when it fails.
    """

    template_fields = ("image", "digest", "sbom", "release")

    def __init__(
        self,
        *,
        osv: Sequence[str],
        image: str | None = None,
        digest: str | None = None,
        sbom: str | None = None,
        registry_conn_id: str = "registry",
        older_than: str | float | None = None,
        leave_out: Sequence[str] = (),
        block_on: Severity = "high",
        release: str = RUN,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"retries": 3, "retry_delay": timedelta(seconds=10), **kwargs})
        if (image is None) == (sbom is None) or (image is None) != (digest is None):
            raise ValueError("Either `image` with `digest`, or `sbom`, is expected.")
        self.image = image
        self.digest = digest
        self.sbom = sbom
        self.registry_conn_id = registry_conn_id
        options = {"osv": list(osv), "older_than": older_than, "leave_out": list(leave_out)}
        try:
            self.sources = AdvisorySources.model_validate(options)
        except ValidationError as error:  # its own words may hold a password
            raise ValueError(validation_sentence(error)) from None
        self.block_on = block_on
        self.release = release

    def work(self, context: Context) -> dict[str, Any]:
        results = list(self._results())
        self._keep(results)
        findings = sorted((it for result in results for it in result.findings), key=badness, reverse=True)
        unknown = next((it for it in results if it.status == "unknown"), None)
        ages = [it.data_at for it in results if it.data_at is not None]
        summary = {
            "scanner": SCANNER,
            "status": "unknown" if unknown else "findings" if findings else "clean",
            "sentence": unknown.sentence if unknown else " ".join(dict.fromkeys(it.sentence for it in results)),
            "counts": dict(Counter(it.severity for it in findings)),
            "data_at": min(ages, default=None),
        }
        context["ti"].xcom_push("result", summary)
        for it in findings[:LOGGED_FINDINGS]:
            self.log.warning("%s %s %s %s", it.severity, it.rule, it.platform or "", it.text)
        if len(findings) > LOGGED_FINDINGS:
            self.log.warning("… and %s more.", len(findings) - LOGGED_FINDINGS)
        if unknown:
            raise PlatformError(unknown.sentence)
        blocking = [it for it in findings if reaches(it.severity, self.block_on)]
        if blocking:
            worst = blocking[0]
            raise PlatformError(
                f"{SCANNER} found {in_words(blocking)} (findings from {self.block_on} on block), like {worst.rule}"
                f"{f' on {worst.platform}' if worst.platform else ''}: {worst.text.rstrip('.')}."
            )
        self.log.info("%s", summary["sentence"])
        return summary

    def _results(self) -> Iterator[ScanResult]:
        """One for each platform, or for the SBOM."""
        from release_pipelines.adapters.image_scanners.advisories import Advisories
        from release_pipelines.adapters.sbom import NoSbom, components_in

        scanner = Advisories(self.sources)
        if self.sbom is None:
            assert self.image is not None and self.digest is not None  # noqa: S101, PT018 - the constructor has looked
            for layout, image in fetched(self.registry_conn_id, self.image, self.digest):
                yield scanner.scan_image(layout, image)
            return
        try:
            components = components_in(Path(self.sbom).read_bytes())
        except OSError as error:
            raise PlatformError(f"The SBOM {self.sbom} cannot be read: {error.strerror}.") from error
        except NoSbom as error:
            raise PlatformError(f"{self.sbom} is no SBOM that can be read: {error}.") from error
        yield scanner.look_up(components, None, None)

    def _keep(self, results: list[ScanResult]) -> None:
        from release_pipelines.adapters.history import UnknownRelease

        try:
            keep_results(HistoryHook().history(), self.release, SCANNER, results)
        except UnknownRelease:
            self.log.info("The history knows no release %s: the results are kept in XCom alone.", self.release)
