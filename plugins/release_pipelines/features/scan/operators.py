"""Scans before anything is deployed. A scanner that could not look is `unknown`, which blocks: it is never clean."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from release_pipelines.airflow.hooks.git import GitHook
from release_pipelines.airflow.operator import ReleaseOperator
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.base import Value
from release_pipelines.features.build.operators import folder_inside

if TYPE_CHECKING:
    from airflow.sdk import Context

TIMEOUT = 300.0
"""Seconds that a scanner may take."""

SHOWN = 20
"""So many findings go into the log."""

Severity = Literal["low", "medium", "high"]
ORDER: tuple[Severity, ...] = ("low", "medium", "high")


class Finding(Value):
    """One thing that a scanner found."""

    severity: Severity
    rule: str
    file: str
    line: int
    text: str


class ScanResult(Value):
    """What a scan came to."""

    status: Literal["clean", "findings", "unknown"]
    findings: list[Finding] = []
    sentence: str


class Scanner(Protocol):
    """Something that looks at a folder of source code."""

    name: str

    def scan(self, directory: Path, dockerfile: str) -> ScanResult:
        """Look at the build context ``directory``, whose Dockerfile is at ``dockerfile`` inside it. Never raises."""


class CommandScanner:
    """A scanner that is a command with JSON on its standard output."""

    name: str
    accepted: tuple[int, ...] = (0, 1)
    """Exit codes with which the command has looked."""

    def command(self, dockerfile: str) -> list[str]:
        """The command, run inside the directory."""
        raise NotImplementedError

    def read(self, output: Any) -> list[Finding]:
        """The findings in the output.

        :raises ValueError: when the output says that something could not be looked at.
        """
        raise NotImplementedError

    def scan(self, directory: Path, dockerfile: str) -> ScanResult:
        """Run the command and read what it says."""
        command = self.command(dockerfile)
        found = shutil.which(command[0]) or shutil.which(command[0], path=str(Path(sys.executable).parent))
        if found is None:
            return self._unknown(
                f"the command {command[0]} is missing on this worker (install release-pipelines[scan])"
            )
        try:
            done = subprocess.run([found, *command[1:]], cwd=directory, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            return self._unknown(f"it took longer than {TIMEOUT:.0f} s")
        except (OSError, UnicodeDecodeError) as error:
            return self._unknown(f"it could not be run: {error}")
        if done.returncode not in self.accepted:
            last = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
            return self._unknown(f"it ended with exit code {done.returncode} and said: {last}")
        try:
            findings = self.read(json.loads(done.stdout))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return self._unknown(f"its output cannot be read ({type(error).__name__}: {error})")
        if not findings:
            return ScanResult(status="clean", sentence=f"{self.name} found nothing.")
        counts = in_words(findings)
        return ScanResult(status="findings", findings=findings, sentence=f"{self.name} found {counts}.")

    def _unknown(self, why: str) -> ScanResult:
        return ScanResult(status="unknown", sentence=f"unknown: {self.name} could not look, because {why.rstrip('.')}.")


class Hadolint(CommandScanner):
    """Dockerfiles."""

    name = "hadolint"
    severities: dict[str, Severity] = {"error": "high", "warning": "medium", "info": "low", "style": "low"}

    def command(self, dockerfile: str) -> list[str]:
        """Hadolint's command."""
        return ["hadolint", "--format", "json", "--", dockerfile]

    def read(self, output: Any) -> list[Finding]:
        """Hadolint's findings."""
        return [
            Finding(
                severity=self.severities[it["level"]],
                rule=it["code"],
                file=it["file"],
                line=it["line"],
                text=it["message"],
            )
            for it in output
        ]


