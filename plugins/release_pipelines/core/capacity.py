"""Replicas that carry a share of the traffic (R5)."""

from __future__ import annotations

from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import share_with
from release_pipelines.core.ports.router import router_of


def canary_replicas(stable_replicas: int, weight: int) -> int:
    """Replicas that carry ``weight`` percent of what ``stable_replicas`` carry; at least one (R5)."""
    return max(1, -(-stable_replicas * weight // 100))


def capacity(target: Target, stable_replicas: int, weight: int) -> int:
    """Replicas that the canary needs at ``weight`` percent; where pods alone split the traffic, so many as make the weight.

    :raises ValueError: when whole pods cannot make the weight.
    """
    if router_of(target.router).pods_make_weight:
        return pods_for_weight(stable_replicas, weight)
    return canary_replicas(stable_replicas, weight)


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


def capacity_of(stage: Stage, target: Target, stable_replicas: int) -> int:
    """Replicas that the stage's track needs before it gets the stage's traffic; at least one (R5).

    :param stable_replicas: replicas of stable, whose capacity is the measure.
    :raises ValueError: when whole pods cannot make the weight.
    """
    if stage.track == "stable":  # rolling: its weight is a share of its own replicas
        return stable_replicas
    if stage.replicas:
        return stage.replicas
    percent = stage.weight or (stage.traffic.mirror if stage.traffic else 0)
    return capacity(target, stable_replicas, percent) if percent else 1


def nearest_weight(stable: int, weight: int) -> float:
    """The share in percent nearest to ``weight`` that whole canary pods, at least one, make beside ``stable`` pods."""
    ideal = stable * weight / (100 - weight)
    shares = [100 * pods / (stable + pods) for pods in {max(1, int(ideal)), int(ideal) + 1}]
    return min(shares, key=lambda share: abs(share - weight))


def weights_of_pods(target: Target, weights: list[int], stable: int, beside: int) -> list[int]:
    """The weights between 0 and 100 that are possible while no replica comes or goes.

    All of them; or where pods alone split the traffic, the one that these numbers of pods make.

    :param weights: those that are wanted.
    :param stable: pods of stable.
    :param beside: pods of the track beside it.
    """
    if not router_of(target.router).pods_make_weight:
        return weights
    made = round(share(stable, beside))
    return [made] if weights and 0 < made < 100 else []


def fitted(stage: Stage, target: Target, stable_replicas: int) -> Stage:
    """The stage with a weight that whole pods beside so many stable ones make, where pods alone split the traffic.

    Their number may not be the file's: an autoscaler, or a person, has changed it.
    """
    weight = stage.weight
    if stage.traffic is None or not 0 < weight < 100 or not router_of(target.router).pods_make_weight:
        return stage
    try:
        pods_for_weight(stable_replicas, weight)
    except ValueError:
        made = round(nearest_weight(stable_replicas, weight))
        return stage.model_copy(update={"traffic": share_with(stage.track, made)})
    return stage
