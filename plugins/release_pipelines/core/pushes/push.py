"""What forges and registries tell, in one form for all of them."""

from typing import Literal, NamedTuple

from release_pipelines.core.model.base import Stored


class Push(Stored):
    """One ref or tag that was pushed.

    :ivar kind: what it is: a ``branch`` or a ``tag`` of Git, an ``image``.
    :ivar source: who tells it: ``github``, ``gitlab``, ``registry``, ``asset`` or ``comparison``.
    :ivar repository: the repository, or the image, without its host.
    :ivar ref: the branch's or the tag's name.
    :ivar commit: the commit, also where an annotated tag names it; None for an image.
    :ivar digest: the image's digest; None for Git.
    :ivar by: the login that pushed; None: it is not known.
    :ivar files: what the pushed commits change; None: not all of it is told.
    """

    kind: Literal["branch", "tag", "image"]
    source: str
    repository: str = ""
    ref: str
    commit: str | None = None
    digest: str | None = None
    by: str | None = None
    files: list[str] | None = None

    @property
    def subject(self) -> str:
        """What a release of it would be a release of; two pushes of one subject start one release."""
        return f"commit:{self.commit}" if self.commit else f"digest:{self.digest}"

    def __str__(self) -> str:
        what = {"branch": "branch", "tag": "tag", "image": "image tag"}[self.kind]
        at = (self.commit or (self.digest or "").removeprefix("sha256:"))[:12]
        return f"{what} {self.ref} ({at})"


class Ignored(NamedTuple):
    """Why something starts nothing, in a sentence without a full stop."""

    sentence: str
