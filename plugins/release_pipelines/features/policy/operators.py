"""Policies are asked. What has something against the release stops it, and so does what could not be asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.airflow.evidence import found_in
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.operator import RUN, ReleaseOperator, as_value, is_blank
from release_pipelines.airflow.policies import Setting, asked_about, collected
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.policy import PolicyWaiver, Ruling

if TYPE_CHECKING:
    from airflow.sdk import Context


class PolicyOperator(ReleaseOperator):
    """Ask policies about a document of evidence, and fail unless none of them has anything against it.

    A rule that could not be asked fails the task like one that says no: a policy without a rule for ``data.release.deny``, evidence
    that is not as its schema says or lacks what a rule asks for, a rule that raises or takes too long.

    :param policies: names of files in ``folder`` without ``.rego``, or of folders in it.
    :param evidence: the document (see ``include/schemas/evidence.schema.json``): a dict, another task's ``.output``, or JSON.
    :param folder: where the policies are; default: ``include/policies`` of the project.
    :param waivers: :class:`~release_pipelines.core.model.policy.PolicyWaiver` or dicts: ``app``, ``rule``, ``reason``, ``until``, ``who``.
    :param later: parts of the evidence that are not known yet: policies that need them are left for a later task, and named.
    :param time_zone: in which the last day of a waiver ends.
    :param timeout: seconds that the evaluation of one policy may take.
    :return: a :class:`~release_pipelines.core.model.policy.Ruling` as a dict: ``status``, ``rules`` (how many were asked), ``answers``,
        ``sentence``; a failing task pushes it as ``result``.

    Templated: ``evidence``.
    XCom: return value, ``result``; ``reason`` when it fails.
    """

    template_fields: tuple[str, ...] = ("evidence",)

    def __init__(
        self,
        *,
        policies: Sequence[str],
        evidence: Any = None,
        folder: str | Path | None = None,
        waivers: Sequence[PolicyWaiver | dict[str, Any]] = (),
        later: Sequence[str] = (),
        time_zone: str = "UTC",
        timeout: float = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.policies = list(policies)
        self.evidence = evidence
        self.folder = folder
        self.waivers = list(waivers)
        self.later = list(later)
        self.time_zone = time_zone
        self.timeout = timeout

    def work(self, context: Context) -> dict[str, Any]:
        document = self.document(context)
        result = asked_about(
            document,
            self.policies,
            folder=Path(self.folder) if self.folder else None,
            later=self.later,
            waivers=[as_value(PolicyWaiver, it, "waiver") for it in self.waivers],
            time_zone=self.time_zone,
            seconds=self.timeout,
        )
        return self.judged(context, document, result)

    def document(self, context: Context) -> dict[str, Any]:
        """The evidence."""
        if is_blank(self.evidence):
            raise ValueError("evidence is missing: the task that gives it has not run, or gave nothing.")
        given = json.loads(self.evidence) if isinstance(self.evidence, str) else self.evidence
        if not isinstance(given, dict):
            raise ValueError(f"evidence is a document with keys, found {type(given).__name__}.")
        return given

    def judged(self, context: Context, document: dict[str, Any], result: Ruling) -> dict[str, Any]:
        """The result, unless it stops the release."""
        context["ti"].xcom_push("result", to_json(result))
        for answer in result.answers:
            for it in answer.denials:
                self.log.warning("%s: %s %s", it.rule, it.message, it.evidence if it.evidence is not None else "")
        if result.status != "passed":
            raise AirflowFailException(result.sentence)
        self.log.info("%s", result.sentence)
        return to_json(result)


class ReleasePolicyOperator(PolicyOperator):
    """The same about a release, whose evidence is put together from what the history keeps of it.

    :param setting: what the files say: ``environment``, ``strategy``, ``tags``, ``calendars``.
    :param release: the release's id.
    :param artifact: what is released.
    :param preflight: what preflight found.
    :param tests: names of checks to their results.

    Templated: ``release``, ``artifact``, ``preflight``, ``tests``.
    XCom: as :class:`PolicyOperator`. The document and the ruling are kept with the release.
    """

    template_fields = ("evidence", "release", "artifact", "preflight", "tests")

    def __init__(
        self,
        *,
        setting: dict[str, Any],
        artifact: Any,
        preflight: Any,
        tests: Mapping[str, str],
        release: str = RUN,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.setting = setting
        self.artifact = artifact
        self.preflight = preflight
        self.tests = dict(tests)
        self.release = release

    def document(self, context: Context) -> dict[str, Any]:
        artifact = as_value(Artifact, self.artifact, "artifact")
        preflight = json.loads(self.preflight) if isinstance(self.preflight, str) else self.preflight
        history = HistoryHook().history()
        return collected(
            history, self.release, artifact, Setting(**self.setting), preflight or {}, found_in(self.tests)
        )

    def judged(self, context: Context, document: dict[str, Any], result: Ruling) -> dict[str, Any]:
        history, environment = HistoryHook().history(), self.setting["environment"]
        history.attach(self.release, f"policy-{environment}.json", "application/json", json.dumps(document))
        history.record_event(self.release, "policy", result.sentence, environment, to_json(result))
        return super().judged(context, document, result)
