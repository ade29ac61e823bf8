"""What a strategy must fit: its router, its replicas, its judge. Each mistake as (path, found, expected)."""

from __future__ import annotations

from collections.abc import Iterator

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.hold import Hold
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.strategies.blue_green import BlueGreenSettings
from release_pipelines.core.strategies.canary import CanarySettings
from release_pipelines.core.strategies.rolling import RollingSettings
from release_pipelines.spec.app import AppSpec
from release_pipelines.spec.environment import EnvironmentSpec

POINTS_OFF = 1.0
"""So many percentage points whole pods may miss a weight by."""
CAN = {
    "traefik": {"match", "mirror", "affinity", "baseline"},
    "gateway_api": {"match", "mirror", "baseline"},
    "istio": {"match", "mirror", "baseline"},
    "replicas": set[str](),
}
"""What each router can do beside weights."""


def strategy_mistakes(app: AppSpec, production: EnvironmentSpec, analysis: Analysis) -> Iterator[Mistake]:
    """Everything that is wrong between a strategy and the environment that it works in."""
    chosen = app.strategy.chosen
    if isinstance(chosen, CanarySettings):
        yield from _canary(app, chosen, production, analysis)
    elif isinstance(chosen, BlueGreenSettings):
        yield from _blue_green(chosen, production)


def judged_parts(app: AppSpec, where: str, analysis: Analysis) -> Iterator[tuple[str, Analysis, Hold]]:
    """Everything that is judged: where its analysis stands, the analysis, and how long it has."""
    chosen = app.strategy.chosen
    yield where, analysis, chosen.bake
    if isinstance(chosen, RollingSettings) and chosen.batches:
        yield where, analysis, chosen.hold
    if isinstance(chosen, CanarySettings):
        for n, step in enumerate(chosen.steps):
            if step.hold:
                here = f"strategy.canary.steps[{n}].analysis" if step.analysis else where
                yield here, step.analysis or analysis, step.hold


def _canary(app: AppSpec, canary: CanarySettings, production: EnvironmentSpec, analysis: Analysis) -> Iterator[Mistake]:
    router = production.router.kind
    weights = canary.return_weights
    if any(not 1 <= weight <= 99 for weight in weights) or weights != sorted(set(weights), reverse=True):
        yield "strategy.canary.return_weights", str(weights), "falling weights from 99 to 1 (0 comes last by itself)"
    if canary.affinity and "affinity" not in CAN[router]:
        yield "strategy.canary.affinity", "true", f"false: router `{router}` cannot keep a client on its track"
    for n, step in enumerate(canary.steps):
        here = f"strategy.canary.steps[{n}]"
        for kind in ("match", "mirror"):
            if getattr(step, kind) is not None and kind not in CAN[router]:
                yield (
                    f"{here}.{kind}",
                    f"`{kind}` with router `{router}`",
                    "a step with a weight: that router cannot do it",
                )
        if router == "gateway_api" and step.mirror not in (None, 100):
            yield f"{here}.mirror", str(step.mirror), "100: router `gateway_api` mirrors all requests or none"
        own = step.analysis or analysis
        if step.weight and JUDGES.get(own.judge).wants_baseline(own):
            if "baseline" not in CAN[router]:
                yield (
                    f"{here}.analysis",
                    "`baseline: fresh`",
                    f"`stable`: router `{router}` has one track beside stable",
                )
            elif step.weight > 50:
                yield f"{here}.weight", str(step.weight), "50 or less: a fresh baseline gets as much as the canary"
    if router == "replicas":
        yield from _pods(app, canary)


def _pods(app: AppSpec, canary: CanarySettings) -> Iterator[Mistake]:
    """Without a mesh a weight is a number of pods: it must be one that whole pods can make."""
    stable = app.environments[-1].replicas or app.workloads[0].replicas
    if canary.replicas:
        yield "strategy.canary.replicas", str(canary.replicas), "none: with router `replicas` the weights decide"
    for n, step in enumerate(canary.steps):
        nearest = nearest_weight(stable, step.weight) if step.weight else None
        if step.weight and nearest and abs(nearest - step.weight) > POINTS_OFF:
            yield (
                f"strategy.canary.steps[{n}].weight",
                str(step.weight),
                f"a weight that whole pods beside {stable} stable ones make (router `replicas`), like {nearest:.3g}",
            )


def nearest_weight(stable: int, weight: int) -> float:
    """The share in percent nearest to ``weight`` that whole canary pods, at least one, make beside ``stable`` pods."""
    ideal = stable * weight / (100 - weight)
    shares = [100 * pods / (stable + pods) for pods in {max(1, int(ideal)), int(ideal) + 1}]
    return min(shares, key=lambda share: abs(share - weight))


def _blue_green(chosen: BlueGreenSettings, production: EnvironmentSpec) -> Iterator[Mistake]:
    if chosen.switch == "selector" and production.platform != "kubernetes":
        yield (
            "strategy.blue_green.switch",
            f"`selector` on {production.platform}",
            "`route`: only Kubernetes has Services with selectors",
        )
    if production.platform == "container_host" and not (production.address.host or production.address.preview):
        yield (
            "strategy.blue_green",
            f"no `address.host` in {production.name}.yaml",
            "`address.host` or `address.preview` there: the preview needs an address of its own",
        )
