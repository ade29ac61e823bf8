"""The gate behind all scanners: what they found is judged together, once, before anything is deployed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.ending import noted
from release_pipelines.airflow.findings import kept_results
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.operator import ReleaseOperator, as_value, is_blank
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.findings.rules import Rules
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.finding import ScanResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.history import History
    from release_pipelines.core.findings.comparison import Serving
    from release_pipelines.core.findings.judgement import Judgement

WHO = "The scanners"


class FindingsGateOperator(ReleaseOperator):
    """Judge what all scanners of a release found, and stop it on what its rules forbid, or could not be looked at.

    Records of one flaw count once; exceptions and VEX let pass what they name. A rollback asks none of this.

    :param rules: what stops a release: a :class:`~release_pipelines.core.findings.rules.Rules`, or a mapping of its keys, those of ``scan``
        in an app's file.
    :param results: names of scanners to what they found: results as they keep them, or reports in SARIF, each alone or in a list, also as
        JSON; empty: what scanners have kept for ``release``.
    :param release: id of the release whose results are read, and that keeps the report ``findings.sarif``; empty: none.
    :param artifact: the :class:`~release_pipelines.core.model.artifact.Artifact` that is judged, for VEX and for what is known of
        its source from an earlier release; empty: it is not known.
    :param serving: ``{"version", "digest"}`` of what serves now: with it, what is new and what is fixed is told; empty: nothing serves.
    :param scanners: names of scanners that have to have looked; one that has not is unknown.
    :param images: digests of the image's platforms to the platforms' names: each scanner of the image has to have looked at all of them, and at
        nothing else; empty: whoever scans sees to it.
    :param vex: names of VEX documents in ``include/vex``, or paths.
    :return: ``{"status", "sentence", "counts", "blocking", "excepted", "new", "fixed", "same", "serving"}``: the first is ``clean``, ``findings``
        or ``unknown``, the last six are texts for people; ``serving`` says what is known against the version that serves. A failing task pushes it as ``result``.

    Templated: ``results``, ``release``, ``artifact``, ``serving``, ``images``.
    XCom: return value, ``result``; ``reason`` when it fails.
    """

    template_fields = ("results", "release", "artifact", "serving", "images")

    def __init__(
        self,
        *,
        rules: Rules | Mapping[str, Any] | None = None,
        results: Any = None,
        release: str = "",
        artifact: Any = None,
        serving: Any = None,
        scanners: Sequence[str] = (),
        images: Any = None,
        vex: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rules = rules if isinstance(rules, Rules) else Rules.model_validate(rules or {})
        self.results = results
        self.release = release
        self.artifact = artifact
        self.serving = serving
        self.scanners = list(scanners)
        self.images = images
        self.vex = list(vex)

    def work(self, context: Context) -> dict[str, Any]:
        from release_pipelines.features.scan.words import summary_of

        judgement, against = self._judged()
        summary = {**summary_of(judgement, WHO), "serving": against}
        context["ti"].xcom_push("result", summary)
        self._keep(judgement, against)
        for name in ("blocking", "excepted", "new", "fixed"):
            self.log.info("%s: %s", name.capitalize(), summary[name])
        for sentence in judgement.unknown:
            self.log.warning("%s", sentence)
        if not judgement.passes:
            raise PlatformError(summary["sentence"])
        return summary

    def _judged(self) -> tuple[Judgement, str]:
        """The judgement, and what is known against the version that serves, to which a rollback goes all the same."""
        from release_pipelines.core.findings.judgement import Demand, judge
        from release_pipelines.core.findings.vex import Product
        from release_pipelines.features.scan.documents import exploit_scores, known_exploited, vex_statements
        from release_pipelines.features.scan.words import against_serving

        listed = self.rules.known_exploited
        artifact = None if is_blank(self.artifact) else as_value(Artifact, self.artifact, "artifact")
        history = None if is_blank(self.release) else HistoryHook().history()
        results = self._results(history, artifact)
        serving = self._serving(history, artifact)

        def product(version: str, digest: str, of: Mapping[str, Sequence[ScanResult]]) -> Product | None:
            looked = [
                (it.subject, finding.platform) for found in of.values() for it in found for finding in it.findings
            ]
            platforms = {
                subject: platform for subject, platform in looked if subject and platform and subject != digest
            }
            return Product(artifact.image, digest, version, platforms) if artifact else None

        judged = partial(
            judge,
            now=time.time(),
            statements=vex_statements(self.vex),
            known_exploited=known_exploited(listed if isinstance(listed, str) else None),
            scores=exploit_scores(self.rules.epss.data if self.rules.epss else None),
        )
        demand = Demand(self.scanners, None if is_blank(self.images) else dict(_from_json(self.images)))
        ours = product(artifact.version, artifact.digest, results) if artifact else None
        judgement = judged(results, self.rules, product=ours, serving=serving, demand=demand)
        if serving is None or not serving.results:
            return judgement, "not known" if serving else "nothing serves"
        its = product(serving.version, str(_from_json(self.serving)["digest"]), serving.results)
        against = judged(serving.results, self.rules, product=its)
        return judgement, against_serving(against, serving.version)

    def _results(self, history: History | None, artifact: Artifact | None) -> dict[str, list[ScanResult]]:
        if not is_blank(self.results):
            return results_in(self.results)
        if history is None:
            raise ValueError(
                "results are missing: the tasks that give them have not run, or a release is expected whose scanners kept them."
            )
        results = kept_results(history, self.release)
        missing = [it for it in self.scanners if it not in results]
        if missing and artifact:  # it is released anew, without a build: its source is what it was
            before = _kept_for(history, artifact.app, artifact.digest, self.release)
            results |= {
                name: found for name in missing if (found := [it for it in before.get(name, []) if it.subject is None])
            }
        return results

    def _serving(self, history: History | None, artifact: Artifact | None) -> Serving | None:
        from release_pipelines.core.findings.comparison import Serving

        told = {} if is_blank(self.serving) else _from_json(self.serving)
        if not told.get("digest"):
            return None
        kept = _kept_for(history, artifact.app, told["digest"], self.release) if history and artifact else {}
        return Serving(str(told.get("version") or told["digest"]), kept)

    def _keep(self, judgement: Judgement, against: str) -> None:
        """Keep the report, and what an incident report shall tell of the version that a rollback goes back to."""
        from release_pipelines.core.sarif import REPORT, write

        if is_blank(self.release):
            return
        with noted("The report of all findings could not be kept"):
            history = HistoryHook().history()
            history.attach(self.release, REPORT, "application/sarif+json", write(judgement))
            if judgement.serving and against.startswith(judgement.serving):
                history.record_event(self.release, "noticed", against)


def results_in(given: Any) -> dict[str, list[ScanResult]]:
    """Results as other tasks give them.

    :raises ValueError: one sentence, when they are none.
    """
    from release_pipelines.core.sarif import read

    given = _from_json(given)
    if not isinstance(given, Mapping):
        raise ValueError("results are expected as a mapping of scanners' names to what they found.")
    results: dict[str, list[ScanResult]] = {}
    for name, found in given.items():
        told = _from_json(found)
        each = list(told) if isinstance(told, (list, tuple)) else [] if told is None else [told]
        results[str(name)] = [
            read(json.dumps(it), str(name)) if isinstance(it, dict) and "runs" in it else _result(it)
            for it in map(_from_json, each)
        ]
    return results


def _result(given: Any) -> ScanResult:
    return given if isinstance(given, ScanResult) else ScanResult.model_validate(given)


def _from_json(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except ValueError:
        raise ValueError("results are expected as values or JSON, found a text that is not JSON.") from None


def _kept_for(history: History, app: str, digest: str, besides: str) -> dict[str, list[ScanResult]]:
    """What is known of a digest from the newest release of it in which a scanner could look, scanner by scanner."""
    results: dict[str, list[ScanResult]] = {}
    for it in history.past_of(app, digest, besides):
        for name, found in kept_results(history, it.id).items():
            if name not in results or any(one.status == "unknown" for one in results[name]):
                results[name] = found
    return results
