"""Scans that a registry makes itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.bases.sensor import PokeReturnValue

from release_pipelines.airflow.findings import keep_results
from release_pipelines.airflow.hooks.aws import container_registry
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.operator import explained, is_blank
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.finding import ScanResult, Severity
from release_pipelines.core.model.image import PlatformImage
from release_pipelines.core.model.units import lasting
from release_pipelines.features.scan.operators._verdict import image_results, log_findings, named, stop, summary_of
from release_pipelines.features.scan.triggers import EcrImageScanTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class EcrImageScanSensor(BaseSensorOperator):
    """Wait for Amazon ECR's own scan of an image, basic or enhanced, and stop the release on what it found or could not look at.

    Deferred by default: holds no worker slot. Of an index each platform's image is asked for: ECR scans no index. What is not known at
    the time limit is unknown, which stops the release like the worst finding.

    :param image: the repository, with or without the registry's host, which names account and region.
    :param digest: of an image, or of an index.
    :param aws_conn_id: connection of AWS.
    :param region_name: None: the image's, or the connection's.
    :param block_on: findings of this severity and above stop the release; None: none does, only what could not be looked at.
    :param wait: how long findings are waited for, in seconds.
    :param poke_interval: how often it is asked, in seconds.
    :param release: id of the release that keeps the results; empty: they are kept nowhere.
    :param deferrable: False: wait in the worker.
    :return: ``{"scanner", "status", "sentence", "counts"}``; a failing task pushes it as ``result``.

    Templated: ``image``, ``digest``, ``release``.
    XCom: return value, ``result``; ``reason`` when it fails.
    """

    template_fields: Sequence[str] = ("image", "digest", "release")

    def __init__(
        self,
        *,
        image: str,
        digest: str,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        block_on: Severity | None = "high",
        wait: float = 1800.0,
        poke_interval: float = 15.0,
        release: str = "",
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"retries": 3, "timeout": wait + 3600, "poke_interval": poke_interval, **kwargs})
        self.image = image
        self.digest = digest
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.block_on = block_on
        self.wait = wait
        self.release = release
        self.deferrable = deferrable
        self._end: float | None = None

    def execute(self, context: Context) -> Any:
        """Look once, then wait for the trigger."""
        if not self.deferrable:
            return super().execute(context)
        return self._go_on(context, time.time() + self.wait)

    def poke(self, context: Context) -> PokeReturnValue:
        """Whether there is an answer, and which."""
        self._end = self._end or time.time() + self.wait
        with explained(context):
            platforms, results = self._look()
            if time.time() < self._end and any(isinstance(it, str) for it in results):
                return PokeReturnValue(False)
            return PokeReturnValue(True, self._ended(context, self._settled(platforms, results)))

    def looked(self, context: Context, event: dict[str, Any]) -> Any:
        """The trigger has seen the end, or has waited long enough."""
        return self._go_on(context, event["end"])

    def _go_on(self, context: Context, end: float) -> Any:
        with explained(context):
            platforms, results = self._look()
            waiting = [it for it in results if isinstance(it, str)]
            if not waiting or time.time() >= end:
                return self._ended(context, self._settled(platforms, results))
        self.log.info("Amazon ECR: %s.", waiting[0])
        trigger = EcrImageScanTrigger(
            image=self.image,
            platforms=[to_json(it) for it in platforms],
            aws_conn_id=self.aws_conn_id,
            region=self.region_name,
            end=end,
            interval=self.poke_interval,
        )
        self.defer(trigger=trigger, method_name="looked")

    def _look(self) -> tuple[list[PlatformImage], list[ScanResult | str]]:
        """The images, and what is known of each now."""
        from release_pipelines.adapters.image_scanners import _ecr

        if is_blank(self.digest):
            raise ValueError("digest is missing: the task that gives it has not run, or gave nothing.")
        repository = _ecr.repository_of(self.image)
        client = container_registry(self.aws_conn_id, self.region_name or repository.region)
        platforms = _ecr.platforms(client, repository, self.digest)
        if not platforms:
            raise PlatformError(f"unknown: {self.digest} holds no image that Amazon ECR could look at.")
        several = len(platforms) > 1
        results: list[ScanResult | str] = []
        for it in platforms:
            found = _ecr.look(client, repository, it)
            results.append(named(found, it, several) if isinstance(found, ScanResult) else found)
        return platforms, results

    def _settled(self, platforms: Sequence[PlatformImage], results: Sequence[ScanResult | str]) -> list[ScanResult]:
        """All results; what was waited for in vain is unknown."""
        vain = f"unknown: ecr was waited for for {lasting(self.wait)}, and"
        return [
            it
            if isinstance(it, ScanResult)
            else ScanResult(status="unknown", sentence=f"{vain} {it}.", subject=image.digest)
            for image, it in zip(platforms, results, strict=True)
        ]

    def _ended(self, context: Context, results: list[ScanResult]) -> dict[str, Any]:
        if not is_blank(self.release):
            keep_results(HistoryHook().history(), self.release, image_results("ecr"), results)
        summary = summary_of("ecr", results)
        context["ti"].xcom_push("result", summary)
        findings = log_findings(self.log, results)
        unknown = [it for it in results if it.status == "unknown"]
        if unknown:
            raise (PlatformUnavailable if all(it.again for it in unknown) else PlatformError)(summary["sentence"])
        stop("ecr", findings, self.block_on)
        self.log.info("%s", summary["sentence"])
        return summary
