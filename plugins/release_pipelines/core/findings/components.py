"""Components by their package URLs: parsed and compared part by part, never as text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple


class Component(NamedTuple):
    """A package URL in one spelling.

    :param name: type, namespace and name.
    :param version: None: it names none.
    :param qualifiers: like ``distro``.
    """

    name: tuple[str, str, str]
    version: str | None
    qualifiers: Mapping[str, str]
    subpath: str | None

    @property
    def words(self) -> str:
        """For people: name and version."""
        _, namespace, name = self.name
        return " ".join([f"{namespace}/{name}" if namespace else name, *([self.version] if self.version else [])])


@lru_cache(maxsize=16384)
def component_in(purl: str | None) -> Component | None:
    """A package URL in parts; None where it is none.

    Names of Python packages are taken as PEP 503 has them: ``zope.interface`` is ``zope-interface``.
    """
    from packageurl import PackageURL

    if not purl:
        return None
    try:
        found = PackageURL.from_string(purl)
    except ValueError:
        return None
    name = found.name
    if found.type == "pypi":
        from packaging.utils import canonicalize_name

        name = canonicalize_name(name)
    qualifiers = dict(found.qualifiers or {})
    version = _version(found.type, found.version or None, qualifiers.pop("epoch", None))
    return Component((found.type, found.namespace or "", name), version, qualifiers, found.subpath)


def _version(kind: str, version: str | None, epoch: str | None) -> str | None:
    """A version in the spelling that is compared: some scanners write Go's without its ``v``, and the epoch as a qualifier."""
    if version and kind == "golang":
        return version.removeprefix("v")
    if version and epoch not in (None, "0") and ":" not in version:
        return f"{epoch}:{version}"
    return version


def covers(pattern: Component, component: Component) -> bool:
    """Whether what is said of a component holds for another one: all that it names binds, what it leaves out does not.

    :param pattern: what it is said of; without a version: of every version.
    """
    return (
        pattern.name == component.name
        and pattern.version in (None, component.version)
        and pattern.subpath in (None, component.subpath)
        and all(component.qualifiers.get(key) == value for key, value in pattern.qualifiers.items())
    )


def is_purl(text: str) -> bool:
    """Whether a text wants to be a package URL."""
    return text.strip().lower().startswith("pkg:")
