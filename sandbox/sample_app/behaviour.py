"""How this version answers."""

GREETING = "Welcome to the storefront"
SECONDS = 0.002
"""Time that an answer takes."""


def breaks(visit: int) -> bool:
    """Whether the answer to the given visit (counted from 1) goes wrong."""
    return False
