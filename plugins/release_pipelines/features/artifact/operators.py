"""Which artifact is released."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.branch import BranchMixIn

from release_pipelines.airflow.evidence import record_evidence
from release_pipelines.airflow.gates import SERVES
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.operator import RUN, ReleaseOperator, as_value, is_blank
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json

if TYPE_CHECKING:
    from airflow.sdk import Context


class RecordArtifactOperator(ReleaseOperator, BranchMixIn):
    """Bind the release to one digest (R1): the one that the history knows for the version, else the one just built.

    :param artifact: the artifact that was built or resolved, if any.
    :param known: the recorded artifact of the version, if any: it wins.
    :param release: the release's id.
    :param serving: ``version`` and ``digest`` of what has all traffic in the last environment, if anything.
    :param same: id of the task to which the run goes where the same images serve already, and nowhere else; None: it goes on.
    :param registry_conn_id: the registry that knows what digests are made of; without it digests are compared.
    :param evidence: names of checks to their results: what is known of the digest from here on, also when it is released again.
    :return: the :class:`~release_pipelines.core.model.artifact.Artifact` as a dict. Fails when the version was released before
        under another digest, unless that has the same image for each platform: then it is released by the recorded one.

    XCom: return value; ``serves``, a sentence, where the same images serve already; ``reason`` when it fails.
    """

    inherits_from_skipmixin = True
    template_fields = ("artifact", "known", "release", "evidence", "serving")

    def __init__(
        self,
        *,
        artifact: Any,
        known: Any = None,
        release: str = RUN,
        evidence: Mapping[str, str] | None = None,
        serving: Any = None,
        same: str | None = None,
        registry_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.artifact = artifact
        self.known = known
        self.release = release
        self.evidence = dict(evidence or {})
        self.serving = serving
        self.same = same
        self.registry_conn_id = registry_conn_id

    def work(self, context: Context) -> dict[str, Any]:
        recorded = not is_blank(self.known)
        artifact = as_value(Artifact, self.known if recorded else self.artifact, "the artifact")
        history = HistoryHook().history()
        before = history.artifact_of(artifact.app, artifact.version)
        if before and before.digest != artifact.digest and self._same(artifact, before.digest):
            self.log.info("%s has the images of %s, by which the version is known.", artifact.digest, before.digest)
            artifact, recorded = before, True
        history.record_artifact(self.release, artifact)
        record_evidence(history, self.release, artifact.digest, self.evidence)
        self.log.info("%s is %s%s.", artifact.version, artifact.reference, ", as recorded" if recorded else "")
        if serves := self._serves(artifact):
            self.log.info(serves)
            history.record_event(self.release, "noticed", serves)
            context["ti"].xcom_push(SERVES, serves)
        if self.same:  # what is skipped ends the task: its result would be lost
            context["ti"].xcom_push("return_value", to_json(artifact))
            self.do_branch(context, [self.same] if serves else sorted(self.downstream_task_ids - {self.same}))
        return to_json(artifact)

    def _serves(self, artifact: Artifact) -> str | None:
        """That the same images serve already (R17), in a sentence."""
        serving = json.loads(self.serving) if isinstance(self.serving, str) and self.serving else self.serving
        if not serving or not self._same(artifact, serving["digest"]):
            return None
        named = f"{serving['version'] or 'what runs'} ({serving['digest']})"
        if artifact.digest == serving["digest"]:
            return f"{artifact.version} is the image of {named}, which serves all traffic already; nothing was changed."
        return (
            f"{artifact.version} ({artifact.digest}) has the same image for each platform as {named}, which serves all traffic "
            "already and stays; nothing was changed."
        )

    def _same(self, artifact: Artifact, digest: str) -> bool:
        from release_pipelines.airflow.images import same

        if not self.registry_conn_id:
            return artifact.digest == digest
        return same(self.registry_conn_id, artifact.image, artifact.digest, digest)
