"""Weights made of whole pods, where nothing but the number of pods splits the traffic."""

from __future__ import annotations

TOLERANCE = 1.0
"""Percentage points by which the pods' share may differ from the weight."""


def share(stable: int, canary: int) -> float:
    """Percent of the pods that are the canary's; 0 where there are none at all."""
    return 100 * canary / (stable + canary) if stable + canary else 0.0


def nearest(stable: int, canary: int, weight: int) -> bool:
    """Whether so many pods make the weight, within :data:`TOLERANCE` points."""
    return abs(share(stable, canary) - weight) <= TOLERANCE + 1e-9


def pods_for_weight(stable: int, weight: int) -> int:
    """Canary pods beside ``stable`` stable pods whose share of all pods is nearest to ``weight`` percent.

    :param stable: stable's pods; it keeps all of them (R5).
    :param weight: percent, 0 to 100. 100 needs as many pods as stable has: its traffic moves by the selector.
    :raises ValueError: when whole pods cannot come within :data:`TOLERANCE` points of the weight.
    """
    if not 0 <= weight <= 100 or stable < 1:
        raise ValueError(
            f"a weight from 0 to 100 and at least one stable pod are expected, found {weight} and {stable}"
        )
    if weight in (0, 100):
        return stable if weight else 0
    exact = stable * weight / (100 - weight)
    canary = min((int(exact), int(exact) + 1), key=lambda pods: abs(share(stable, pods) - weight))
    if canary == 0 or not nearest(stable, canary, weight):
        least = next((n for n in range(stable, 100) if _makes(n, weight)), None)
        hint = f"; {least} stable pods can" if least else ""
        raise ValueError(
            f"{stable} stable pods cannot make a weight of {weight} %: the nearest is "
            f"{share(stable, max(canary, 1)):.1f} % with {max(canary, 1)} canary pods{hint}"
        )
    return canary


def _makes(stable: int, weight: int) -> bool:
    exact = round(stable * weight / (100 - weight))
    return any(canary > 0 and nearest(stable, canary, weight) for canary in (exact, exact + 1))
