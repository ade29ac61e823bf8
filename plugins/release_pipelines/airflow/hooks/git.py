"""Airflow connection with a login and a password → a Git repository."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from release_pipelines.adapters.git import Git, Revision


class GitHook(BaseHook):
    """One repository.

    :param repository: a URL, or a folder.
    :param git_conn_id: connection with login and password (or token) for it; None: it can be read by anybody.
    """

    conn_name_attr = "git_conn_id"
    hook_name = "Git"

    def __init__(self, repository: str, git_conn_id: str | None = None) -> None:
        super().__init__()
        self.repository = repository
        self.git_conn_id = git_conn_id

    def get_conn(self) -> Git:
        """The repository, with the connection's credentials."""
        from release_pipelines.adapters.git import Credentials, Git

        if self.git_conn_id is None:
            return Git(self.repository)
        connection = self.get_connection(self.git_conn_id)
        source = f"connection {self.git_conn_id}"
        return Git(self.repository, Credentials(connection.login or "git", connection.password or "", source))

    def resolve(self, version: str, branch: str | None = None, **how: Any) -> Revision:
        """See :meth:`~release_pipelines.adapters.git.Git.resolve`."""
        return self.get_conn().resolve(version, branch, **how)

    @contextmanager
    def checkout(self, commit: str, within: str = ".", *, lfs: bool = True) -> Iterator[Path]:
        """See :meth:`~release_pipelines.adapters.git.Git.checkout`."""
        with self.get_conn().checkout(commit, within, lfs=lfs) as folder:
            yield folder

    def commit_time(self, folder: Path) -> str:
        """See :meth:`~release_pipelines.adapters.git.Git.commit_time`."""
        return self.get_conn().commit_time(folder)

    def changes(self, since: str, commit: str, limit: int = 20) -> list[str]:
        """See :meth:`~release_pipelines.adapters.git.Git.changes`."""
        return self.get_conn().changes(since, commit, limit)
