"""A scanner that is a command: its findings are JSON on its standard output, or in a report that it writes."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import Self

from release_pipelines.adapters import tools
from release_pipelines.adapters.tools import Done, NotLooked, path_of
from release_pipelines.core.model.finding import Finding, ScanResult
from release_pipelines.core.model.limits import Limits
from release_pipelines.core.text import one_line

__all__ = ["CommandScanner", "NotLooked", "ReportScanner", "path_of"]


class CommandScanner:
    """Runs a command inside the build context and reads its findings."""

    name: str
    accepted: tuple[int, ...] = (0, 1)
    """Exit codes with which the command has looked."""
    limits = Limits()

    def within(self, limits: Limits) -> Self:
        """The same scanner, with these limits."""
        other = copy.copy(self)
        other.limits = limits
        return other

    def command(self, dockerfile: str) -> list[str]:
        """The command and its arguments."""
        raise NotImplementedError

    def read(self, output: Any) -> list[Finding]:
        """The findings in the command's output.

        :raises NotLooked: when the output says that something could not be looked at.
        :raises ValueError: when it is no output of this command.
        """
        raise NotImplementedError

    def input(self, directory: Path, dockerfile: str) -> bytes | None:
        """What the command reads from its standard input; None: nothing."""
        return None

    def explain(self, directory: Path, error: NotLooked) -> str:
        """Why it could not look, in the end of a sentence."""
        return one_line(error, 2000)

    def missing(self) -> str | None:
        """Whether this worker has the command."""
        return tools.lacking(self.command("Dockerfile")[0], " (install release-pipelines[scan])")

    def scan(self, directory: Path, dockerfile: str) -> ScanResult:
        """Run the command and read its output."""
        missing = self.missing()
        if missing:
            return tools.unknown(self.name, missing)
        try:
            given = self.input(directory, dockerfile)
            done = tools.run(self.command(dockerfile), directory, self.limits, given)
            if done.code not in self.accepted:
                raise NotLooked(done.ended())
            output = tools.parsed(done.said)
        except NotLooked as error:
            return tools.unknown(self.name, error)
        try:
            findings = self.read(output)
        except NotLooked as error:
            return tools.unknown(self.name, self.explain(directory, error))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return tools.unknown(self.name, tools.unreadable(error))
        return tools.found(self.name, findings)


class ReportScanner:
    """Runs a command that writes a report of its own, outside of the build context."""

    name: str
    program: str
    hint = ""
    """How a worker gets the program, in brackets."""
    accepted: tuple[int, ...] = (0,)
    advice = ""
    report = "report.json"
    """How its report is called."""
    limits = Limits()
    contained = True

    def within(self, limits: Limits) -> Self:
        """The same scanner, with these limits."""
        other = copy.copy(self)
        other.limits = limits
        return other

    def command(self, directory: Path, dockerfile: str, report: Path) -> list[str]:
        """The arguments.

        :raises NotLooked: when there is nothing to look with.
        """
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Variables of the environment, beside those of the worker."""
        return {}

    def read(self, report: Any, done: Done, directory: Path, dockerfile: str) -> list[Finding]:
        """The findings of a report.

        :raises NotLooked: when it says that something, or everything, could not be looked at.
        :raises ValueError: when it is no report of this program.
        """
        raise NotImplementedError

    def data_at(self) -> float | None:
        """How old its data are; None: it has none."""
        return None

    def missing(self) -> str | None:
        """Whether this worker has the program."""
        return tools.lacking(self.program, self.hint)

    def scan(self, directory: Path, dockerfile: str) -> ScanResult:
        """Run the program and read its report."""
        missing = self.missing()
        if missing:
            return tools.unknown(self.name, missing)
        data_at = None
        try:
            directory = directory.resolve()
            data_at = self.data_at()
            with tempfile.TemporaryDirectory(prefix="scan-") as folder:
                report = Path(folder) / self.report
                empty = Path(folder) / "empty"  # where no settings lie that come with the source
                empty.mkdir()
                arguments = self.command(directory, dockerfile, report)
                command = [self.program, *arguments]
                done = tools.run(
                    command, empty, self.limits, environment=self.environment(), reads=[directory], writes=[report]
                )
                if done.code not in self.accepted:
                    raise NotLooked(done.ended())
                findings = self.read(tools.document(report, done), done, directory, dockerfile)
        except NotLooked as error:
            return tools.unknown(self.name, error, data_at=data_at)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return tools.unknown(self.name, tools.unreadable(error), data_at=data_at)
        return tools.found(self.name, findings, data_at=data_at, advice=self.advice)


def inside(directory: Path, path: str) -> str:
    """A path as it is seen from the build context."""
    return path.removeprefix(f"{directory}/").removeprefix("./").lstrip("/")
