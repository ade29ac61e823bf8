"""Known vulnerabilities of an image's packages, by Trivy."""

from __future__ import annotations

from pathlib import Path

from release_pipelines.adapters import tools
from release_pipelines.adapters.image_scanners._report import ImageReportScanner, Looked
from release_pipelines.adapters.tools import NotLooked, trivy
from release_pipelines.adapters.tools.layout import document
from release_pipelines.core.model.image import PlatformImage


class Trivy(ImageReportScanner):
    """Looks at packages of the system and of languages, with the database of the worker."""

    name = "trivy"
    program = trivy.PROGRAM
    hint = trivy.HINT

    def data_at(self) -> float | None:
        """When its database was made."""
        return trivy.data_at(self.limits)

    def look(self, layout: Path, image: PlatformImage, folder: Path) -> Looked:
        """Its findings. A system past its end gets no advisories any more: that nothing is known of it says nothing."""
        report = folder / "report.json"
        arguments = [
            "image", "--input", str(layout), "--scanners", "vuln", "--list-all-pkgs", "--format", "json", "--output", str(report),
            "--exit-code", "0", "--severity", "UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL", "--timeout", f"{self.limits.timeout:.0f}s",
        ]  # fmt: skip
        done = tools.run([trivy.PROGRAM, *arguments], folder, self.limits, reads=[layout], writes=[report])
        if done.code:
            raise NotLooked(done.ended())
        said = tools.document(report, done)
        looked = trivy.results(said, done)
        metadata = said.get("Metadata") or {}
        configuration = document(layout, image.digest)["config"]["digest"]
        if metadata.get("ImageID") != configuration:
            raise NotLooked(f"its report is about {metadata.get('ImageID')}, and the image is {configuration}")
        return Looked(trivy.vulnerabilities(looked), image.digest, trivy.lacks(metadata, looked))


IMAGE_SCANNER = Trivy()
