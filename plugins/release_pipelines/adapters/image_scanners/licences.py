"""Licences of all that an image is made of, as Syft finds them: what an app allows and forbids says `scan.licences`."""

from __future__ import annotations

from pathlib import Path

from release_pipelines.adapters import tools
from release_pipelines.core.findings.licensed import licence_findings
from release_pipelines.core.model.finding import ScanResult
from release_pipelines.core.model.image import PlatformImage


class Licences:
    """Tells the licence of each package that Syft identifies."""

    name = "licences"

    def missing(self) -> str | None:
        """Whether this worker has Syft."""
        from release_pipelines.adapters import sbom

        return sbom.missing()

    def scan_image(self, layout: Path, image: PlatformImage) -> ScanResult:
        """Make the SBOM of an image, and list the licences in it. What Syft could not read may have any."""
        from release_pipelines.adapters import sbom

        if lacking := self.missing():
            return tools.unknown(self.name, lacking, image.digest)
        try:
            made = sbom.of_image(layout, image.digest, image.digest)
        except sbom.NotIdentified as error:
            return tools.unknown(self.name, error, image.digest)
        findings = licence_findings(made.components)
        findings = [it.model_copy(update={"platform": image.platform or None}) for it in findings]
        if made.unread:
            result = tools.unknown(self.name, f"{made.unread[0]} could not be read", made.subject)
            return result.model_copy(update={"findings": findings, "not_looked_at": made.unread})
        sentence = f"{self.name} lists {len(findings):,} package{'s' if len(findings) > 1 else ''} with their licences."
        return ScanResult(status="findings", findings=findings, sentence=sentence, subject=made.subject)


IMAGE_SCANNER = Licences()
