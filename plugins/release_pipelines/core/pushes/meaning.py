"""What starts an app's releases, and what a push means to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from release_pipelines.core.pushes.push import Ignored, Push
from release_pipelines.core.pushes.starts import Starts
from release_pipelines.core.tags import GIT_TAGS, IMAGE_TAGS, version_in
from release_pipelines.core.versions import goes_backward, version_fits


class Receiver(NamedTuple):
    """An app as far as pushes concern it.

    :param repository: address of its Git repository; None: its image is built elsewhere.
    :param image: its image's name.
    :param tags: templates of its tags, in Git or in the registry; none: the usual ones.
    """

    app: str
    scheme: str
    starts: Starts
    repository: str | None
    image: str
    tags: tuple[str, ...] = ()


class Start(NamedTuple):
    """A release that a push asks for.

    :param subject: what it is a release of: ``commit:…`` or ``digest:…``.
    :param by: the login of who pushed it; None: nobody said.
    :param source: who told it, as in a :class:`~release_pipelines.core.pushes.push.Push`.
    """

    app: str
    version: str
    subject: str
    commit: str | None = None
    digest: str | None = None
    by: str | None = None
    tag: str | None = None
    source: str = ""

    @property
    def run_id(self) -> str:
        """The id of its run, the same whoever starts it: Airflow takes an id once."""
        return f"push-{self.subject.rpartition(':')[2][:16]}"


def meaning(push: Push, receiver: Receiver) -> Start | Ignored:
    """What a push means to an app, from the push alone: whether it is one that starts its releases.

    What a commit's message says counts for nothing.
    """
    start = asked_for(push, receiver)
    why = left_out(push, receiver.starts)
    return Ignored(why) if why and isinstance(start, Start) else start


def left_out(push: Push, starts: Starts) -> str | None:
    """Why a push starts nothing whatever it is of: a release has made it. None: it is not left out."""
    if push.by and push.by.casefold() in {it.casefold() for it in starts.ignore_accounts}:
        return f"{push.by} pushed it, an account that `starts.ignore_accounts` names"
    if push.files and starts.ignore_files and all(_fits(name, starts.ignore_files) for name in push.files):
        return "it changes only files that `starts.ignore_files` names"
    return None


def asked_for(push: Push, receiver: Receiver) -> Start | Ignored:
    """The release that a push asks for, whoever has made it."""
    starts, scheme = receiver.starts, receiver.scheme
    if not _is_its_own(push, receiver):
        return Ignored(f"{push.repository or 'it'} is not what {receiver.app} is made from")
    if push.kind == "branch":
        if push.ref != starts.branch or not push.commit:
            return Ignored(f"branch {push.ref} starts no release of {receiver.app}")
        return Start(receiver.app, push.commit, push.subject, push.commit, by=push.by, source=push.source)
    wanted = starts.tags if push.kind == "tag" else starts.registry or (push.source == "asset" and starts.asset)
    if not wanted:
        return Ignored(f"{push.kind} {push.ref} starts no release of {receiver.app}")
    templates = receiver.tags or (GIT_TAGS if push.kind == "tag" else IMAGE_TAGS)
    if push.kind == "tag" and scheme == "commit":
        if not any(version_in(push.ref, templates, receiver.app, it) for it in ("semver", "date")) or not push.commit:
            return Ignored(f"tag {push.ref} names no version")
        return Start(receiver.app, push.commit, push.subject, push.commit, by=push.by, source=push.source)
    if push.source == "asset":  # it names a version, whatever its tag is called
        if misfit := version_fits(scheme, push.ref):
            return Ignored(misfit.rstrip("."))
        return Start(receiver.app, push.ref, push.subject, digest=push.digest, source=push.source)
    version = version_in(push.ref, templates, receiver.app, scheme)
    if version is None:
        return Ignored(f"tag {push.ref} names no version of the scheme {scheme}")
    return Start(receiver.app, version, push.subject, push.commit, push.digest, push.by, push.ref, push.source)


def is_older(one: Start, other: Start, scheme: str, is_ancestor: Callable[[str, str], bool]) -> bool:
    """Whether ``one`` is older: by its version's order, and for commits by ancestry. Dates of commits say nothing.

    :param is_ancestor: whether the first commit is an ancestor of the second one.
    """
    if scheme != "commit":
        return goes_backward(scheme, other.version, one.version)
    if not one.commit or not other.commit or one.commit == other.commit:
        return False
    return is_ancestor(one.commit, other.commit)


def newest(waiting: Sequence[Start], older: Callable[[Start, Start], bool]) -> Start | None:
    """The one of several starts that is kept: the newest; of two that have no order, the one that came last.

    :param waiting: those that wait, in the order in which they came.
    :param older: whether the first one is older than the second.
    """
    kept: Start | None = None
    for it in waiting:
        if kept is None or not older(it, kept):
            kept = it
    return kept


def _is_its_own(push: Push, receiver: Receiver) -> bool:
    """Whether a push is one of the app's repository or image. A folder, and a mirror, have no name to compare."""
    if push.source in ("asset", "comparison") or not push.repository:
        return True
    told = push.repository.casefold().removesuffix(".git").strip("/")
    if push.kind == "image":
        image = receiver.image.casefold()
        return told == image or told.endswith(f"/{image}") or image.endswith(f"/{told}")
    known = receiver.repository
    if known is None:
        return False
    if "://" not in known and "@" not in known:
        return True
    known = known.casefold().rstrip("/").removesuffix(".git")
    return known.endswith((f"/{told}", f":{told}"))


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, it) for it in patterns)
