"""Run the tests tier by tier: ``python -m tests``, or only some: ``python -m tests unit airflow``.

Prints a line per tier, the end of what a failing tier said, and at last how many passed and failed. With ``CI=true`` it
fails when a tier that needs an engine or a cluster did not run. With ``--coverage`` it also says which share of the
package's lines each tier runs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

from tests.coverage import counting, table

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
LINT = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "import-linter": ["lint-imports"],
}
TAIL_LINES = 60
CLUSTER_SECONDS = 900.0
STACKS_SECONDS = 5.0
"""Maximum time that a command which took too long has to say where it is, in seconds."""


@dataclass(frozen=True)
class Tier:
    """One kind of tests.

    :param folders: below ``tests/``.
    :param does: what it is, for ``--help``.
    :param limit: seconds after which it is ended.
    :param needs: environment variable without which it does not run.
    :param package: distribution without which it does not run; ``make auth`` brings it.
    :param required: whether it needs more than this machine's Python: its tests run one after the other, and CI fails when it
        did not run. The others are spread over the machine's cores.
    """

    name: str
    folders: tuple[str, ...]
    does: str
    limit: float = 3000
    needs: str | None = None
    package: str | None = None
    required: bool = False


TIERS = [
    Tier("lint", (), "style, types, layers"),
    Tier(
        "unit",
        ("core", "spec", "adapters", "cli", "ci", "sandbox", "runner", "house"),
        "decisions, specifications, adapters",
    ),
    Tier(
        "airflow",
        (
            "airflow",
            "progression",
            "engine",
            "features",
            "pipeline",
            "pages",
            "extension",
            "dags",
            "surface",
            "upgrade",
        ),
        "operators, triggers, whole DAGs",
    ),
    Tier(
        "container host",
        ("container_host", "supply_chain"),
        "a real engine, proxy, store and metrics; cosign and OPA",
        required=True,
    ),
    Tier("end to end", ("end_to_end",), "the whole sandbox, over REST and in a browser", required=True),
    Tier("kubernetes", ("kubernetes",), "a real cluster", needs="KUBERNETES_TEST_CONTEXT", required=True),
    Tier("auth managers", ("auth_managers",), "approvals and pages with FAB", package="apache-airflow-providers-fab"),
]


@dataclass
class Result:
    """What a tier came to."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    not_run: str | None = None
    said: str = ""


_running: set[subprocess.Popen[str]] = set()


def ended(argv: list[str], limit: float) -> tuple[int, str]:
    """Exit code and output of a command; its whole process group is ended after ``limit`` seconds."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            argv, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, text=True
        )
        _running.add(process)
        late = ""
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            late = f"\nEnded after {limit:.0f} s."
            process.send_signal(signal.SIGABRT)  # pytest then says where each of its threads is
            with suppress(subprocess.TimeoutExpired):
                process.wait(STACKS_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = -1
        finally:
            _running.discard(process)
        output.seek(0)
        return code, output.read() + late


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """End what still runs when somebody interrupts the tests."""
    try:
        yield
    except BaseException:
        for process in list(_running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        raise


def lint() -> Result:
    """Style, types and layers: each check counts as one test."""
    result = Result()
    for name, (program, *arguments) in LINT.items():
        code, said = ended([str(BIN / program), *arguments], limit=300)
        result.passed += code == 0
        result.failed += code != 0
        if code:
            result.said += f"--- {name}\n{tail(said)}\n"
    return result


def pytest(tier: Tier, coverage: bool) -> Result:
    """A tier's folders in a pytest process of its own.

    :param coverage: whether the lines are kept that it and the processes that it starts run.
    """
    folders = [f"tests/{folder}" for folder in tier.folders if (ROOT / "tests" / folder).is_dir()]
    if tier.needs and not os.environ.get(tier.needs):
        return Result(not_run=f"{tier.needs} is not set")
    if tier.package and not installed(tier.package):
        return Result(not_run=f"{tier.package} is not installed, `make auth` runs it in an environment of its own")
    if not folders:
        return Result(not_run="there are no such tests")
    if tier.name == "kubernetes" and not cluster_answers(os.environ["KUBERNETES_TEST_CONTEXT"]):
        return Result(failed=1, said=f"No cluster answers in context {os.environ['KUBERNETES_TEST_CONTEXT']}.")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        wanted = ["pytest", "-q", *folders, "-o", "junit_family=xunit1", f"--junit-xml={report}"]
        if not tier.required and not coverage:  # these share nothing but the machine
            wanted += ["-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal"]  # some of them wait
        argv = [sys.executable, "-u", "-m", *(counting(tier.name) if coverage else []), *wanted]
        longer = 2 if coverage else 6 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 1
        code, said = ended(argv, tier.limit * longer)
        return counted(report.read_text() if report.exists() else None, code, said)


def installed(distribution: str) -> bool:
    """Whether a distribution is installed here."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def cluster_answers(context: str) -> bool:
    """Whether the cluster has a node that is ready; in CI, where it may still be starting, it is waited for."""
    kubectl = shutil.which("kubectl", path=f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}")
    argv = [kubectl or "kubectl", "--context", context, "wait", "--for=condition=Ready", "nodes", "--all"]
    end = time.monotonic() + (CLUSTER_SECONDS if os.environ.get("CI") == "true" else 0)
    while True:
        if subprocess.run([*argv, "--timeout=10s"], capture_output=True, check=False).returncode == 0:
            return True
        if time.monotonic() > end:
            return False
        time.sleep(3)


