"""Small databases for Trivy and Grype, made by the tests: none of them can be downloaded without the internet."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from tests.tools import program

PIP = "pip::GitHub Security Advisory Pip"


def trivy_cache(folder: Path, made: float) -> dict[str, str]:
    """Trivy's cache with a database that knows one vulnerability of requests, one of Debian 12; and what lets Trivy use it.

    :param made: when the database was made, in seconds since 1970.
    """
    (folder / "db").mkdir(parents=True)
    entries = [
        [["vulnerability", "CVE-2018-18074"], {"Title": "requests tells passwords", "Severity": "HIGH",
                                               "CVSS": {"nvd": {"V3Score": 7.5, "V3Vector": "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}}}],
        [[PIP, "requests", "CVE-2018-18074"], {"PatchedVersions": ["2.20.0"], "VulnerableVersions": ["<2.20.0"]}],
        [["data-source", PIP], {"ID": "ghsa", "Name": "GitHub Security Advisory Pip", "URL": "https://github.com/advisories"}],
        [["vulnerability", "CVE-2026-1"], {"Title": "perl runs anything", "Severity": "CRITICAL"}],
        [["debian 12", "perl", "CVE-2026-1"], {"FixedVersion": "5.36.0-7+deb12u9"}],
        [["vulnerability", "CVE-2026-2"], {"Title": "perl is odd"}],
        [["debian 12", "perl", "CVE-2026-2"], {"FixedVersion": "5.36.0-7+deb12u9"}],
        [["data-source", "debian 12"], {"ID": "debian", "Name": "Debian Security Tracker", "URL": "https://debian.org"}],
    ]  # fmt: skip
    subprocess.run(
        [str(program("bolt")), str(folder / "db" / "trivy.db")], input=json.dumps(entries).encode(), check=True
    )
    moment = datetime.fromtimestamp(made, timezone.utc).isoformat().replace("+00:00", "Z")
    metadata = {"Version": 2, "NextUpdate": moment, "UpdatedAt": moment, "DownloadedAt": moment}
    (folder / "db" / "metadata.json").write_text(json.dumps(metadata))
    return trivy_environment(folder)


def trivy_environment(cache: Path) -> dict[str, str]:
    """Variables with which Trivy asks nobody."""
    return {
        "TRIVY_CACHE_DIR": str(cache),
        "TRIVY_SKIP_DB_UPDATE": "true",
        "TRIVY_OFFLINE_SCAN": "true",
        "TRIVY_SKIP_CHECK_UPDATE": "true",
    }


def grype_cache(folder: Path) -> dict[str, str]:
    """Grype's cache with a database that knows one vulnerability of requests; and what lets Grype use it."""
    known = [
        {
            "ID": "GHSA-x84v-xcm2-53pg",
            "Severity": "critical",
            "Ecosystem": "python",
            "Package": "requests",
            "Constraint": "<2.20.0",
            "Fixed": "2.20.0",
            "Aliases": ["CVE-2018-18074"],
        }
    ]
    subprocess.run([str(program("grypedb")), str(folder)], input=json.dumps(known).encode(), check=True)
    return grype_environment(folder)


def grype_environment(cache: Path) -> dict[str, str]:
    """Variables with which Grype asks nobody."""
    return {
        "GRYPE_DB_CACHE_DIR": str(cache),
        "GRYPE_DB_AUTO_UPDATE": "false",
        "GRYPE_CHECK_FOR_APP_UPDATE": "false",
    }
