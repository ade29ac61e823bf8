"""How benchmarks print."""

from __future__ import annotations

import os


class Skip(Exception):
    """Why a benchmark cannot run here, in one line."""


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    """Print a title and columns; the first column stands left, numbers stand right."""
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
    print(f"\n{title}")
    for row in [head, *rows]:
        cells = [
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())


def load() -> None:
    """Say how busy the machine is: whoever compares two runs needs it."""
    print(f"  load of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