def counted(report: str | None, code: int, said: str) -> Result:
    """pytest's JUnit report, exit code and output as a result; never better than the exit code."""
    if report is None:
        return Result(failed=1, said=said)
    suite = next(ElementTree.fromstring(report).iter("testsuite"))
    number = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
    bad = number["failures"] + number["errors"]
    result = Result(max(0, number["tests"] - bad - number["skipped"]), bad, number["skipped"], said=said)
    if code not in (0, 5) and not bad:
        result.failed = 1
    if not result.passed and not result.failed:
        reasons = [it.get("message", "") for it in suite.iter("skipped")]
        result.not_run = next(iter(reasons), "there are no such tests")
    return result


def tail(said: str) -> str:
    """The end of an output; of Python's stacks only what is the project's."""
    foreign = re.compile(rf'  File "(?!{re.escape(str(ROOT))}/(?!\.venv/))')
    return "\n".join([it for it in said.rstrip().splitlines() if not foreign.match(it)][-TAIL_LINES:])


def line(name: str, result: Result, seconds: float) -> str:
    """What is printed about a tier."""
    if result.not_run:
        return f"{name:16}did not run: {result.not_run}"
    skipped = f", {result.skipped} skipped" if result.skipped else ""
    return f"{name:16}{result.passed} passed, {result.failed} failed{skipped} in {seconds:.0f} s"


def run(tiers: list[Tier], coverage: bool) -> int:
    """Run tiers one after the other and say what they came to."""
    passed = failed = 0
    missing = []
    with nothing_left_behind():
        for tier in tiers:
            started = time.monotonic()
            result = lint() if tier.name == "lint" else pytest(tier, coverage)
            if result.failed:
                print(tail(result.said))
            print(line(tier.name, result, time.monotonic() - started), flush=True)
            passed, failed = passed + result.passed, failed + result.failed
            if result.not_run and tier.required:
                missing.append(tier.name)
    if missing and os.environ.get("CI") == "true":
        print(f"In CI these must run: {', '.join(missing)}.")
    if coverage:
        print("\n".join(table([tier.name for tier in tiers])))
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or (missing and os.environ.get("CI") == "true") else 0


def main(arguments: list[str]) -> int:
    """Run the tiers that are wanted (none named: all); returns the exit code."""
    names = [tier.name for tier in TIERS]
    about = "\n".join(f"  {tier.name.replace(' ', '_'):16}{tier.does}" for tier in TIERS)
    parser = argparse.ArgumentParser(
        prog="python -m tests",
        description="Run the tests, tier by tier.",
        epilog=f"tiers:\n{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tiers", nargs="*", metavar="tier", help="default: all")
    parser.add_argument("--coverage", action="store_true", help="say which share of the lines each tier runs")
    given = parser.parse_args(arguments)
    wanted = [name.replace("_", " ") for name in given.tiers]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        print(f"No tier is called {unknown[0]}: one of {', '.join(names)} is expected.", file=sys.stderr)
        return 2
    tiers = [tier for tier in TIERS if not wanted or tier.name in wanted]
    return run(tiers, given.coverage)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
