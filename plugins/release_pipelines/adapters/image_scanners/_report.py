"""An image scanner that is a program of others."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import NamedTuple

from typing_extensions import Self

from release_pipelines.adapters import tools
from release_pipelines.adapters.tools import NotLooked
from release_pipelines.core.model.finding import Finding, ScanResult
from release_pipelines.core.model.image import PlatformImage
from release_pipelines.core.model.limits import Limits


class Looked(NamedTuple):
    """What a program found, and whether it could look at all of it.

    :ivar subject: the digest of the manifest that it says it looked at.
    :ivar lacks: what could not be looked at, in the end of a sentence; None: nothing.
    """

    findings: list[Finding]
    subject: str | None
    lacks: str | None = None


class ImageReportScanner:
    """Runs a program that looks at an OCI image layout and writes a report of its own."""

    name: str
    program: str
    hint = ""
    """How a worker gets the program, in brackets."""
    advice = ""
    limits = Limits()
    contained = True

    def within(self, limits: Limits) -> Self:
        """The same scanner, with these limits."""
        other = copy.copy(self)
        other.limits = limits
        return other

    def look(self, layout: Path, image: PlatformImage, folder: Path) -> Looked:
        """Run the program.

        :param folder: an empty folder for its report.
        :raises NotLooked: when it could not look.
        :raises ValueError: when its report is none of this program.
        """
        raise NotImplementedError

    def data_at(self) -> float | None:
        """How old its data are; None: it has none."""
        return None

    def missing(self) -> str | None:
        """Whether this worker has the program."""
        return tools.lacking(self.program, self.hint)

    def scan_image(self, layout: Path, image: PlatformImage) -> ScanResult:
        """Run the program and read its report."""
        missing = self.missing()
        if missing:
            return tools.unknown(self.name, missing, image.digest)
        data_at = None
        try:
            data_at = self.data_at()
            with tempfile.TemporaryDirectory(prefix="scan-") as folder:
                found = self.look(layout.resolve(), image, Path(folder))
        except NotLooked as error:
            return tools.unknown(self.name, error, image.digest, data_at)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            return tools.unknown(self.name, tools.unreadable(error), image.digest, data_at)
        findings = [it.model_copy(update={"platform": image.platform}) for it in found.findings]
        if found.lacks:
            result = tools.unknown(self.name, found.lacks, found.subject, data_at)
            return result.model_copy(update={"findings": findings})
        return tools.found(self.name, findings, found.subject, data_at, self.advice)
