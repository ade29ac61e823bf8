"""Looks at the running app as stages. What could not be looked at is unknown, and fails like the worst finding."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from release_pipelines.airflow.findings import keep_results
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.images import pinned
from release_pipelines.airflow.operator import abort_watch
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.finding import Finding, ScanResult, badness, in_words, reaches
from release_pipelines.core.model.own_stage import OwnStageResult
from release_pipelines.features.own_stages.kinds.accessibility import AccessibilityOptions
from release_pipelines.features.own_stages.kinds.web_security import WebSecurityOptions
from release_pipelines.features.own_stages.kinds.zap import ZapOptions
from release_pipelines.features.own_stages.operators.base import OwnStageOperator
from release_pipelines.features.own_stages.operators.container import IMAGE
from release_pipelines.features.own_stages.triggers import ContainerStageTrigger
from release_pipelines.spec.folders import airflow_home, axe_file

if TYPE_CHECKING:
    from airflow.sdk import Context

HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")
LOGGED_FINDINGS = 50
"""Maximum number of findings in the log."""


class LookingOperator(OwnStageOperator):
    """Base: a subclass writes :meth:`look`. What it finds is kept with the release like a scanner's results, under the task's name.

    :return: as :class:`~release_pipelines.features.own_stages.operators.base.OwnStageOperator`; handed on are the findings' counts by severity.
    """

    model: type[Any]
    """Type of the options; they have ``block_on`` and ``accept``."""

    def look(self, wanted: Any, seconds: float) -> list[Finding]:
        """What there is to find.

        :param wanted: the options.
        :param seconds: maximum time.
        :raises ReleaseError: when something could not be looked at.
        """
        raise NotImplementedError

    def run(self, context: Context, options: dict[str, Any], seconds: float) -> OwnStageResult:
        wanted = self.model.model_validate(options)
        abort_watch(HistoryHook().history(), self.release)()
        return self._found(wanted, lambda: self.look(wanted, seconds))

    def _found(self, wanted: Any, look: Callable[[], list[Finding]]) -> OwnStageResult:
        """What a look comes to.

        :raises ReleaseError: when it could not look.
        """
        try:
            findings = sorted(look(), key=badness, reverse=True)
        except ReleaseError as error:
            why = str(error).rstrip(".")
            self._keep_result(
                ScanResult(status="unknown", sentence=f"unknown: {self._name()} could not look, because {why}.")
            )
            raise ReleaseError(f"{self._name()} could not look: {why}.") from None
        for it in findings[:LOGGED_FINDINGS]:
            self.log.warning("%s %s %s %s", it.severity, it.rule, it.file, it.text)
        blocking = [it for it in findings if it.rule not in wanted.accept and reaches(it.severity, wanted.block_on)]
        told = f"found {in_words(findings)}" if findings else "found nothing"
        status: Literal["findings", "clean"] = "findings" if findings else "clean"
        self._keep_result(ScanResult(status=status, findings=findings, sentence=f"{self._name()} {told}."))
        if blocking:
            where = f" in {blocking[0].file}" if blocking[0].file else ""
            told = f"{told} (from {wanted.block_on} on it fails), like {blocking[0].rule}{where}: {blocking[0].text}"
        return OwnStageResult(
            succeeded=not blocking, sentence=told, values=dict(Counter(it.severity for it in findings))
        )

    def _name(self) -> str:
        return self.task_id.rpartition(".")[2]

    def _keep_result(self, result: ScanResult) -> None:
        try:
            keep_results(HistoryHook().history(), self.release, self._name(), [result])
        except ReleaseError as error:
            self.log.warning("What it found cannot be kept with the release. %s", error)


class WebSecurityStageOperator(LookingOperator):
    """Look at the headers and cookies of the app's answers, and at the certificate and the versions of TLS where it speaks TLS.

    ``options`` is a :class:`~release_pipelines.features.own_stages.kinds.web_security.WebSecurityOptions` or its dict. The other arguments,
    what is returned and pushed: :class:`~release_pipelines.features.own_stages.operators.base.OwnStageOperator`.

    Templated: ``artifact``, ``version``, ``release``, ``earlier``, ``lease``, ``deployment``.
    XCom: return value, also as ``result`` where it fails; ``aborted`` when a person ends the release; ``reason`` when it fails.
    """

    model = WebSecurityOptions

    def look(self, wanted: WebSecurityOptions, seconds: float) -> list[Finding]:
        from release_pipelines.adapters.site.web import answers, tls
        from release_pipelines.core.site.answers import each_once, of_headers, of_tls

        target = self.app_target()
        found = [it for answer in answers(target.url, target.host, wanted.paths) for it in of_headers(answer)]
        spoken = tls(target.url, target.host)
        return each_once([*(of_tls(spoken, wanted.certificate_lasts) if spoken else ()), *found])


class AccessibilityStageOperator(LookingOperator):
    """Look at pages in a browser of this worker with axe-core, which the project brings (``include/axe/axe.min.js``).

    ``options`` is a :class:`~release_pipelines.features.own_stages.kinds.accessibility.AccessibilityOptions` or its dict. The other arguments,
    what is returned and pushed: :class:`~release_pipelines.features.own_stages.operators.base.OwnStageOperator`.

    Templated: ``artifact``, ``version``, ``release``, ``earlier``, ``lease``, ``deployment``.
    XCom: return value, also as ``result`` where it fails; ``aborted`` when a person ends the release; ``reason`` when it fails.
    """

    model = AccessibilityOptions

    def look(self, wanted: AccessibilityOptions, seconds: float) -> list[Finding]:
        from release_pipelines.adapters.site.browser import axe_reports
        from release_pipelines.core.site.accessibility import findings_in

        target = self.app_target()
        script = axe_file(airflow_home())
        reports = axe_reports(target.url, target.host, wanted.paths, script, min(seconds, 60.0))
        return [it for path, report in reports.items() for it in findings_in(path, report)]


class ZapStageOperator(LookingOperator):
    """Run ZAP's baseline scan beside the app, in ZAP's own image. Deferred.

    Its exit code 0, 1 or 2 has to fit what it printed; 3 and every other one say that it did not run, which is unknown.

    ``options`` is a :class:`~release_pipelines.features.own_stages.kinds.zap.ZapOptions` or its dict. The other arguments, what is returned and
    pushed: :class:`~release_pipelines.features.own_stages.operators.base.OwnStageOperator`.

    Templated: ``artifact``, ``version``, ``release``, ``earlier``, ``lease``, ``deployment``.
    XCom: return value, also as ``result`` where it fails; ``image``, what was run, by its digest; ``verdict`` when the version turns bad meanwhile, ``aborted`` when a person ends the release; ``reason`` when it fails.
    """

    model = ZapOptions

    def run(self, context: Context, options: dict[str, Any], seconds: float) -> OwnStageResult:
        from release_pipelines.core.site.zap import LOOKED

        wanted, target = ZapOptions.model_validate(options), self.app_target()
        image = pinned(wanted.image, target.registry_connection)
        context["ti"].xcom_push(IMAGE, image)
        self.defer(
            trigger=ContainerStageTrigger(
                release=self.release,
                until=time.time() + seconds,
                target=to_json(target),
                image=image,
                command=[
                    "zap-baseline.py",
                    "-t",
                    target.address(wanted.path),
                    "-m",
                    str(wanted.minutes),
                    *_host(target.host),
                ],
                env={},
                secrets={},
                exit_codes=list(LOOKED),
                **self.judging(),
            ),
            method_name="ended",
        )
        raise AssertionError  # it is deferred

    def result_of(self, context: Context, event: dict[str, Any]) -> OwnStageResult:
        from release_pipelines.core.site.zap import findings_in

        result, output = super().result_of(context, event), str(event.get("output") or "")
        self.log.info(output or "It printed nothing.")
        wanted = ZapOptions.model_validate(self.filled_options())
        code = -1 if result.exit_code is None else result.exit_code
        return self._found(wanted, lambda: findings_in(output, code))


def _host(host: str | None) -> list[str]:
    """Arguments with which ZAP asks for the host that selects the app."""
    if not host:
        return []
    if not HOST.fullmatch(host):
        raise ReleaseError(
            f"The host {host!r} cannot be given to ZAP: letters, digits, dots, dashes and a port are expected."
        )
    rule = {
        "description": "host",
        "enabled": "true",
        "matchtype": "REQ_HEADER",
        "matchstr": "Host",
        "regex": "false",
        "replacement": host,
    }
    return ["-z", " ".join(f"-config replacer.full_list(0).{key}={value}" for key, value in rule.items())]
