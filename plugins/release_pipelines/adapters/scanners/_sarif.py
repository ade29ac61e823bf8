"""A command of a team's own that looks at the source, and writes SARIF or what the source is made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import Self

from release_pipelines.adapters import tools
from release_pipelines.adapters.tools import NotLooked
from release_pipelines.core.model.finding import ScanResult
from release_pipelines.core.model.limits import Limits


class SarifScanner:
    """Runs a command inside the build context, and reads what it has written there: SARIF, or (for licences) an SBOM or pip-licenses' JSON.

    :param name: what it is called.
    :param command: the command and its arguments.
    :param report: the file, seen from the build context. One that stands there before the start is removed.
    """

    contained = True

    def __init__(self, name: str, command: Sequence[str], report: str, limits: Limits | None = None) -> None:
        self.name = name
        self.command = list(command)
        self.report = report
        self.limits = limits or Limits()

    def within(self, limits: Limits) -> Self:
        """The same scanner, with these limits."""
        return type(self)(self.name, self.command, self.report, limits)

    def missing(self) -> str | None:
        """Whether this worker has the command."""
        return tools.lacking(self.command[0])

    def scan(self, directory: Path, dockerfile: str) -> ScanResult:
        """Run the command and read its report."""
        missing = self.missing()
        if missing:
            return tools.unknown(self.name, missing)
        report = directory / self.report
        try:
            if not report.resolve().is_relative_to(directory.resolve()):
                raise NotLooked(f"a report inside of the source is expected, found {self.report}")
            report.unlink(missing_ok=True)
            done = tools.run(self.command, directory, self.limits, writes=[report])
            result = read(tools.content(report, done).decode(errors="replace"), self.name)
            if result.status != "unknown" and (done.code not in (0, 1) or (done.code and not result.findings)):
                raise NotLooked(done.ended())
        except NotLooked as error:
            return tools.unknown(self.name, error)
        except OSError as error:
            return tools.unknown(self.name, tools.unreadable(error))
        return result


def read(text: str, tool: str) -> ScanResult:
    """What a report says: SARIF, or components with their licences. Never raises: what is none of it is unknown.

    :param text: SARIF 2.1.0, CycloneDX or SPDX 2 as JSON, or what ``pip-licenses --format=json`` writes.
    :param tool: the tool's name, for sentences.
    """
    from release_pipelines.adapters import sbom
    from release_pipelines.core import sarif
    from release_pipelines.core.findings.licensed import licence_findings, pip_licenses_in

    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return sarif.read(text, tool)
    is_sbom = isinstance(document, dict) and ("bomFormat" in document or "spdxVersion" in document)
    if not is_sbom and not isinstance(document, list):
        return sarif.read(text, tool)
    try:
        components = sbom.components_in(text) if is_sbom else pip_licenses_in(document)
    except (sbom.NoSbom, ValueError) as error:
        return tools.unknown(tool, error)
    if not components:
        return tools.unknown(tool, "its report lists no component")
    sentence = f"{tool} lists {len(components):,} component{'s' if len(components) > 1 else ''} with their licences."
    return ScanResult(status="findings", findings=licence_findings(components), sentence=sentence)
