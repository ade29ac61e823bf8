"""Components → their licences as findings, which the rules of an app judge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from release_pipelines.core.model.component import Component
from release_pipelines.core.model.finding import Finding

NOT_TOLD = "NOASSERTION"
"""A licence that nobody tells, in SPDX's word: beside others, too, it is unknown."""
CLASSIFIERS = {
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
}
"""Python's classifiers (https://pypi.org/classifiers/) that mean one licence of SPDX. ``BSD License`` and ``Apache Software License`` do not."""


def licence_findings(components: Iterable[Component]) -> list[Finding]:
    """A finding for each component, with its licences as one expression: several that are listed without a word hold together."""
    return [_finding(it) for it in components]


def _finding(component: Component) -> Finding:
    said = list(dict.fromkeys(it.strip() for it in component.licences if it.strip()))
    expression = said[0] if len(said) == 1 else " AND ".join(f"({it})" for it in said)
    what = " ".join(filter(None, (component.name, component.version)))
    told = f"{what} has the licence {expression}." if expression else f"{what} names no licence."
    return Finding(kind="licence", severity="low", rule=expression, component=component.purl or what, text=told)


def pip_licenses_in(document: Any) -> list[Component]:
    """The components in what ``pip-licenses --format=json`` has written.

    :param document: its JSON.
    :raises ValueError: when it is no such list.
    """
    if not isinstance(document, list) or not all(
        isinstance(it, dict) and {"Name", "License"} <= set(it) for it in document
    ):
        raise ValueError("a list of objects with `Name`, `Version` and `License` is expected")
    return [_of_python(str(it["Name"]), str(it.get("Version") or ""), str(it["License"])) for it in document]


def _of_python(name: str, version: str, said: str) -> Component:
    named = [it.strip() for it in said.split(";") if it.strip()]
    licences = [NOT_TOLD if it == "UNKNOWN" else CLASSIFIERS.get(it, it) for it in named if named != ["UNKNOWN"]]
    purl = f"pkg:pypi/{name.lower().replace('_', '-')}" + (f"@{version}" if version else "")
    return Component(name=name, version=version or None, purl=purl, licences=licences)
