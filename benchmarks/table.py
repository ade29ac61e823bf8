"""How benchmarks print."""

from __future__ import annotations


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
