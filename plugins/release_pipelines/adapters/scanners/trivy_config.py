"""Misconfiguration of the Dockerfile and of manifests, by Trivy; it needs no database."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from release_pipelines.adapters.scanners._command import ReportScanner
from release_pipelines.adapters.tools import Done, NotLooked, trivy
from release_pipelines.core.model.finding import Finding


class TrivyConfig(ReportScanner):
    """Looks at Dockerfiles and manifests, with the checks that the program brings or that the worker has."""

    name = "trivy_config"
    program = trivy.PROGRAM
    hint = trivy.HINT

    def command(self, directory: Path, dockerfile: str, report: Path) -> list[str]:
        """Its arguments."""
        return [
            "config", "--format", "json", "--output", str(report), "--exit-code", "0",
            "--severity", "UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL", "--timeout", f"{self.limits.timeout:.0f}s", "--", str(directory),
        ]  # fmt: skip

    def read(self, report: Any, done: Done, directory: Path, dockerfile: str) -> list[Finding]:
        """Its findings; the app's own Dockerfile is among what it has looked at."""
        looked = [part for part in trivy.results(report, done) if part.get("Class") == "config"]
        if not looked:
            raise NotLooked("it found no file of a kind that it knows")
        own = posixpath.normpath(dockerfile)
        if (directory / own).exists() and own not in {posixpath.normpath(part["Target"]) for part in looked}:
            raise NotLooked(f"it did not look at {own}")
        return trivy.misconfigurations(looked)


SCANNER = TrivyConfig()
