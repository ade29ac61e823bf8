"""A scanner that is a command with JSON on its standard output."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from release_pipelines.core.model.finding import Finding, ScanResult, in_words
from release_pipelines.core.text import last_lines, one_line

TIMEOUT = 300.0
"""Maximum run time of a scanner, in seconds."""

OUTPUT_BYTES = 50_000_000
"""Maximum length of a scanner's output that is read, in bytes."""


class NotLooked(ValueError):
    """Something could not be looked at; the message says what, and what is expected."""


class CommandScanner:
    """Runs a command inside the build context and reads its findings."""

    name: str
    accepted: tuple[int, ...] = (0, 1)
    """Exit codes with which the command has looked."""

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
        command = self.command("Dockerfile")[0]
        if path_of(command) is None:
            return f"the command {command} is missing on this worker (install release-pipelines[scan])"
        return None

    def scan(self, directory: Path, dockerfile: str) -> ScanResult:
        """Run the command and read its output."""
        missing = self.missing()
        if missing:
            return self._unknown(missing)
        command, *arguments = self.command(dockerfile)
        try:
            given = self.input(directory, dockerfile)
            with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
                done = subprocess.run(
                    [str(path_of(command)), *arguments],
                    cwd=directory,
                    stdout=stdout,
                    stderr=stderr,
                    timeout=TIMEOUT,
                    **({"stdin": subprocess.DEVNULL} if given is None else {"input": given}),
                )
                said, errors = _beginning(stdout), _beginning(stderr)
        except subprocess.TimeoutExpired:
            return self._unknown(f"it took longer than {TIMEOUT:.0f} s")
        except OSError as error:
            return self._unknown(f"it could not be run: {one_line(error)}")
        if done.returncode not in self.accepted:
            last = [*last_lines(said, 1), *last_lines(errors, 1)] or ["nothing"]
            return self._unknown(f"it ended with exit code {done.returncode} and said: {last[-1]}")
        if len(said) > OUTPUT_BYTES:
            return self._unknown(
                f"it said more than {OUTPUT_BYTES:,} bytes, and was cut short there: what is not to be looked at stands in "
                "`scan.exclude`"
            )
        try:
            findings = self.read(json.loads(said))
        except NotLooked as error:
            return self._unknown(self.explain(directory, error))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return self._unknown(f"its output cannot be read ({type(error).__name__}: {one_line(error)})")
        if not findings:
            return ScanResult(status="clean", sentence=f"{self.name} found nothing.")
        return ScanResult(status="findings", findings=findings, sentence=f"{self.name} found {in_words(findings)}.")

    def _unknown(self, why: str) -> ScanResult:
        return ScanResult(status="unknown", sentence=f"unknown: {self.name} could not look, because {why.rstrip('.')}.")


def _beginning(file: IO[bytes]) -> bytes:
    """What a command has written, and one byte more where it is too long."""
    file.seek(0)
    return file.read(OUTPUT_BYTES + 1)


def path_of(command: str) -> str | None:
    """Where the command is: on the PATH, or beside this Python."""
    return shutil.which(command) or shutil.which(command, path=str(Path(sys.executable).parent))
