"""Which artifact is released."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.evidence import record_evidence
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.operator import RUN, ReleaseOperator, as_value, is_blank
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json

if TYPE_CHECKING:
    from airflow.sdk import Context


class RecordArtifactOperator(ReleaseOperator):
    """Bind the release to one digest (R1): the one that the history knows for the version, else the one just built.

    :param artifact: the artifact that was built or resolved, if any.
    :param known: the recorded artifact of the version, if any: it wins.
    :param release: the release's id.
    :param evidence: names of checks to their results: what is known of the digest from here on, also when it is released again.
    :return: the :class:`~release_pipelines.core.model.artifact.Artifact` as a dict. Fails when the version was released before
        under another digest.
    """

    template_fields = ("artifact", "known", "release", "evidence")

    def __init__(
        self,
        *,
        artifact: Any,
        known: Any = None,
        release: str = RUN,
        evidence: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.artifact = artifact
        self.known = known
        self.release = release
        self.evidence = dict(evidence or {})

    def work(self, context: Context) -> dict[str, Any]:
        recorded = not is_blank(self.known)
        artifact = as_value(Artifact, self.known if recorded else self.artifact, "the artifact")
        history = HistoryHook().history()
        history.record_artifact(self.release, artifact)
        record_evidence(history, self.release, artifact.digest, self.evidence)
        self.log.info("%s is %s%s.", artifact.version, artifact.reference, ", as recorded" if recorded else "")
        return to_json(artifact)
