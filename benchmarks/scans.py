"""How long the scans of one app take: those of the source beside the build, then those of the image side by side."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.table import Skip, table

ROOT = Path(__file__).resolve().parents[1]
TARGET = 120.0
"""Seconds that all scans of an app may take on two cores, with caches that are warm."""

RULES = "rules: [{id: no-eval, languages: [python], severity: ERROR, message: eval, pattern: eval(...)}]\n"


def side_by_side(tasks: Mapping[str, Callable[[], Any]]) -> tuple[float, dict[str, tuple[float, str]]]:
    """Seconds until all have ended, and of each its own with its status: as a worker with two cores runs them."""

    def timed(task: Callable[[], Any]) -> tuple[float, str]:
        begun = time.perf_counter()
        status = task().status
        return time.perf_counter() - begun, status

    begun = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        running = {name: pool.submit(timed, it) for name, it in tasks.items()}
        took = {name: it.result() for name, it in running.items()}
    return time.perf_counter() - begun, took


def main() -> None:
    """Print the table."""
    from release_pipelines.core.ports.scanner import IMAGE_SCANNERS, SCANNERS
    from tests import tools
    from tests.advisories import grype_cache, trivy_cache
    from tests.images import Layout

    tools.use()
    missing = [it for it in ("trivy", "gitleaks", "hadolint", "bolt") if tools.program(it) is None]
    if missing:
        raise Skip(f"{', '.join(missing)} not on this machine (tests/tools/build)")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        os.environ.update(trivy_cache(home / "trivy", time.time()))
        if tools.program("grypedb"):
            os.environ.update(grype_cache(home / "grype"))
        (home / "rules.yml").write_text(RULES)
        os.environ.setdefault("SEMGREP_RULES", str(home / "rules.yml"))
        source = ROOT / "sandbox" / "sample_app"
        files = {f"app/{n}.py": f"x = {n}\n" * 1000 for n in range(2000)}
        packages = {f"app/p{n}-1.0.dist-info/METADATA": f"Name: p{n}\nVersion: 1.0\n" for n in range(200)}
        layout = Layout(home / "layout")
        image = layout.image(packages, files, {f"usr/lib/{n}": "y z\n" * 25_000 for n in range(1000)})
        layout.names(image)
        of_source = {it: scanner for it, scanner in SCANNERS.usable() if scanner.missing() is None}
        of_image = {it: scanner for it, scanner in IMAGE_SCANNERS.usable() if scanner.missing() is None}
        first: dict[str, Callable[[], Any]] = {
            it: lambda scanner=scanner: scanner.scan(source, "Dockerfile")  # type: ignore[misc]
            for it, scanner in of_source.items()
        }
        second: dict[str, Callable[[], Any]] = {
            it: lambda scanner=scanner: scanner.scan_image(layout.folder, image)  # type: ignore[misc]
            for it, scanner in of_image.items()
        }
        side_by_side({**first, **second})  # caches
        path_source, took_source = side_by_side(first)
        path_image, took_image = side_by_side(second)
    path = path_source + path_image
    rows = [
        [kind, it, f"{seconds:.1f}", f"{100 * seconds / path:.0f} %", status]
        for kind, took in (("source", took_source), ("image", took_image))
        for it, (seconds, status) in sorted(took.items(), key=lambda it: -it[1][0])
    ]
    rows += [
        ["source", "all, beside the build", f"{path_source:.1f}", f"{100 * path_source / path:.0f} %", ""],
        ["image", "all, side by side", f"{path_image:.1f}", f"{100 * path_image / path:.0f} %", ""],
        ["", "critical path", f"{path:.1f}", f"{100 * path / TARGET:.0f} % of {TARGET:.0f} s", ""],
    ]
    table("Scans of one app, two at a time, caches warm", ["", "scanner", "seconds", "of the path", "status"], rows)
