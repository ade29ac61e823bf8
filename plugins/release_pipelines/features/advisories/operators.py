"""Known flaws of what an image is made of, for anyone's DAG; in a release the scanner of images does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
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
    """Look up each package of an image in advisories of OSV format, and fail on what is bad enough, or could not be looked up.

    Works without the internet: the records are in folders or archives on the workers, or come from an address of one's own, of
    which the last copy is kept.

    :param image: repository of the image, with or without the registry's host.
    :param digest: digest of the image, or of its index; each platform is looked up.
    :param registry_conn_id: where the image is.
    :param osv: where records are: folders, archives (``.zip``, ``.tar.gz``), addresses of archives.
    :param older_than: records whose newest is older than this count as none; a time like ``2d``. None: their age does not matter.
    :param leave_out: types of package URLs that the records need not cover, like ``generic``.
    :param block_on: findings of this severity and above, and those whose severity nobody can say, fail the task.
    :param release: the release's id; where the history knows it, the whole results are kept with it.
    :return: ``{"scanner", "status", "sentence", "counts", "data_at"}``; a failing task pushes it as ``result``. ``data_at`` is how
        old the oldest data are, as Unix time in seconds.

    Templated: ``image``, ``digest``, ``release``.
    XCom: return value, ``result``; ``reason`` when it fails.
    """

    template_fields = ("image", "digest", "release")

    def __init__(
        self,
        *,
        image: str,
        digest: str,
        osv: Sequence[str],
        registry_conn_id: str = "registry",
        older_than: str | float | None = None,
        leave_out: Sequence[str] = (),
        block_on: Severity = "high",
        release: str = RUN,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"retries": 3, "retry_delay": timedelta(seconds=10), **kwargs})
        self.image = image
        self.digest = digest
        self.registry_conn_id = registry_conn_id
        options = {"osv": list(osv), "older_than": older_than, "leave_out": list(leave_out)}
        try:
            self.sources = AdvisorySources.model_validate(options)
        except ValidationError as error:  # its own words may hold a password
            raise ValueError(validation_sentence(error)) from None
        self.block_on = block_on
        self.release = release

    def work(self, context: Context) -> dict[str, Any]:
        from release_pipelines.core.ports.scanner import image_scanner

        scanner = image_scanner(SCANNER, self.sources.model_dump(mode="json"))
        results = [scanner.scan_image(*it) for it in fetched(self.registry_conn_id, self.image, self.digest)]
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
            self.log.warning("%s %s %s %s", it.severity, it.rule, it.platform, it.text)
        if len(findings) > LOGGED_FINDINGS:
            self.log.warning("… and %s more.", len(findings) - LOGGED_FINDINGS)
        if unknown:
            raise PlatformError(unknown.sentence)
        blocking = [it for it in findings if reaches(it.severity, self.block_on)]
        if blocking:
            worst = blocking[0]
            raise PlatformError(
                f"{SCANNER} found {in_words(blocking)} (findings from {self.block_on} on block), like {worst.rule} on "
                f"{worst.platform}: {worst.text.rstrip('.')}."
            )
        self.log.info("%s", summary["sentence"])
        return summary

    def _keep(self, results: list[ScanResult]) -> None:
        from release_pipelines.adapters.history import UnknownRelease

        try:
            keep_results(HistoryHook().history(), self.release, SCANNER, results)
        except UnknownRelease:
            self.log.info("The history knows no release %s: the results are kept in XCom alone.", self.release)
