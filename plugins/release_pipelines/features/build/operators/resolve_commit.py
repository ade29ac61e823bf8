"""From a version to the commit that it is built from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.hooks.git import GitHook
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.operator import ReleaseOperator
from release_pipelines.core.errors import PlatformError, ReleaseError
from release_pipelines.features.build.operators._tries import TRY_AGAIN

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.git import Git, Revision


class ResolveCommitOperator(ReleaseOperator):
    """Find the commit that a version is built from.

    :param repository: a Git URL, or a folder that is a Git repository.
    :param branch: its newest commit is taken when no tag carries the version. None: such a version fails, but where versions are
        dates, or no version has a tag; there the branch is ``main``. May have ``{version}`` and ``{app}``, like ``tag``.
    :param version: the version; a commit's hash is taken as such.
    :param since: the commit that runs now, if it is known.
    :param git_conn_id: connection with the credentials of a private repository.
    :param tag: template of a version's tag, like ``release/{version}``; None: the usual ones, ``v1.2.3`` and ``1.2.3`` first.
    :param app: the app's name, for tags like ``shop-v1.2.3``.
    :param version_scheme: ``semver``, ``date`` or ``commit``; None: as the version looks.
    :param release: id of the release that keeps the commits since ``since``, for the measures of delivery; None: nothing keeps them.
    :param context: the folder inside the repository that is built: other commits do not count there.
    :return: ``{"commit", "ref", "version", "changes"}``; ``changes`` lists the commits since ``since``, for people.

    Templated: ``repository``, ``branch``, ``version``, ``since``, ``release``.
    XCom: return value; ``source``, which tag or branch was taken; ``reason`` when it fails.
    """

    template_fields = ("repository", "branch", "version", "since", "release")

    def __init__(
        self,
        *,
        repository: str,
        branch: str | None = None,
        version: str,
        since: str = "",
        git_conn_id: str | None = None,
        tag: str | None = None,
        app: str | None = None,
        version_scheme: str | None = None,
        release: str | None = None,
        context: str = ".",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**TRY_AGAIN, **kwargs})
        self.repository = repository
        self.branch = branch
        self.version = version
        self.since = since
        self.git_conn_id = git_conn_id
        self.tag = tag
        self.app = app
        self.version_scheme = version_scheme
        self.release = release
        self.folder = context

    def work(self, context: Context) -> dict[str, str]:
        git = GitHook(self.repository, self.git_conn_id).get_conn()
        tags = [self.tag] if self.tag else []
        revision = git.resolve(self.version, self.branch, tags=tags, app=self.app, scheme=self.version_scheme)
        self.log.info("%s is %s (%s).", self.version, revision.commit, revision.source)
        if revision.doubt:
            self.log.warning("%s", revision.doubt)
        context["ti"].xcom_push("source", revision.source)
        self._keep_commits(git, revision)
        return {
            "commit": revision.commit,
            "ref": revision.ref,
            "version": self.version,
            "changes": self._changes(git, revision),
        }

    def _keep_commits(self, git: Git, revision: Revision) -> None:
        """The history has what the release brings, for the measures of delivery; without it nothing stops."""
        if not self.release or not self.since:
            return
        from release_pipelines.core.model.records import COMMITS

        try:
            brought = git.commits(self.since, revision.commit, self.folder)
            HistoryHook().history().attach(self.release, COMMITS, "application/json", json.dumps(brought))
        except ReleaseError as error:
            self.log.warning("The commits since %s are not kept: %s", self.since, error)

    def _changes(self, git: Git, revision: Revision) -> str:
        """The commits since the one that runs; a history that was rewritten is no reason to stop."""
        if not self.since:
            return ""
        try:
            return "\n".join(git.changes(self.since, revision.commit)) or "none"
        except PlatformError as error:
            self.log.warning("The changes since %s cannot be listed: %s", self.since, error)
            return ""