class Bandit(CommandScanner):
    """Python code."""

    name = "bandit"

    def command(self, dockerfile: str) -> list[str]:
        """Bandit's command; tests are left out, because they assert."""
        return ["bandit", "--recursive", "--format", "json", "--quiet", "--exclude", "*/tests/*,*/test_*.py", "."]

    def read(self, output: Any) -> list[Finding]:
        """Bandit's findings; a file that it could not parse may hide anything."""
        if output["errors"]:
            first = output["errors"][0]
            raise ValueError(f"{first.get('filename')}: {first.get('reason')}")
        return [
            Finding(
                severity=it["issue_severity"].lower(),
                rule=it["test_id"],
                file=it["filename"].removeprefix("./"),
                line=it["line_number"],
                text=it["issue_text"],
            )
            for it in output["results"]
            if it["issue_severity"] != "UNDEFINED"
        ]


SCANNERS: dict[str, type[CommandScanner]] = {"hadolint": Hadolint, "bandit": Bandit}


def in_words(findings: list[Finding]) -> str:
    """How many findings of which severity, worst first."""
    counts = Counter(finding.severity for finding in findings)
    return ", ".join(f"{counts[severity]} {severity}" for severity in reversed(ORDER) if counts[severity])


class ScanOperator(ReleaseOperator):
    """Scan the source of a commit, and stop the release on what is bad enough, or could not be looked at.

    :param scanner: ``hadolint`` (the Dockerfile), ``bandit`` (Python code), or a :class:`Scanner` of your own.
    :param repository: a Git URL, or a folder that is a Git repository.
    :param commit: full hash of what is scanned.
    :param context: folder inside the repository.
    :param dockerfile: path inside ``context``.
    :param block_on: findings of this severity and above stop the release.
    :param git_conn_id: connection with the credentials of a private repository.
    :return: ``{"scanner", "status", "sentence", "counts"}``; a failing task pushes it as ``result``.
    """

    template_fields = ("repository", "commit")

    def __init__(
        self,
        *,
        scanner: str | Scanner,
        repository: str,
        commit: str,
        context: str = ".",
        dockerfile: str = "Dockerfile",
        block_on: Severity = "high",
        git_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"retries": 3, "retry_delay": timedelta(seconds=10), **kwargs})
        if isinstance(scanner, str) and scanner not in SCANNERS:
            raise ValueError(f"A scanner is one of {', '.join(SCANNERS)} or an object, found {scanner!r}.")
        self.scanner: Scanner = SCANNERS[scanner]() if isinstance(scanner, str) else scanner
        self.repository = repository
        self.commit = commit
        self.context = context
        self.dockerfile = dockerfile
        self.block_on = block_on
        self.git_conn_id = git_conn_id

    def work(self, context: Context) -> dict[str, Any]:
        with GitHook(self.repository, self.git_conn_id).checkout(self.commit) as source:
            result = self.scanner.scan(folder_inside(source, self.context), self.dockerfile)
        counts = Counter(finding.severity for finding in result.findings)
        told = {
            "scanner": self.scanner.name,
            "status": result.status,
            "sentence": result.sentence,
            "counts": {severity: counts[severity] for severity in ORDER},
        }
        context["ti"].xcom_push("result", told)
        findings = sorted(result.findings, key=lambda finding: -ORDER.index(finding.severity))
        for it in findings[:SHOWN]:
            self.log.warning("%s %s %s:%s %s", it.severity, it.rule, it.file, it.line, it.text)
        if len(findings) > SHOWN:
            self.log.warning("… and %s more.", len(findings) - SHOWN)
        if result.status == "unknown":
            raise PlatformError(result.sentence)
        blocking = [it for it in findings if ORDER.index(it.severity) >= ORDER.index(self.block_on)]
        if blocking:
            worst = blocking[0]
            raise PlatformError(
                f"{self.scanner.name} found {in_words(blocking)} (findings from {self.block_on} on stop the release), "
                f"like {worst.rule} in {worst.file}:{worst.line}: {worst.text.rstrip('.')}."
            )
        self.log.info(result.sentence)
        return told
