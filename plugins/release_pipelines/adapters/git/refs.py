"""What a Git repository has, without a checkout: its refs, and which commit comes before which."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from release_pipelines.adapters.git._command import GitCommand, GitError

COMMIT = re.compile(r"[0-9a-f]{7,64}")


class Brought(NamedTuple):
    """What commits bring over another one: name and e-mail of the author of each, and the files that differ."""

    authors: list[tuple[str, str]]
    files: list[str]


class GitRefs(GitCommand):
    """A repository's branches, tags, order of commits, and who made them."""

    def head(self, branch: str) -> str | None:
        """The newest commit of a branch; None: there is no such branch."""
        ref = f"refs/heads/{branch}"
        return self._refs([ref]).get(ref)

    def tags(self) -> dict[str, str]:
        """The names of all tags to their commits, highest versions first."""
        listed = self._refs(["refs/tags/*"], "--sort=-version:refname")
        names = dict.fromkeys(ref.removesuffix("^{}").removeprefix("refs/tags/") for ref in listed)
        return {it: listed.get(f"refs/tags/{it}^{{}}") or listed[f"refs/tags/{it}"] for it in names}

    @contextmanager
    def ancestry(self) -> Iterator[Callable[[str, str], bool]]:
        """Whether the first commit is an ancestor of the second, or the same; one that the repository has not got is none's.

        The repository is fetched, without its files, when it is asked for the first time.
        """
        with tempfile.TemporaryDirectory(prefix="release-") as folder, self._environment() as env:

            def is_ancestor(one: str, other: str) -> bool:
                if not (COMMIT.fullmatch(one) and COMMIT.fullmatch(other)):
                    return False
                if not (Path(folder) / "HEAD").exists():
                    clone = ["clone", "--quiet", "--bare", "--filter=tree:0", "--", self.repository, folder]
                    self._git(clone, env)
                try:
                    return self._git(["-C", folder, "merge-base", one, other], env).startswith(one)
                except GitError:  # nothing in common, or not there
                    return False

            yield is_ancestor

    def brought(self, since: str, commit: str) -> Brought:
        """Who made the commits that ``commit`` has and ``since`` has not, and which files differ between the two.

        :raises GitError: when the repository has not got one of them.
        """
        with tempfile.TemporaryDirectory(prefix="release-") as folder, self._environment() as env:
            self._git(["clone", "--quiet", "--bare", "--filter=blob:none", "--", self.repository, folder], env)
            log = self._git(["-C", folder, "log", "--format=%an%x09%ae", f"{since}..{commit}", "--"], env)
            files = self._run(["-C", folder, "diff", "--name-only", "-z", "--no-renames", since, commit, "--"], env)
        authors = [(name, email) for name, _, email in (it.rpartition("\t") for it in log.split("\n") if it)]
        return Brought(authors, [os.fsdecode(it) for it in files.split(b"\0") if it])

    def _refs(self, patterns: Sequence[str], *options: str) -> dict[str, str]:
        """The refs that fit one of the patterns, and what they name."""
        with self._environment() as env:
            listed = self._git(["ls-remote", *options, "--", self.repository, *patterns], env)
        return {ref: commit for commit, ref in (line.split("\t", 1) for line in listed.split("\n") if "\t" in line)}
