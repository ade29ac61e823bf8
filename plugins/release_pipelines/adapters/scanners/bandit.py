"""Python code, by Bandit."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import Any

from release_pipelines.adapters.scanners._command import CommandScanner, NotLooked, path_of
from release_pipelines.core.model.finding import Finding

SHOWN = 3
"""Maximum number of files that are named."""

TEMPLATE = re.compile(r"\{%-?\s*\w|\{\{|\{#")
PYTHON_2 = re.compile(
    r"""^\s*(print\s+["'\w]|print\s*>>|exec\s+["'\w]|raise\s+\w+\s*,\s*["'])|^\s*except\s+[\w.]+\s*,\s*\w+\s*:|\bur["']|<>""",
    re.M,
)
NEWER = (
    ((3, 14), re.compile(r"""(?<!\w)[tT][rR]?["']|^\s*except\s+[\w.]+(\s*,\s*[\w.]+)+\s*:""", re.M)),
    ((3, 13), re.compile(r"^\s*(def|class|type)\s+\w+\[[^\]]*=", re.M)),
    ((3, 12), re.compile(r"^\s*(async\s+)?(def|class)\s+\w+\[|^\s*type\s+\w+(\[[^\]]*\])?\s*=", re.M)),
    ((3, 11), re.compile(r"^\s*except\s*\*", re.M)),
    ((3, 10), re.compile(r"^\s*match\s+[^=:]+:\s*(#.*)?$", re.M)),
)
"""From which Python on what is written so can be parsed; the newest first."""


class Bandit(CommandScanner):
    """Looks at Python code, but for tests, because they assert."""

    name = "bandit"

    def command(self, dockerfile: str) -> list[str]:
        """Bandit's command."""
        return ["bandit", "--recursive", "--format", "json", "--quiet", "--exclude", "*/tests/*,*/test_*.py", "."]

    def read(self, output: Any) -> list[Finding]:
        """Bandit's findings; a file that it could not parse may hide anything."""
        if output["errors"]:
            raise NotParsed([(str(it.get("filename")), str(it.get("reason"))) for it in output["errors"]])
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

    def explain(self, directory: Path, error: NotLooked) -> str:
        """Which files it could not parse, what they look like, and what is expected."""
        if not isinstance(error, NotParsed):
            return super().explain(directory, error)
        python = _python_of(str(path_of("bandit")))
        named = [_why(directory, name, reason, python) for name, reason in error.files[:SHOWN]]
        more = f", and {len(error.files) - SHOWN} more" if len(error.files) > SHOWN else ""
        return f"{'; '.join(named)}{more}; what is not to be looked at stands in `scan.exclude`"


class NotParsed(NotLooked):
    """Files that could not be parsed, with Bandit's own reasons."""

    def __init__(self, files: list[tuple[str, str]]) -> None:
        super().__init__(f"{files[0][0]}: {files[0][1]}")
        self.files = files


def _python_of(bandit: str) -> tuple[int, int] | None:
    """The Python that Bandit runs with, which may be another than ours; None: it does not say."""
    try:
        said = subprocess.run([bandit, "--version"], capture_output=True, timeout=30, text=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"python version = (\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None


def _why(directory: Path, name: str, reason: str, python: tuple[int, int] | None) -> str:
    """What a file that cannot be parsed looks like, in the end of a sentence."""
    shown = name.removeprefix("./")
    if "syntax error" not in reason:
        return f"it could not read {shown} ({reason})"
    here = f"Python {python[0]}.{python[1]} on the worker" if python else "the worker's Python"
    try:
        text = (directory / name).read_bytes().decode("utf-8", errors="replace")
        ast.parse(text)
    except SyntaxError as error:
        line = error.lineno or 1
        where = f"{shown}:{line}"
        if TEMPLATE.search(_around(text, line)):
            return f"{where} is no Python, but looks like a template"
        if PYTHON_2.search(_around(text, line)):
            return f"{where} is Python 2, which {here} does not parse"
        needed = _needed(text, str(error.msg), python)
        if needed:
            return f"{where} needs Python ≥ {needed[0]}.{needed[1]} on the worker, and bandit has {here.removesuffix(' on the worker')}"
        return f"{where} cannot be parsed by {here} ({error.msg})"
    except (OSError, ValueError, RecursionError, MemoryError):
        return f"{shown} cannot be parsed by {here}"
    return f"{shown} needs a newer Python than bandit has on the worker ({here.removesuffix(' on the worker')})"


def _around(text: str, line: int) -> str:
    return "\n".join(text.splitlines()[max(line - 2, 0) : line + 1])


def _needed(text: str, message: str, python: tuple[int, int] | None) -> tuple[int, int] | None:
    """The oldest Python that can parse what is written, as far as it shows."""
    if message.startswith("f-string") and (python is None or python < (3, 12)):
        return 3, 12
    return next((version for version, form in NEWER if (python or (0, 0)) < version and form.search(text)), None)


SCANNER = Bandit()
