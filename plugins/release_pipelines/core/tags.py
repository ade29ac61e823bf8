"""How teams name a version's tag, in Git and in a registry: templates with ``{version}`` and ``{app}``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from release_pipelines.core.versions import version_fits

GIT_TAGS = (
    "v{version}", "{version}", "{app}-v{version}", "{app}-{version}", "{app}/v{version}", "{app}/{version}", "{app}@{version}",
    "release/{version}", "release/v{version}", "release-{version}",
)  # fmt: skip
"""What is looked for where an app's file says nothing: of the whole repository, of one app in it, of release branches' habits."""

IMAGE_TAGS = ("{version}", "v{version}")
"""The same in a registry, in this order."""

_GIT = re.compile(r"(?!.*(?:\.\.|@\{|//|/\.|\.lock$))[^\s~^:?*\[\\/.-][^\s~^:?*\[\\]*")
_IMAGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LEFT = re.compile(r"[{}]")


def tags_of(templates: Iterable[str], version: str, app: str | None) -> list[str]:
    """The tags that a version may have, in the order of the templates; without an app only those that do not name one."""
    known = (it for it in templates if app or "{app}" not in it)
    return list(dict.fromkeys(it.replace("{app}", app or "").replace("{version}", version) for it in known))


def branch_of(template: str, version: str, app: str | None) -> str:
    """A branch's name, which may have the same places."""
    return template.replace("{app}", app or "").replace("{version}", version)


def carries_a_version(tag: str, templates: Iterable[str], app: str | None, scheme: str) -> bool:
    """Whether a tag is that of some version of the scheme."""
    return version_in(tag, templates, app, scheme) is not None


def version_in(tag: str, templates: Iterable[str], app: str | None, scheme: str) -> str | None:
    """The version of the scheme that a tag carries; None: it carries none."""
    for template in tags_of(templates, "\0", app):
        before, _, after = template.partition("\0")
        if tag.startswith(before) and tag.endswith(after):
            version = tag[len(before) : len(tag) - len(after)]
            if version and version_fits(scheme, version) is None:
                return version
    return None


def git_misfit(template: str) -> str | None:
    """Why a template makes no tags of Git; None: it does."""
    return _misfit(template, _GIT, "a tag of Git")


def image_misfit(template: str) -> str | None:
    """Why a template makes no tags of a registry; None: it does."""
    return _misfit(template, _IMAGE, "a tag of an image: letters, digits, `.`, `_` and `-`")


def _misfit(template: str, form: re.Pattern[str], what: str) -> str | None:
    if "{version}" not in template:
        return "a template with `{version}`, like v{version}, is expected"
    made = template.replace("{version}", "1.0.0").replace("{app}", "app")
    if _LEFT.search(made):
        return "no other places than `{version}` and `{app}` are expected"
    return None if form.fullmatch(made) else f"{what} is expected"
