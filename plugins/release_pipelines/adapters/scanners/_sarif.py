"""A command of a team's own that looks at the source and writes SARIF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from typing_extensions import Self

from release_pipelines.adapters import tools
from release_pipelines.adapters.tools import NotLooked
from release_pipelines.core.model.finding import ScanResult
from release_pipelines.core.model.limits import Limits


class SarifScanner:
    """Runs a command inside the build context, and reads the SARIF that it has written there.

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
        from release_pipelines.core import sarif

        missing = self.missing()
        if missing:
            return tools.unknown(self.name, missing)
        report = directory / self.report
        try:
            if not report.resolve().is_relative_to(directory.resolve()):
                raise NotLooked(f"a report inside of the source is expected, found {self.report}")
            report.unlink(missing_ok=True)
            done = tools.run(self.command, directory, self.limits, writes=[report])
            result = sarif.read(tools.content(report, done).decode(errors="replace"), self.name)
            if result.status != "unknown" and (done.code not in (0, 1) or (done.code and not result.findings)):
                raise NotLooked(done.ended())
        except NotLooked as error:
            return tools.unknown(self.name, error)
        except OSError as error:
            return tools.unknown(self.name, tools.unreadable(error))
        return result
