"""Which package of which ecosystem a component is, in the words of OSV records."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from release_pipelines.core.model.component import Component
from release_pipelines.core.text import one_line

LANGUAGES = {
    "pypi": "PyPI", "npm": "npm", "maven": "Maven", "golang": "Go", "gem": "RubyGems", "cargo": "crates.io", "nuget": "NuGet",
    "composer": "Packagist", "hex": "Hex", "pub": "Pub", "swift": "SwiftURL", "github": "GitHub Actions", "githubactions": "GitHub Actions",
}  # fmt: skip
"""Types of package URLs to ecosystems."""
DISTRIBUTIONS = {
    ("deb", "debian"): "Debian", ("deb", "ubuntu"): "Ubuntu", ("apk", "alpine"): "Alpine", ("apk", "wolfi"): "Wolfi",
    ("apk", "chainguard"): "Chainguard", ("rpm", "almalinux"): "AlmaLinux", ("rpm", "rocky"): "Rocky Linux",
}  # fmt: skip
"""Types and namespaces of package URLs to ecosystems, whose advisories name source packages; those of AlmaLinux name binary ones."""
CODENAMES = {
    "buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14",
    "xenial": "16.04", "bionic": "18.04", "focal": "20.04", "jammy": "22.04", "noble": "24.04", "resolute": "26.04",
}  # fmt: skip
RELEASES: dict[str, Callable[[list[str]], str]] = {
    "Debian": lambda parts: parts[0],
    "Ubuntu": lambda parts: ".".join(parts[:2]),
    "Alpine": lambda parts: "v" + ".".join(parts[:2]),
    "AlmaLinux": lambda parts: parts[0],
    "Rocky Linux": lambda parts: parts[0],
}
"""How ecosystems name a release whose number has these parts."""


class NotCovered(ValueError):
    """No advisory can speak of a component; the sentence has no full stop, and says why in words that fit all of its kind."""


class Package(NamedTuple):
    """A package, as advisories name it.

    :param ecosystem: without a release.
    :param release: of a distribution, like ``13`` or ``v3.20``; None: the ecosystem has none.
    :param names: normalised names; of a distribution's package that of its source.
    :param version: the version that advisories speak of; None: the component has none.
    :param source: the source package, where it is another.
    """

    ecosystem: str
    release: str | None
    names: frozenset[str]
    version: str | None
    source: str | None = None

    @property
    def words(self) -> str:
        """The ecosystem with its release."""
        return f"{self.ecosystem}:{self.release}" if self.release else self.ecosystem


def package_of(component: Component) -> Package:
    """The package that a component is.

    :raises NotCovered: when no ecosystem that is known here has it.
    """
    from packageurl import PackageURL

    if component.purl is None:
        raise NotCovered("without a package URL")
    try:
        purl = PackageURL.from_string(component.purl)
    except ValueError:
        raise NotCovered("with a package URL that cannot be read") from None
    namespace = purl.namespace or ""
    if ecosystem := LANGUAGES.get(purl.type):
        separator = ":" if ecosystem == "Maven" else "/"
        name = normalised(ecosystem, f"{namespace}{separator}{purl.name}" if namespace else purl.name)
        return Package(ecosystem, None, frozenset([name]), component.version)
    if ecosystem := DISTRIBUTIONS.get((purl.type, namespace.lower())):
        release = _release(ecosystem, component.distro)
        source = component.source or purl.name
        names = {source} if purl.type == "deb" else {source, purl.name}  # others name either
        of_source = component.source_version if purl.type != "rpm" else None  # the names of source RPMs lack the epoch
        version = of_source or component.version
        return Package(ecosystem, release, frozenset(names), version, source if source != purl.name else None)
    kind = f"{purl.type}/{namespace}" if purl.type in ("deb", "apk", "rpm") else purl.type
    raise NotCovered(f"of type {one_line(kind, 60)}, whose versions cannot be compared here")


def normalised(ecosystem: str, name: str) -> str:
    """A package's name as it is compared: both an SBOM and a record may spell it otherwise."""
    if ecosystem == "PyPI":
        from packaging.utils import canonicalize_name

        return canonicalize_name(name)
    if ecosystem == "crates.io":
        return name.lower().replace("_", "-")
    if ecosystem in DISTRIBUTIONS.values():
        return name
    return name.lower()  # package URLs of Go, Composer and GitHub are in lower case, records are not


def ecosystem_of(text: str) -> tuple[str, str | None]:
    """Ecosystem and release in a record, like ``Debian:13``, ``Ubuntu:22.04:LTS`` or ``Alpine:v3.20``.

    What follows in a language's ecosystem is a repository, and no release.
    """
    ecosystem, _, release = text.partition(":")
    if ecosystem not in RELEASES:
        return ecosystem, None
    return ecosystem, release.removesuffix(":LTS") or None


def _release(ecosystem: str, distro: str | None) -> str | None:
    if ecosystem not in RELEASES:
        return None
    found = re.fullmatch(r"(?:([a-z][a-z0-9]*)[-:@ ])?v?(\d+(?:\.\d+)*).*", (distro or "").lower())
    number = found[2] if found else CODENAMES.get((distro or "").lower().rpartition("-")[2])
    of_another = bool(found and found[1] and found[1] != ecosystem.lower().partition(" ")[0])
    if number is None or of_another:
        what = f"({one_line(distro, 40)})" if distro else "(no distro)"
        raise NotCovered(f"of {ecosystem} whose release is not known {what}")
    return RELEASES[ecosystem](number.split("."))
