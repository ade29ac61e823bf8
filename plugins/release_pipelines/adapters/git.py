"""Git repositories, public or with credentials; always by the ``git`` command, never a shell."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.text import clean, one_line

TIMEOUT = 600.0
"""Maximum run time of one Git command, in seconds."""

OUTPUT_LIMIT = 1_000_000
"""Maximum length of a command's output that is read, in characters."""

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
class Revision:
    """A commit and the ref that named it."""

    commit: str
    ref: str


@dataclass(frozen=True)
class Credentials:
    """Who reads a private repository.

    :param source: where they come from, in words, like ``connection code``.
    """

    user: str
    password: str = field(repr=False)
    source: str


class Git:
    """One repository.

    :param repository: a URL, or a folder.
    :param credentials: for a private repository; None: anybody can read it.
    """

    def __init__(self, repository: str, credentials: Credentials | None = None) -> None:
        self.repository = repository if ":" in repository else str(Path(repository).absolute())
        self.credentials = credentials

    @property
    def shown(self) -> str:
        """The repository's address without what may be a secret in it."""
        return re.sub(r"(?<=://)[^/@]*@", "", self.repository)

    def resolve(self, version: str, branch: str) -> Revision:
        """The commit of a version: its tag ``v<version>`` or ``<version>``, the commit that it is, else the branch's newest.

        :raises GitError: when there is none of them.
        """
        tags = (f"refs/tags/v{version}", f"refs/tags/{version}")
        head = f"refs/heads/{branch}"
        with self._environment() as env:
            listed = self._git(["ls-remote", "--", self.repository, *tags, *(f"{tag}^{{}}" for tag in tags), head], env)
        refs = {ref: commit for commit, ref in (line.split("\t", 1) for line in listed.split("\n") if line)}
        for ref in tags:
            # an annotated tag is an object of its own; its commit counts
            commit = refs.get(f"{ref}^{{}}") or refs.get(ref)
            if commit:
                return Revision(commit, ref)
        if COMMIT.fullmatch(version):
            return Revision(self._full(version), version)
        if head in refs:
            return Revision(refs[head], head)
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
            log = self._git(["-C", folder, "log", "--format=%h %s", *span], env)
            return [line for line in log.split("\n") if line]

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
        if self.credentials is None:
            yield env | {"GIT_ASKPASS": "/bin/false"}
            return
        with tempfile.TemporaryDirectory(prefix="release-") as folder:
            helper = Path(folder) / "askpass"
            helper.write_text(ASKPASS)
            helper.chmod(0o700)
            yield env | {
                "GIT_ASKPASS": str(helper),
                "RELEASE_PIPELINES_GIT_USER": self.credentials.user,
                "RELEASE_PIPELINES_GIT_PASSWORD": self.credentials.password,
            }

    def _git(self, arguments: list[str], env: dict[str, str]) -> str:
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            try:
                done = subprocess.run(["git", *arguments], env=env, stdout=stdout, stderr=stderr, timeout=TIMEOUT)
            except FileNotFoundError:
                raise GitError("The command git is missing on this worker: install it.") from None
            except subprocess.TimeoutExpired:
                raise PlatformUnavailable(f"Git got no answer from {self.shown} within {TIMEOUT:.0f} s.") from None
            said = stderr if done.returncode else stdout
            said.seek(0)
            text = clean(said.read(5 * OUTPUT_LIMIT), OUTPUT_LIMIT)  # however much a server makes Git say
        if done.returncode:
            raise self._failure(text)
        return text

    def _failure(self, stderr: str) -> PlatformError:
        """The error behind Git's own words."""
        explanation = explanation_in(stderr)
        if any(word in stderr for word in REFUSED):
            where = self.credentials.source if self.credentials else "no Git connection is given"
            return GitError(f"{self.shown} refuses to be read ({where}): {explanation}.")
        if any(word in stderr for word in AWAY):
            return PlatformUnavailable(f"{self.shown} cannot be reached: {explanation}.")
        return GitError(f"Git could not read {self.shown}: {explanation}.")


def explanation_in(stderr: str) -> str:
    """Git's own explanation: its first line that says fatal or error, without credentials."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["it said nothing"]
    line = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1])
    return one_line(re.sub(r"(?<=://)[^/@\s]*@", "", line.partition(": ")[2] or line))


def folder_inside(source: Path, context: str, dockerfile: str | None = None) -> Path:
    """The folder ``context`` of a checkout.

    :raises ValueError: when it is outside, is not there, or has no such Dockerfile.
    """
    folder = (source / context).resolve()
    if not folder.is_relative_to(source.resolve()):
        raise ValueError(
            f"`build.context` is {context}, which is outside the repository: a folder inside it is expected."
        )
    if not folder.is_dir():
        raise ValueError(f"`build.context` is {context}, but this commit has no such folder.")
    if dockerfile and not (folder / dockerfile).is_file():
        raise ValueError(f"`build.dockerfile` is {dockerfile}, but this commit has no such file in {context}.")
    return folder
