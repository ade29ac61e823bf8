"""The command ``git`` on one repository: what it is run with, and what its words mean."""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.model.source import without_login
from release_pipelines.core.text import clean, one_line

TIMEOUT = 600.0
"""Maximum run time of one Git command, in seconds."""

OUTPUT_LIMIT = 1_000_000
"""Maximum length of a command's output that is read as text, in characters."""

OUTPUT_BYTES = 100_000_000
"""The same of lists of files, in bytes."""

ASKPASS = """\
#!/bin/sh
# Git asks "Password for 'https://ann@example.org': ", Git LFS with double quotes and a path. A submodule, a redirect or the address of
# LFS may lead anywhere: only the host that the credentials are for gets them, by https, or as the repository itself is read.
case "$1" in
  *" for '"*) url=${1#*" for '"}; url=${url%"'"*}; host=${url#*://} ;;
  *' for "'*) url=${1#*' for "'}; url=${url%'"'*}; host=${url#*://}; host=${host%%/*} ;;
  *) exit 1 ;;
esac
[ "${host##*@}" = "$RELEASE_PIPELINES_GIT_HOST" ] || exit 1
case "$url" in https://*|"$RELEASE_PIPELINES_GIT_SCHEME"://*) ;; *) exit 1 ;; esac
case "$1" in
  Username*) printf '%s\\n' "$RELEASE_PIPELINES_GIT_USER" ;;
  *) printf '%s\\n' "$RELEASE_PIPELINES_GIT_PASSWORD" ;;
esac
"""

REFUSED = (
    "Authentication failed", "could not read Username", "could not read Password", "Permission denied", "403",
    "Authentication required", "Authorization error",
)  # fmt: skip
AWAY = (
    "Could not resolve", "Couldn't connect", "Failed to connect", "Connection refused", "Connection timed out",
    "Connection reset", "early EOF", "unexpected disconnect", "remote end hung up", "error: 5",
)  # fmt: skip

MISSING = re.compile(
    r"does not appear to be a git repository|repository '.*' not found|Repository not found|could not be found or you don't have permission"
    r"|repository not exported|Repository does not exist",
    re.IGNORECASE,
)
"""How Git and its servers say that there is no such repository; to some of them that is the same as one that may not be read."""
NO_HELPER = re.compile(r"'remote-(.+?)' is not a git command|Unable to find remote helper for '(.+?)'")


class GitError(PlatformError):
    """What Git could not do, in a sentence."""


@dataclass(frozen=True)
class Credentials:
    """Who reads a private repository.

    :param source: where they come from, in words, like ``connection code``.
    """

    user: str
    password: str = field(repr=False)
    source: str


