"""From a version to the commit that it is built from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.hooks.git import GitHook
from release_pipelines.airflow.operator import ReleaseOperator
from release_pipelines.core.errors import PlatformError
from release_pipelines.features.build.operators._tries import TRY_AGAIN

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.git import Git, Revision


class ResolveCommitOperator(ReleaseOperator):
    """Find the commit that a version is built from.

    :param repository: a Git URL, or a folder that is a Git repository.
    :param branch: its newest commit is taken when the version has no tag (``v1.2.3`` or ``1.2.3``).
    :param version: the version; a commit's hash is taken as such.
    :param since: the commit that runs now, if it is known.
    :param git_conn_id: connection with the credentials of a private repository.
    :return: ``{"commit", "ref", "version", "changes"}``; ``changes`` lists the commits since ``since``, for people.

    Templated: ``repository``, ``branch``, ``version``, ``since``.
    XCom: return value; ``reason`` when it fails.
    """

    template_fields = ("repository", "branch", "version", "since")

    def __init__(
        self,
        *,
        repository: str,
        branch: str = "main",
        version: str,
        since: str = "",
        git_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**TRY_AGAIN, **kwargs})
        self.repository = repository
        self.branch = branch
        self.version = version
        self.since = since
        self.git_conn_id = git_conn_id

    def work(self, context: Context) -> dict[str, str]:
        git = GitHook(self.repository, self.git_conn_id).get_conn()
        revision = git.resolve(self.version, self.branch)
        self.log.info("%s is %s (%s).", self.version, revision.commit, revision.ref)
        return {
            "commit": revision.commit,
            "ref": revision.ref,
            "version": self.version,
            "changes": self._changes(git, revision),
        }

    def _changes(self, git: Git, revision: Revision) -> str:
        """The commits since the one that runs; a history that was rewritten is no reason to stop."""
        if not self.since:
            return ""
        try:
            return "\n".join(git.changes(self.since, revision.commit)) or "none"
        except PlatformError as error:
            self.log.warning("The changes since %s cannot be listed: %s", self.since, error)
            return ""
