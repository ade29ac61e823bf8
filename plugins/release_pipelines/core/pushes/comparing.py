"""What a forge or a registry has newest, out of all of its tags."""

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
