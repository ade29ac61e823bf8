"""One Git repository: which commit a version is, and its files with all that belongs to them."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from release_pipelines.adapters.git._command import (
    GitError,
    configured,
    host_of,
    relative_to,
)
from release_pipelines.adapters.git.refs import GitRefs
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.source import without_login
from release_pipelines.core.tags import GIT_TAGS, branch_of, carries_a_version, tags_of
from release_pipelines.core.text import one_line
from release_pipelines.core.versions import version_fits

COMMIT = re.compile(r"[0-9a-f]{7,40}")

SUBMODULE_LEVELS = 8
"""Maximum depth of submodules inside of submodules."""

POINTER = b"version https://git-lfs.github.com/spec/"
"""How a file begins that stands for one in Git LFS."""

LFS_FILTER = {
    "filter.lfs.clean": "git-lfs clean -- %f",
    "filter.lfs.smudge": "git-lfs smudge -- %f",
    "filter.lfs.process": "git-lfs filter-process",
    "filter.lfs.required": "true",
}
"""What ``git lfs install`` writes; without it Git LFS fetches files and leaves their pointers where they are."""


@dataclass(frozen=True)
class Revision:
    """A commit and the ref that named it.

    :param source: the same in words, for people.
    :param doubt: why it may not be the commit that was meant, in a sentence; None: it is.
    """

    commit: str
    ref: str
    source: str = ""
    doubt: str | None = None


class Git(GitRefs):
    """One repository."""

    def resolve(
        self,
        version: str,
        branch: str | None = None,
        *,
        tags: Sequence[str] = (),
        app: str | None = None,
        scheme: str | None = None,
    ) -> Revision:
        """The commit of a version: that of its tag, or the commit that it is, or a branch's newest.

        A branch is built where it is asked for, where versions are dates, and where no version has a tag.

        :param branch: built when no tag carries the version; None: none is asked for. May have ``{version}`` and ``{app}``.
        :param tags: templates of a version's tags; none: :data:`~release_pipelines.core.tags.GIT_TAGS`.
        :param app: for tags that name one app of several.
        :param scheme: ``semver``, ``date`` or ``commit``; None: as the version looks.
        :raises GitError: when there is no such commit, or several.
        """
        scheme = scheme or _scheme_of(version)
        templates = tuple(tags) or (GIT_TAGS[:2] if scheme == "commit" else GIT_TAGS)
        names = tags_of(templates, version, app)
        found = self._tagged(version, templates, app)
        if found:
            return found
        if scheme == "commit":
            full = self._full(version)
            return Revision(full, version, f"commit {full[:12]}")
        wanted = " or ".join(names if tags else names[:2])
        if branch is None and scheme != "date" and (tags or self._tags_versions(templates, app, scheme)):
            raise GitError(
                f"{self.shown} has no tag of version {version}: push {wanted}, say how its tags are called with `build.tag`, "
                "or ask for the newest commit of a branch with `build.branch: main`."
            )
        name = branch_of(branch or "main", version, app)
        head = f"refs/heads/{name}"
        commit = self._refs([head]).get(head)
        if not commit:
            raise GitError(
                f"{self.shown} has neither a tag {wanted} nor a branch {name}: push one of them, "
                "or correct `build.branch` in the app's file."
            )
        source = f"newest commit of branch {name}, {commit[:12]}: no tag carries {version}"
        doubt = None
        if branch is None and scheme != "date":
            doubt = f"No tag carries any version in {self.shown}: the newest commit of {name} is built. Say so with `build.branch: {name}`."
        return Revision(commit, head, source, doubt)

    def newest(self, branch: str) -> str:
        """The newest commit of a branch.

        :raises GitError: where there is no such branch.
        """
        head = f"refs/heads/{branch}"
        commit = self._refs([head]).get(head)
        if not commit:
            raise GitError(f"{self.shown} has no branch {branch}.")
        return commit

    def file(self, commit: str, path: str) -> str | None:
        """A file of a commit, without a checkout; None: it is not there."""
        with tempfile.TemporaryDirectory(prefix="release-") as name, self._environment() as env:
            self._fetch(Path(name), commit, env)
            try:
                return self._git(["-C", name, "show", f"{commit}:{posixpath.normpath(path)}"], env)
            except GitError:
                return None

    @contextmanager
    def checkout(self, commit: str, within: str = ".", *, lfs: bool = True) -> Iterator[Path]:
        """A folder with the files of ``commit``, gone afterwards.

        Submodules and files in Git LFS are there too. Nothing of the repository is run.

        :param within: folder that is needed: submodules and files in LFS outside of it are not fetched.
        :param lfs: False: pointers are enough.
        :raises GitError: when the repository does not have the commit, or what belongs to it cannot be had.
        """
        with tempfile.TemporaryDirectory(prefix="release-") as name:
            folder = Path(name) / "source"
            self._fill(folder, commit, posixpath.normpath(within), lfs, 0)
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

    def commits(self, since: str, commit: str, within: str = ".", limit: int = 5000) -> list[dict[str, Any]]:
        """What a commit brings over another, oldest first: ``{"sha", "authored_at", "counts"}``.

        ``counts`` is false for merges, and for what changes nothing in the folder.

        :param within: a folder of the repository.
        :param limit: so many of the newest, at most.
        """
        with tempfile.TemporaryDirectory(prefix="release-") as folder, self._environment() as env:
            self._git(["clone", "--quiet", "--bare", "--filter=blob:none", "--", self.repository, folder], env)
            span = [f"--max-count={limit}", f"{since}..{commit}"]
            log = self._git(["-C", folder, "log", "--format=%H %at %P", *span, "--"], env)
            path = posixpath.normpath(within)
            inside = set(self._git(["-C", folder, "log", "--format=%H", *span, "--", path], env).split())
        found = []
        for line in reversed(log.splitlines()):
            sha, at, *parents = line.split()
            found.append({"sha": sha, "authored_at": float(at), "counts": len(parents) < 2 and sha in inside})
        return found

    def _tagged(self, version: str, templates: Sequence[str], app: str | None) -> Revision | None:
        """The commit of the version's tag: of the first one that is there.

        :raises GitError: when one of the app's own names another commit than another tag does: nobody can tell which is meant.
        """
        refs = [f"refs/tags/{name}" for name in tags_of(templates, version, app)]
        own = {f"refs/tags/{name}" for name in tags_of([it for it in templates if "{app}" in it], version, app)}
        listed = self._refs([*refs, *(f"{ref}^{{}}" for ref in refs)])
        # an annotated tag is an object of its own; its commit counts
        commits = {ref: commit for ref in refs if (commit := listed.get(f"{ref}^{{}}") or listed.get(ref))}
        doubt = None
        if len(set(commits.values())) > 1:
            shown = " and ".join(f"{ref.removeprefix('refs/tags/')} ({it[:12]})" for ref, it in commits.items())
            doubt = f"{self.shown} has tags of version {version} that name different commits, {shown}"
            say = "say how the app's tags are called with `build.tag`."
            if own & commits.keys():
                raise GitError(f"{doubt}: {say}")
            doubt = f"{doubt}. The first one is built: {say}"
        for ref, commit in commits.items():
            return Revision(commit, ref, f"tag {ref.removeprefix('refs/tags/')}, {commit[:12]}", doubt)
        return None

    def _tags_versions(self, templates: Sequence[str], app: str | None, scheme: str) -> bool:
        """Whether the repository has a tag of any version."""
        patterns = [f"refs/tags/{it}" for it in tags_of(templates, "[0-9]*", app)]
        tags = (ref.removeprefix("refs/tags/") for ref in self._refs(patterns))
        return any(carries_a_version(tag, templates, app, scheme) for tag in tags)

    def _fill(self, folder: Path, commit: str, within: str, lfs: bool, level: int) -> None:
        """Check a commit out into a folder, with all that belongs to it."""
        with self._environment() as env:
            self._fetch(folder, commit, env)
            try:
                self._git(["-C", str(folder), "checkout", "--quiet", "--detach", f"{commit}^{{commit}}", "--"], env)
            except GitError as error:
                raise GitError(f"{self.shown} has no commit {commit}.") from error
            if lfs:
                self._fetch_lfs(folder, within, env)
            submodules = self._submodules(folder, env)
        for path, (url, wanted) in submodules.items():
            inside = _inside(path, within)
            if inside is None:
                continue
            what = f"Submodule {path} of {self.shown}"
            if url is None:
                raise GitError(
                    f"{what} has no `url` in .gitmodules: it is an empty folder in every checkout; name one, or remove it."
                )
            if level >= SUBMODULE_LEVELS:
                raise GitError(f"{what} is inside of {level} others: at most {SUBMODULE_LEVELS} levels are expected.")
            try:
                self._submodule(url)._fill(folder / path, wanted, inside, lfs, level + 1)
            except PlatformError as error:
                raise type(error)(f"{what} cannot be had: {error}") from error

    def _submodules(self, folder: Path, env: dict[str, str]) -> dict[str, tuple[str | None, str]]:
        """Paths of the submodules to their addresses and commits; without those that the repository says are not wanted."""
        listed = self._run(["-C", str(folder), "ls-files", "--stage", "-z"], env)
        links = [it.partition(b"\t")[::2] for it in listed.split(b"\0") if it.startswith(b"160000 ")]
        commits = {os.fsdecode(path): os.fsdecode(about.split(b" ")[1]) for about, path in links}
        if not commits:
            return {}
        written: dict[str, dict[str, str]] = {}
        for key, value in self._settings(folder, ".gitmodules", r"^submodule\..*\.(path|url|update)$", env):
            name, _, what = key.removeprefix("submodule.").rpartition(".")
            written.setdefault(name, {})[what] = value
        by_path = {it.get("path"): it for it in written.values()}
        known = {path: by_path.get(path, {}) for path in commits}
        return {
            path: (self._address(it["url"]) if it.get("url") else None, commits[path])
            for path, it in known.items()
            if it.get("update") != "none"
        }

    def _settings(self, folder: Path, name: str, keys: str, env: dict[str, str]) -> list[tuple[str, str]]:
        """Settings in a file of the commit that is checked out; read from the commit, where it is no link to elsewhere."""
        try:
            asked = ["config", "--blob", f"HEAD:{name}", "-z", "--get-regexp", keys]
            said = self._run(["-C", str(folder), *asked], env)
        except PlatformError:  # no such file, or no such key
            return []
        pairs = (it.partition(b"\n") for it in said.split(b"\0") if it)
        return [(os.fsdecode(key), os.fsdecode(value)) for key, _, value in pairs]

    def _submodule(self, url: str) -> Git:
        """A submodule as a repository: the credentials are given only to the host that they are for."""
        own = host_of(url) == host_of(self.repository)
        protocols = "http:https:ssh:git"  # nothing from the network may name a folder of this machine, or a program
        return Git(url, self.credentials if own else None, f"file:{protocols}" if self.is_local else protocols)

    def _address(self, url: str) -> str:
        """A submodule's address, which may be relative to this repository's. One by ssh is read as this repository is, where it can be."""
        if url.startswith(("./", "../")):
            return relative_to(self.repository, url)
        scheme, host = self.repository.partition("://")[0], host_of(self.repository)
        by_ssh = re.fullmatch(r"ssh://(?:[^@/]+@)?([^/:]+)(?::\d+)?/(.+)|[^@/:]+@([^/:]+):(.+)", url)
        if by_ssh and self.credentials and scheme in ("http", "https"):
            there, path = by_ssh[1] or by_ssh[3], by_ssh[2] or by_ssh[4]
            if there == host.partition(":")[0]:
                return f"{scheme}://{host}/{path.lstrip('/')}"
        return url

    def _fetch_lfs(self, folder: Path, within: str, env: dict[str, str]) -> None:
        """Put the files that are in Git LFS in the place of their pointers."""
        listed = self._run(["-C", str(folder), "ls-files", "-z", "--", ":(attr:filter=lfs)"], env)
        paths = [os.fsdecode(it) for it in listed.split(b"\0") if it]
        wanted = [it for it in paths if _inside(it, within) is not None]
        pointers = [it for it in wanted if _is_pointer(folder / it)]
        if not pointers:
            return
        what = f"{self.shown} has {pointers[0]}{f' and {len(pointers) - 1} more' if pointers[1:] else ''} in Git LFS"
        for _, url in self._settings(folder, ".lfsconfig", r"^(lfs\.url|remote\..*\.lfsurl)$", env):
            if not self.is_local and not re.match(r"(https?|ssh)://", url):
                raise GitError(
                    f"{what} at {one_line(without_login(url), 200)}: an address with https is expected in .lfsconfig."
                )
        if shutil.which("git-lfs", path=env.get("PATH")) is None:
            raise GitError(f"{what}, and the command git-lfs is missing on this worker: install it.")
        settings = {"remote.origin.url": self.repository, **LFS_FILTER}
        own = folder / ".git" / "config"
        before = own.read_bytes()
        try:
            include = [] if within == "." else ["--include", f"{within},{within}/**"]
            self._git(["-C", str(folder), "lfs", "pull", *include, "origin"], configured(env, settings))
        except PlatformError as error:
            raise type(error)(f"{what}, which cannot be had: {error}") from error
        own.write_bytes(before)  # LFS notes addresses there, and the folder may become part of an image
        shutil.rmtree(folder / ".git" / "lfs", ignore_errors=True)  # every file is there twice
        if missing := [it for it in pointers if _is_pointer(folder / it)]:
            raise GitError(f"{what}, but after `git lfs pull` {missing[0]} is still a pointer: look at .lfsconfig.")

    def _fetch(self, folder: Path, commit: str, env: dict[str, str]) -> None:
        self._git(["init", "--quiet", "--template=", str(folder)], env)
        fetch = ["-C", str(folder), "fetch", "--quiet", "--no-write-fetch-head", "--no-recurse-submodules"]
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


def _scheme_of(version: str) -> str:
    """The scheme that a version looks like: eight digits may be a commit, but are a day where they can be one."""
    if version_fits("date", version) is None:
        return "date"
    return "commit" if COMMIT.fullmatch(version) else "semver"


def _inside(path: str, within: str) -> str | None:
    """What of the folder ``within`` is inside of ``path``; None: nothing."""
    if within == "." or path == within or path.startswith(f"{within}/"):
        return "."
    return within.removeprefix(f"{path}/") if within.startswith(f"{path}/") else None


def _is_pointer(path: Path) -> bool:
    """Whether a file stands for one in Git LFS."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER
