"""What a forge or a registry has newest, and who made it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from release_pipelines.core.tags import version_in
from release_pipelines.core.versions import goes_backward


def newest_tag(tags: Iterable[str], templates: Sequence[str], app: str, scheme: str) -> str | None:
    """The tag with the highest version; None: none has one. Where versions are commits, tags that name other versions count.

    :param scheme: ``semver``, ``date`` or ``commit``.
    """
    names = list(tags)
    for it in (scheme,) if scheme != "commit" else ("semver", "date"):
        found: tuple[str, str] | None = None
        for tag in names:
            version = version_in(tag, templates, app, it)
            if version and (found is None or goes_backward(it, version, found[1])):
                found = tag, version
        if found:
            return found[0]
    return None


def robot(authors: Iterable[tuple[str, str]], accounts: Iterable[str]) -> str | None:
    """The account that has made all of some commits, where it is one of these; Git knows no logins, but names and e-mails.

    :param authors: name and e-mail of each commit's author.
    """
    known = {it.casefold(): it for it in accounts}
    found: str | None = None
    for name, email in authors:
        before = email.partition("@")[0]  # forges write them like 12345+octocat@…
        words = (name, email, before, before.partition("+")[2])
        found = next((known[it.casefold()] for it in words if it.casefold() in known), None)
        if found is None:
            return None
    return found
