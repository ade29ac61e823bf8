"""What the demo shows at its end."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from sandbox import airflow
from sandbox.run import Release
from sandbox.settings import AIRFLOW, APP, PROMETHEUS, TRAEFIK_API


def show(releases: list[Release], history: dict[str, dict[str, Any]], seconds: float) -> None:
    """Print the table of releases, where to look, and what to try next.

    :param history: what the history says, by version.
    :param seconds: how long the demo took.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    table = Table(title="What the history says", title_justify="left", show_lines=True)
    for heading in ("version", "outcome", "why", "took", "requests", "lost"):
        table.add_column(heading, justify="right" if heading in ("took", "requests", "lost") else "left")
    for release in releases:
        entry = history.get(release.version, {})
        table.add_row(
            release.version,
            entry.get("outcome") or release.state,
            entry.get("sentence") or "",
            f"{release.ended - release.started:.0f} s",
            f"{release.sent:,}",
            str(release.lost),
        )
    console.print()
    console.print(table)
    for line in reactions(releases):
        console.print(line)
    console.print(f"The demo took {seconds:.0f} s.\n")
    accounts = ", ".join(airflow.USERS)
    console.print(f"Airflow     {AIRFLOW}   accounts: {accounts} (password = name; bob and carol approve)")
    console.print(f"Traefik     {TRAEFIK_API}/dashboard/")
    console.print(f"Prometheus  {PROMETHEUS}")
    console.print("\nTry next:")
    console.print(f"  make release APP={APP} VERSION=1.0.0     release an older version; approve it in the browser")
    console.print(
        "  make demo STRATEGY=blue_green             the same with another strategy (canary, blue_green, rolling)"
    )
    console.print(f"  . .sandbox/environment; .venv/bin/release show {APP}      or history, stability, pause, abort, …")
    console.print("  make down")


def reactions(releases: Iterable[Release]) -> Iterable[str]:
    """How soon a bad version had no traffic any more: at the proxy, where the strategy has weights, and for users."""
    for release in releases:
        if release.verdict is None:
            continue
        found = []
        if release.weight_zero_after is not None:
            found.append(f"the proxy sent it nothing more from {_span(release.weight_zero_after)} on")
        if release.last_answer_after is not None and release.last_answer_after > 0:
            found.append(f"its last answer to a user came {_span(release.last_answer_after)} later")
        else:
            found.append("no user got an answer from it")
        yield f"{release.version}: after the measurement that decided the verdict {', and '.join(found)}."


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def mistakes(releases: list[Release], history: dict[str, dict[str, Any]], expected: dict[str, str]) -> list[str]:
    """A sentence for everything that is not as the demo promises."""
    found = []
    for release in releases:
        outcome = history.get(release.version, {}).get("outcome")
        wanted = expected[release.version]
        if outcome != wanted:
            found.append(f"{release.version} ended as {outcome or 'nothing'} in the history, {wanted} is expected.")
        if release.lost:
            found.append(f"{release.lost} of {release.sent} requests were lost while {release.version} was released.")
    return found
