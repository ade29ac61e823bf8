"""Each ecosystem that is accepted has versions in known order, which all operators agree on."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise

import pytest

from release_pipelines.adapters.advisories.packages import DISTRIBUTIONS, LANGUAGES
from release_pipelines.adapters.advisories.versions import NoOrder, Version, known

SEMANTIC = (
    "0.0.1", "1.0.0-0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
    "1.0.0-rc.1", "1.0.0", "1.0.1", "1.9.0", "1.10.0", "2.0.0",
)  # fmt: skip
DEBIAN = (
    "0~a", "0", "1.0~~", "1.0~rc1", "1.0", "1.0-1~deb12u1", "1.0-1", "1.0-1ubuntu1", "1.0-1+b1", "1.0-1+deb12u1", "1.0a", "1.0+dfsg-1",
    "2.9", "2.10", "3.0.15-1~deb12u1", "3.0.15-1", "5.40.1-6", "5.40.1-6+deb13u1", "1:0.1", "2:2.6.2+samba4.17.12+dfsg-0+deb12u1",
    "2:4.3.7+dfsg-1", "2:4.17.12+dfsg-0+deb12u1",
)  # fmt: skip
ALPINE = (
    "1.0_alpha", "1.0_alpha2", "1.0_beta", "1.0_pre1", "1.0_rc1", "1.0", "1.0-r1", "1.0-r9", "1.0-r10", "1.0_p1", "1.0a", "1.0.1",
    "1.9", "1.10", "3.0.8-r0", "3.0.8-r4",
)  # fmt: skip
RPM = (
    "1.0~rc1-1", "1.0-0.1.el9", "1.0-1.el8", "1.0-1.el9", "1.0-1.el9_2", "1.0-1.el9_2.1", "1.0-2.el9", "1.0-10.el9", "1.0a-1",
    "1.0.1-1", "2.9-1", "2.10-1", "1:0.1-1",
)  # fmt: skip
IN_ORDER = {
    **dict.fromkeys(("npm", "crates.io", "Hex", "Pub", "SwiftURL", "GitHub Actions"), SEMANTIC),
    "Go": (
        "0.0.0-20191109021931-daa7c04131f5", "0.1.0", "v1.0.0", "1.0.1-0.20210101000000-abcdefabcdef", "v1.0.1+incompatible",
        "1.21rc2", "1.21.0", "go1.21.1", "1.22beta1", "1.22rc1", "go1.22",
    ),
    "PyPI": (
        "1.0.dev1", "1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0.post1", "1.0.1", "1.9", "1.10", "2.5.1+cu124", "2.6.0rc1", "2.6.0+cu124",
        "2.6.0.post1", "2.12.0+cpu", "2.12.1+cpu", "2024.1", "1!0.5",
    ),
    "Maven": (
        "1.0-alpha-1", "1.0-beta-1", "1.0-milestone-1", "1.0-rc1", "1.0-SNAPSHOT", "1.0", "1.0-sp", "1.0-foo", "1.0-1", "1.0.1", "1.9",
        "1.10", "7.17.15", "7.17.16", "8.0.0", "8.11.2",
    ),
    "NuGet": ("1.0.0-alpha", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.0.0.1", "1.9.0", "1.10.0"),
    "RubyGems": ("1.0.a", "1.0.pre", "1.0.rc", "1.0", "1.0.1", "1.9", "1.10"),
    "Packagist": ("1.0-dev", "1.0-alpha1", "1.0-beta1", "1.0-beta2", "1.0-RC1", "1.0", "1.0-p1", "1.0.1", "v1.9", "1.10"),
    "Debian": DEBIAN,
    "Ubuntu": DEBIAN,
    "Alpine": ALPINE,
    "Wolfi": ALPINE,
    "Chainguard": ALPINE,
    "AlmaLinux": RPM,
    "Rocky Linux": RPM,
}  # fmt: skip
SAME = (
    ("npm", "v1.0.0", "1.0.0"),
    ("npm", "1.0.0+a", "1.0.0+b"),
    ("Go", "v1.0.0", "1.0.0"),
    ("Go", "go1.22", "1.22.0"),
    ("PyPI", "1.0", "1.0.0"),
    ("PyPI", "2.12.0+cpu", "2.12.0"),
    ("Maven", "1.0", "1.0.0"),
    ("Maven", "1.0", "1.0.Final"),
    ("NuGet", "1.0", "1.0.0.0"),
    ("NuGet", "1.0.0-RC", "1.0.0-rc"),
    ("RubyGems", "1.0", "1.0.0"),
    ("Packagist", "v1.0", "1.0.0.0"),
    ("Debian", "0:1.0", "1.0"),
    ("AlmaLinux", "0:1.0-1", "1.0-1"),
)


def test_every_ecosystem_that_is_accepted_has_its_order_here() -> None:
    assert {*LANGUAGES.values(), *DISTRIBUTIONS.values()} == set(IN_ORDER)
    assert all(known(it) for it in IN_ORDER)


@pytest.mark.parametrize("ecosystem", IN_ORDER)
def test_all_operators_agree_with_the_known_order(ecosystem: str) -> None:
    versions = [Version(ecosystem, it) for it in IN_ORDER[ecosystem]]
    for i, a in enumerate(versions):
        for j, b in enumerate(versions):
            said = (a < b, a <= b, a == b, a != b, a >= b, a > b)
            assert said == (i < j, i <= j, i == j, i != j, i >= j, i > j), (a, b)


@pytest.mark.parametrize(("ecosystem", "one", "other"), SAME)
def test_spellings_of_one_version_are_the_same(ecosystem: str, one: str, other: str) -> None:
    a, b = Version(ecosystem, one), Version(ecosystem, other)
    assert (a == b, a <= b, a >= b, a < b, a > b) == (True, True, True, False, False)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not installed: its own order was not asked")
def test_dpkg_has_the_same_order() -> None:
    for older, newer in pairwise(DEBIAN):
        assert subprocess.run(["dpkg", "--compare-versions", older, "lt", newer]).returncode == 0, (older, newer)


@pytest.mark.parametrize(
    ("ecosystem", "text"),
    [
        ("npm", "1.2.3.4"),
        ("npm", ""),
        ("PyPI", "a version"),
        ("Packagist", "dev-master"),
        ("Go", "(devel)"),
        ("Nope", "1"),
    ],
)
def test_what_has_no_place_in_the_order_is_no_version(ecosystem: str, text: str) -> None:
    with pytest.raises(NoOrder):
        Version(ecosystem, text)