class GitCommand:
    """Base of a repository: runs Git, and explains what went wrong.

    :param repository: a URL, or a folder.
    :param credentials: for a private repository; None: anybody can read it.
    :param protocols: those that are allowed, with colons between; None: those of the worker's Git.
    """

    def __init__(self, repository: str, credentials: Credentials | None = None, protocols: str | None = None) -> None:
        self.repository = repository if ":" in repository else str(Path(repository).absolute())
        self.credentials = credentials
        self.protocols = protocols

    @property
    def shown(self) -> str:
        """The repository's address without what may be a secret in it."""
        return without_login(self.repository)

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return ":" not in self.repository or self.repository.startswith("file://")

    @contextmanager
    def _environment(self) -> Iterator[dict[str, str]]:
        """Variables for Git: it never asks a person, runs no hook, and gets credentials by a helper, not by an address or argument."""
        env = os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_LFS_SKIP_SMUDGE": "1"}
        env.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        if self.protocols:
            env["GIT_ALLOW_PROTOCOL"] = self.protocols
        env = configured(env, {"core.hooksPath": os.devnull, "credential.useHttpPath": "false"})
        if self.credentials is None:
            yield env | {"GIT_ASKPASS": "/bin/false"}
            return
        with tempfile.TemporaryDirectory(prefix="release-") as folder:
            helper = Path(folder) / "askpass"
            helper.write_text(ASKPASS)
            helper.chmod(0o700)
            scheme, _, rest = self.repository.partition("://")
            yield env | {
                "GIT_ASKPASS": str(helper),
                "RELEASE_PIPELINES_GIT_HOST": host_of(self.repository),
                "RELEASE_PIPELINES_GIT_SCHEME": scheme if rest else "https",
                "RELEASE_PIPELINES_GIT_USER": self.credentials.user,
                "RELEASE_PIPELINES_GIT_PASSWORD": self.credentials.password,
            }

    def _git(self, arguments: list[str], env: dict[str, str]) -> str:
        return clean(self._run(arguments, env), OUTPUT_LIMIT)

    def _run(self, arguments: list[str], env: dict[str, str]) -> bytes:
        """What Git writes to its standard output."""
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            try:
                done = subprocess.run(["git", *arguments], env=env, stdout=stdout, stderr=stderr, timeout=TIMEOUT)
            except FileNotFoundError:
                raise GitError("The command git is missing on this worker: install it.") from None
            except subprocess.TimeoutExpired:
                raise PlatformUnavailable(f"Git got no answer from {self.shown} within {TIMEOUT:.0f} s.") from None
            said = stderr if done.returncode else stdout
            said.seek(0)
            text = said.read(OUTPUT_BYTES)  # however much a server makes Git say
        if done.returncode:
            raise self._failure(clean(text, OUTPUT_LIMIT))
        return text

    def _failure(self, stderr: str) -> PlatformError:
        """The error behind Git's own words."""
        explanation = explanation_in(stderr)
        where = self.credentials.source if self.credentials else "no Git connection is given"
        if any(word in stderr for word in REFUSED):
            return GitError(f"{self.shown} refuses to be read ({where}): {explanation}.")
        if MISSING.search(stderr):
            why = f"there is no such repository, or it may not be read ({where})"
            if self.is_local:
                why = "that folder of this worker is no Git repository"
                if ":" not in self.repository and not Path(self.repository).exists():
                    why = "this worker has no such folder, and an address begins with https://, say"
            return GitError(f"Git could not read {self.shown}: {why}.")
        if unknown := NO_HELPER.search(stderr):
            scheme = next(it for it in unknown.groups() if it)
            return GitError(
                f"Git could not read {self.shown}: Git on this worker cannot fetch by {one_line(scheme, 40)}."
            )
        if any(word in stderr for word in AWAY):
            return PlatformUnavailable(f"{self.shown} cannot be reached: {explanation}.")
        return GitError(f"Git could not read {self.shown}: {explanation}.")


def explanation_in(stderr: str) -> str:
    """Git's own explanation: its first line that says fatal or error, without credentials."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["it said nothing"]
    line = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1])
    return one_line(without_login(line.partition(": ")[2] or line))


def configured(env: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Variables for Git with more settings, beside those that it has."""
    count = int(env.get("GIT_CONFIG_COUNT") or 0)
    more: dict[str, str] = {}
    for number, (key, value) in enumerate(settings.items(), count):
        more |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {**env, **more, "GIT_CONFIG_COUNT": str(count + len(settings))}


def host_of(url: str) -> str:
    """The host of a repository's address, with its port where it is read by http; nothing for a folder."""
    if "://" in url:
        parts = urlsplit(url)
        return parts.netloc.rpartition("@")[2] if parts.scheme in ("http", "https") else parts.hostname or ""
    host, colon, _ = url.partition(":")
    return host.rpartition("@")[2] if colon else ""


def relative_to(base: str, url: str) -> str:
    """The address that stands relative to another one, as in ``.gitmodules``."""
    if "://" in base:
        parts = urlsplit(base)
        return urlunsplit(parts._replace(path=posixpath.normpath(f"{parts.path}/{url}")))
    host, colon, path = base.rpartition(":")
    return f"{host}{colon}{posixpath.normpath(f'{path}/{url}')}"
