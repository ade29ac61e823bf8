"""A command of a team's own that looks at the source and writes SARIF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Self

from release_pipelines.adapters import tools
from release_pipelines.adapters.tools import NotLooked
from release_pipelines.core.model.finding import ScanResult
from release_pipelines.core.model.limits import Limits
from release_pipelines.core.text import one_line


class SarifScanner:
    """Runs a command inside the build context, and reads the SARIF that it has written there.

    :param name: what it is called.
    :param command: the command and its arguments.
    :param report: the file, seen from the build context. One that stands there before the start is removed.
    """

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
        from release_pipelines.core.sarif import read_sarif

        missing = self.missing()
        if missing:
            return tools.unknown(self.name, missing)
        report = (directory / self.report).resolve()
        try:
            if not report.is_relative_to(directory.resolve()):
                raise NotLooked(f"a report inside of the source is expected, found {self.report}")
            report.unlink(missing_ok=True)
            done = tools.run(self.command, directory, self.limits)
            document = tools.document(report, done)
            failed = failures(document)
            if failed:
                raise NotLooked(f"its report says: {failed}")
            findings = read_sarif(document)
            if done.code not in (0, 1) or (done.code == 1 and not findings):
                raise NotLooked(done.ended())
        except NotLooked as error:
            return tools.unknown(self.name, error)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError) as error:
            return tools.unknown(self.name, tools.unreadable(error))
        return tools.found(self.name, findings)


def failures(document: Any) -> str | None:
    """What a SARIF report says that its tool could not do; None: nothing."""
    runs = document["runs"]
    if not runs:
        return "there was no run"
    for run in runs:
        for invocation in run.get("invocations") or []:
            for kind in ("toolExecutionNotifications", "toolConfigurationNotifications"):
                for it in invocation.get(kind) or []:
                    if it.get("level", "warning") == "error":
                        return one_line((it.get("message") or {}).get("text") or "an error", 500)
            if not invocation.get("executionSuccessful", True):
                return one_line(invocation.get("exitCodeDescription") or "it did not run to its end", 500)
    return None
