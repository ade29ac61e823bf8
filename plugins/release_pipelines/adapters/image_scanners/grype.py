"""Known vulnerabilities of an image's packages, by Grype, which has Syft in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from release_pipelines.adapters import tools
from release_pipelines.adapters.image_scanners._report import ImageReportScanner, Looked
from release_pipelines.adapters.tools import NotLooked
from release_pipelines.core.model.finding import Finding, Rating
from release_pipelines.core.model.image import PlatformImage

RATINGS: dict[str, Rating] = {
    "negligible": "low", "low": "low", "medium": "medium", "high": "high", "critical": "critical",
}  # fmt: skip

TROUBLE = re.compile(r"\] +ERROR\b|\] +WARN\b.*(unable to|failed|could not|error)", re.I)


class Grype(ImageReportScanner):
    """Looks at packages of the system and of languages, with the database of the worker."""

    name = "grype"
    program = "grype"
    hint = " (https://github.com/anchore/grype)"

    def data_at(self) -> float | None:
        """When its database was made."""
        done = tools.run([self.program, "db", "status", "--output", "json"], Path("/"), self.limits)
        status = tools.parsed(done.said) if done.said.strip() else {}
        return tools.unix_time(status["built"]) if status.get("built") else None

    def look(self, layout: Path, image: PlatformImage, folder: Path) -> Looked:
        """Its findings, and the list of packages that it looked at: its own report says nothing of those without findings."""
        report, packages = folder / "report.json", folder / "packages.json"
        command = [
            self.program, f"oci-dir:{layout}", "--output", f"json={report}", "--output", f"cyclonedx-json={packages}",
            "--platform", image.platform,
        ]  # fmt: skip
        done = tools.run(
            command,
            folder,
            self.limits,
            environment={"GRYPE_FAIL_ON_SEVERITY": ""},
            reads=[layout],
            writes=[report, packages],
        )
        if done.code:
            raise NotLooked(done.ended())
        said = tools.document(report, done)
        trouble = tools.trouble_in(done.errors, TROUBLE)
        if trouble:
            raise NotLooked(f"it said: {trouble}")
        subject = said["source"]["target"]["manifestDigest"]
        if subject != image.digest:
            raise NotLooked(f"its report is about {subject}, and the image is {image.digest}")
        findings = [_finding(it) for it in said["matches"]]
        return Looked(findings, subject, _lacks(said, tools.document(packages, done)))


def _lacks(report: Mapping[str, Any], packages: Mapping[str, Any]) -> str | None:
    """What of an image could not be looked at, in the end of a sentence; None: nothing."""
    system = report.get("distro") or {}
    named = f"{system.get('name')} {system.get('version')}" if system.get("name") else None
    alerts = {alert["type"] for it in report.get("alertsByPackage") or [] for alert in it["alerts"]}
    if "distro-eol" in alerts:
        return f"{named} gets no security updates"
    if alerts:
        return f"it warns of {', '.join(sorted(alerts))}"
    urls = [
        it.get("purl") or "" for it in packages.get("components") or [] if it.get("type") in ("library", "application")
    ]
    if named and not any(
        it.startswith(("pkg:deb/", "pkg:apk/", "pkg:rpm/", "pkg:alpm/", "pkg:portage/")) for it in urls
    ):
        return f"{named} has no list of its packages"
    if not urls:
        return "nothing could be identified: neither a system nor packages of a language"
    return None


def _finding(match: Mapping[str, Any]) -> Finding:
    flaw, package = match["vulnerability"], match["artifact"]
    return Finding(
        kind="vulnerability",
        severity=RATINGS.get(str(flaw.get("severity")).lower(), "unknown"),
        rule=flaw["id"],
        aliases=[it["id"] for it in match.get("relatedVulnerabilities") or [] if it["id"] != flaw["id"]],
        file=next((it["path"] for it in package.get("locations") or []), "").lstrip("/"),
        text=f"{package['name']} {package['version']}: {flaw.get('description') or flaw['id']}",
        component=package.get("purl") or None,
        source=next((it["name"] for it in package.get("upstreams") or []), None),
        fixed_in=next(iter((flaw.get("fix") or {}).get("versions") or []), None),
    )


IMAGE_SCANNER = Grype()
