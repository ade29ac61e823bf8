"""Programs of others that look at something: run within limits, and what they report.

A verdict needs a report of its own: written after the start, that can be read, of at least one thing that was looked at. An exit code
only confirms it: it means something else in each program, and a crash looks like a finding, or like nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from release_pipelines.core.model.finding import Finding, ScanResult, in_words
from release_pipelines.core.model.limits import Limits
from release_pipelines.core.model.units import lasting
from release_pipelines.core.text import clean, last_lines, one_line

OUTPUT_BYTES = 50_000_000
"""Maximum length of what a program says, or of its report, in bytes."""

TOO_LONG = "it said more than {:,} bytes, and was cut short there: what is not to be looked at stands in `scan.exclude`"

LOOK_SECONDS = 0.1
"""How often the memory of a program is measured, in seconds."""

PRIVATE = ("AIRFLOW", "_AIRFLOW", "RELEASE_PIPELINES_")
"""Beginnings of environment variables that hold secrets of the worker and mean nothing to other programs."""


BUSY = re.compile(r"TOOMANYREQUESTS|too many requests|rate limit|\b429\b|i/o timeout|connection (refused|reset)", re.I)
"""What programs say when a service that they need does not answer now."""


class NotLooked(ValueError):
    """Something could not be looked at; the message says what, and what is expected.

    :ivar again: whether another try may look.
    """

    @property
    def again(self) -> bool:
        return bool(BUSY.search(str(self)))


@dataclass(frozen=True)
class Done:
    """A program that has ended.

    :param code: its exit code; negative: the signal that ended it.
    :param said: the beginning of its standard output.
    :param errors: the beginning of its standard error.
    """

    code: int
    said: bytes
    errors: bytes

    @property
    def last_words(self) -> str:
        """The last line that it said, for a sentence."""
        return ([*last_lines(self.said, 1), *last_lines(self.errors, 1)] or ["nothing"])[-1]

    def ended(self) -> str:
        """How it ended, in the end of a sentence."""
        if self.code in (-signal.SIGKILL, 128 + signal.SIGKILL):
            return "it was killed (mostly for want of memory)"
        return f"it ended with exit code {self.code} and said: {self.last_words}"


class Place(Protocol):
    """Where programs run, if not on this worker."""

    def lacking(self, command: str, hint: str) -> str | None:
        """A sentence that a command is missing there; None: it is there, or that is not known before it is started."""

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        limits: Limits,
        given: bytes | None,
        environment: Mapping[str, str],
        reads: Sequence[Path],
        writes: Sequence[Path],
    ) -> Done:
        """Run a program there; see :func:`run`."""


_place: ContextVar[Place | None] = ContextVar("place", default=None)


@contextlib.contextmanager
def inside(place: Place | None) -> Iterator[None]:
    """Programs that are run meanwhile run there.

    :param place: None: on this worker.
    """
    before = _place.set(place)
    try:
        yield
    finally:
        _place.reset(before)


def path_of(command: str) -> str | None:
    """Where a command is: on the PATH, or beside this Python."""
    return shutil.which(command) or shutil.which(command, path=str(Path(sys.executable).parent))


def lacking(command: str, hint: str = "") -> str | None:
    """A sentence that a command is missing; None: it is there."""
    if place := _place.get():
        return place.lacking(command, hint)
    return None if path_of(command) else f"the command {command} is missing on this worker{hint}"


def run(
    command: Sequence[str],
    folder: Path,
    limits: Limits,
    given: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    reads: Sequence[Path] = (),
    writes: Sequence[Path] = (),
) -> Done:
    """Run a program and everything that it starts, within limits.

    Its memory is measured, not limited beforehand: a limit of addresses (``ulimit -v``) ends programs of Go that use little.

    :param folder: where it runs.
    :param given: what it reads from its standard input; None: nothing.
    :param environment: variables beside those of the worker.
    :param reads: what it looks at, beside the folder and what the command names by paths of their own.
    :param writes: the files that it writes.
    :raises NotLooked: when it cannot be run, takes too long or too much memory.
    """
    if place := _place.get():
        return place.run(command, folder, limits, given, environment or {}, reads, writes)
    variables = {name: it for name, it in os.environ.items() if not name.startswith(PRIVATE)} | dict(environment or {})
    if limits.memory:
        variables.setdefault("GOMEMLIMIT", str(int(limits.memory * 0.9)))  # collects garbage before it is ended
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(given or b"")
        stdin.seek(0)
        try:
            process = subprocess.Popen(
                [str(path_of(command[0]) or command[0]), *command[1:]],
                cwd=folder,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=variables,
                start_new_session=True,  # all that it starts is ended with it
            )
        except OSError as error:
            raise NotLooked(f"it could not be run: {one_line(error)}") from error
        try:
            _watch(process, limits)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return Done(process.returncode, _beginning(stdout), _beginning(stderr))


def _watch(process: subprocess.Popen[bytes], limits: Limits) -> None:
    """Wait until a program ends, or goes beyond a limit."""
    end = time.monotonic() + limits.timeout
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise took_too_long(limits)
        try:
            process.wait(min(left, LOOK_SECONDS) if limits.memory else left)
            return
        except subprocess.TimeoutExpired:
            if limits.memory and (used := _resident(process.pid)) > limits.memory:
                raise NotLooked(
                    f"it needed {used >> 20:,} MiB of memory, and {limits.memory >> 20:,} MiB are allowed"
                ) from None


def took_too_long(limits: Limits) -> NotLooked:
    """That a program took longer than it may."""
    return NotLooked(f"it took longer than {_seconds(limits.timeout)}")


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds == int(seconds) else lasting(seconds)


def _resident(session: int) -> int:
    """Memory of all processes of a session, in bytes; 0 where this system does not tell."""
    pages = 0
    for it in Path("/proc").glob("[0-9]*"):
        try:
            of = int((it / "stat").read_text().rpartition(")")[2].split()[3])
            pages += int((it / "statm").read_text().split()[1]) if of == session else 0
        except (OSError, ValueError, IndexError):
            continue  # it has ended
    return pages * resource.getpagesize()


def _beginning(file: IO[bytes]) -> bytes:
    """What a program has written, and one byte more where it is too long."""
    file.seek(0)
    return file.read(OUTPUT_BYTES + 1)


def content(report: Path, done: Done) -> bytes:
    """A report that the program has written: nothing that stood there before.

    :raises NotLooked: when it wrote none, or nothing into it.
    """
    try:
        with report.open("rb") as file:
            written = file.read(OUTPUT_BYTES + 1)
    except FileNotFoundError:
        raise NotLooked(f"it wrote no report: {done.ended()}") from None
    except OSError as error:
        raise NotLooked(f"its report cannot be read ({one_line(error)})") from error
    if not written.strip():
        raise NotLooked(f"its report is empty: {done.ended()}")
    if len(written) > OUTPUT_BYTES:
        raise NotLooked(TOO_LONG.format(OUTPUT_BYTES))
    return written


def document(report: Path, done: Done) -> Any:
    """The JSON of a report.

    :raises NotLooked: when it wrote none, or one that cannot be read.
    """
    return parsed(content(report, done))


def parsed(said: bytes) -> Any:
    """JSON of a program.

    :raises NotLooked: when it is too long, or none.
    """
    if len(said) > OUTPUT_BYTES:
        raise NotLooked(TOO_LONG.format(OUTPUT_BYTES))
    try:
        return json.loads(said)
    except (ValueError, RecursionError) as error:
        raise NotLooked(unreadable(error)) from error


def trouble_in(said: bytes, trouble: re.Pattern[str]) -> str | None:
    """The last line in which a program complains; None: it does not."""
    lines = [line for line in clean(said, 1_000_000, "end").split("\n") if trouble.search(line)]
    return one_line(lines[-1], 500) if lines else None


def unix_time(moment: str) -> float:
    """An RFC 3339 time in seconds since 1970.

    :raises ValueError: when it is none.
    """
    from dateutil.parser import isoparse

    return float(isoparse(moment).timestamp())


def unreadable(error: Exception) -> str:
    """That an output, or report, is none of this program, in the end of a sentence."""
    return f"its output cannot be read ({type(error).__name__}: {one_line(error)})"


def unknown(name: str, why: object, subject: str | None = None, data_at: float | None = None) -> ScanResult:
    """The result of a scanner that could not look."""
    sentence = f"unknown: {name} could not look, because {one_line(why, 1800)}."
    again = isinstance(why, NotLooked) and why.again
    return ScanResult(status="unknown", sentence=sentence, subject=subject, data_at=data_at, again=again)


def found(
    name: str, findings: list[Finding], subject: str | None = None, data_at: float | None = None, advice: str = ""
) -> ScanResult:
    """The result of a scanner that has looked.

    :param advice: how findings can be ended, a sentence.
    """
    if not findings:
        return ScanResult(status="clean", sentence=f"{name} found nothing.", subject=subject, data_at=data_at)
    sentence = f"{name} found {in_words(findings)}.{' ' if advice else ''}{advice}"
    return ScanResult(status="findings", findings=findings, sentence=sentence, subject=subject, data_at=data_at)
