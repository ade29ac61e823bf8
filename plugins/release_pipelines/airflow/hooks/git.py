"""Git repositories, public or with the credentials of an Airflow connection; always by the ``git`` command, never a shell."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from airflow.sdk import BaseHook

from release_pipelines.core.errors import PlatformError, PlatformUnavailable

TIMEOUT = 600.0
"""Seconds that one Git command may take."""

ASKPASS = """\
#!/bin/sh
case "$1" in
  Username*) printf '%s\\n' "$RELEASE_PIPELINES_GIT_USER" ;;
  *) printf '%s\\n' "$RELEASE_PIPELINES_GIT_PASSWORD" ;;
esac
"""

COMMIT = re.compile(r"[0-9a-f]{7,40}")

REFUSED = ("Authentication failed", "could not read Username", "could not read Password", "Permission denied", "403")
AWAY = (
    "Could not resolve", "Couldn't connect", "Failed to connect", "Connection refused", "Connection timed out",
    "Connection reset", "early EOF", "unexpected disconnect", "remote end hung up", "error: 5",
)  # fmt: skip


class GitError(PlatformError):
    """What Git could not do, in a sentence."""


@dataclass(frozen=True)
class Found:
    """A commit and the ref that named it."""

    commit: str
    ref: str


class GitHook(BaseHook):
    """One repository.

    :param repository: a URL, or a folder.
    :param git_conn_id: connection with login and password (or token) for it; None: it can be read by anybody.
    """

    conn_name_attr = "git_conn_id"
    hook_name = "Git"

    def __init__(self, repository: str, git_conn_id: str | None = None) -> None:
        super().__init__()
        self.repository = repository if ":" in repository else str(Path(repository).absolute())
        self.git_conn_id = git_conn_id

    @property
    def shown(self) -> str:
        """The repository's address without what may be a secret in it."""
        return re.sub(r"(?<=://)[^/@]*@", "", self.repository)

    def resolve(self, version: str, branch: str) -> Found:
        """The commit of a version: its tag ``v<version>`` or ``<version>``, the commit that it is, else the branch's newest.

        :raises GitError: when there is none of them.
        """
        tags = (f"refs/tags/v{version}", f"refs/tags/{version}")
        head = f"refs/heads/{branch}"
        with self._environment() as env:
            listed = self._git(["ls-remote", "--", self.repository, *tags, *(f"{tag}^{{}}" for tag in tags), head], env)
        refs = {ref: commit for commit, ref in (line.split("\t", 1) for line in listed.splitlines())}
        for ref in tags:
            commit = refs.get(f"{ref}^{{}}") or refs.get(
                ref
            )  # an annotated tag is an object of its own; its commit counts
            if commit:
                return Found(commit, ref)
        if COMMIT.fullmatch(version):
            return Found(self._full(version), version)
        if head in refs:
            return Found(refs[head], head)
        raise GitError(
            f"{self.shown} has neither a tag v{version} or {version} nor a branch {branch}: push one of them, "
            "or correct `build.branch` in the app's file."
        )

    @contextmanager
    def checkout(self, commit: str) -> Iterator[Path]:
        """A folder with the files of ``commit``, gone afterwards.

        :raises GitError: when the repository does not have the commit.
        """
        with tempfile.TemporaryDirectory(prefix="release-") as name, self._environment() as env:
            folder = Path(name) / "source"
            self._fetch(folder, commit, env)
            try:
                self._git(["-C", str(folder), "checkout", "--quiet", "--detach", f"{commit}^{{commit}}", "--"], env)
            except GitError as error:
                raise GitError(f"{self.shown} has no commit {commit}.") from error
            yield folder

    def commit_time(self, folder: Path) -> str:
        """When the commit that is checked out in ``folder`` was made, as RFC 3339."""
        with self._environment() as env:
            return self._git(["-C", str(folder), "show", "--no-patch", "--format=%cI", "HEAD"], env).strip()

    def changes(self, since: str, commit: str, limit: int = 20) -> list[str]:
        """What a commit brings over another: short hash and subject of each commit, newest first, ``limit`` at most."""
        with tempfile.TemporaryDirectory(prefix="release-") as folder, self._environment() as env:
            self._git(["clone", "--quiet", "--bare", "--filter=tree:0", "--", self.repository, folder], env)
            span = [f"--max-count={limit}", f"{since}..{commit}", "--"]
            return self._git(["-C", folder, "log", "--format=%h %s", *span], env).splitlines()

    def _fetch(self, folder: Path, commit: str, env: dict[str, str]) -> None:
        self._git(["init", "--quiet", str(folder)], env)
        fetch = ["-C", str(folder), "fetch", "--quiet", "--no-write-fetch-head"]
        try:
            self._git([*fetch, "--depth=1", "--", self.repository, commit], env)
        except GitError:  # servers may refuse to give a commit by its name
            self._git(
                [*fetch, "--", self.repository, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"], env
            )

    def _full(self, commit: str) -> str:
        if len(commit) == 40:
            return commit
        with tempfile.TemporaryDirectory(prefix="release-") as folder, self._environment() as env:
            self._git(["clone", "--quiet", "--bare", "--filter=tree:0", "--", self.repository, folder], env)
            try:
                return self._git(
                    ["-C", folder, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"], env
                ).strip()
            except GitError as error:
                raise GitError(f"{self.shown} has no commit that begins with {commit}, or several.") from error

    @contextmanager
    def _environment(self) -> Iterator[dict[str, str]]:
        """Variables for Git: it never asks a person, and gets credentials by a helper, not by an address or argument."""
        env = os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        env.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        if self.git_conn_id is None:
            yield env | {"GIT_ASKPASS": "/bin/false"}
            return
        connection = self.get_connection(self.git_conn_id)
        with tempfile.TemporaryDirectory(prefix="release-") as folder:
            helper = Path(folder) / "askpass"
            helper.write_text(ASKPASS)
            helper.chmod(0o700)
            yield env | {
                "GIT_ASKPASS": str(helper),
                "RELEASE_PIPELINES_GIT_USER": connection.login or "git",
                "RELEASE_PIPELINES_GIT_PASSWORD": connection.password or "",
            }

    def _git(self, arguments: list[str], env: dict[str, str]) -> str:
        try:
            done = subprocess.run(["git", *arguments], env=env, capture_output=True, text=True, timeout=TIMEOUT)
        except FileNotFoundError:
            raise GitError("The command git is missing on this worker: install it.") from None
        except subprocess.TimeoutExpired:
            raise PlatformUnavailable(f"Git got no answer from {self.shown} within {TIMEOUT:.0f} s.") from None
        if done.returncode == 0:
            return done.stdout
        said = self._last_words(done.stderr)
        if any(word in done.stderr for word in REFUSED):
            where = f"connection {self.git_conn_id}" if self.git_conn_id else "no Git connection is given"
            raise GitError(f"{self.shown} refuses to be read ({where}): {said}.")
        if any(word in done.stderr for word in AWAY):
            raise PlatformUnavailable(f"{self.shown} cannot be reached: {said}.")
        raise GitError(f"Git could not read {self.shown}: {said}.")

    def _last_words(self, stderr: str) -> str:
        """Git's own explanation: its first line that says fatal or error, without credentials."""
        lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["it said nothing"]
        line = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1])
        return re.sub(r"(?<=://)[^/@\s]*@", "", line.partition(": ")[2] or line).rstrip(".")
