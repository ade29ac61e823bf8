"""What a strategy must fit: its router, its replicas, its judge. Each mistake as (path, found, expected)."""

from __future__ import annotations

from collections.abc import Iterator

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.hold import Hold
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.ports.platform import PLATFORMS
from release_pipelines.core.ports.router import ROUTERS, router_of
from release_pipelines.core.strategies.blue_green import BlueGreenSettings
from release_pipelines.core.strategies.canary import CanarySettings
from release_pipelines.core.strategies.rolling import RollingSettings
from release_pipelines.spec.app import AppSpec
from release_pipelines.spec.environment import EnvironmentSpec

POINTS_OFF = 1.0
"""So many percentage points whole pods may miss a weight by."""


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
    name, router = production.router.kind, router_of(production.router)
    weights = canary.return_weights
    if any(not 1 <= weight <= 99 for weight in weights) or weights != sorted(set(weights), reverse=True):
        yield "strategy.canary.return_weights", str(weights), "falling weights from 99 to 1 (0 comes last by itself)"
    if canary.affinity and "affinity" not in router.capabilities:
        yield "strategy.canary.affinity", "true", f"false: router `{name}` cannot keep a client on its track"
    for n, step in enumerate(canary.steps):
        here = f"strategy.canary.steps[{n}]"
        for kind in ("match", "mirror"):
            if getattr(step, kind) is not None and kind not in router.capabilities:
                yield (
                    f"{here}.{kind}",
                    f"`{kind}` with router `{name}`",
                    "a step with a weight: that router cannot do it",
                )
        if step.mirror is not None and step.mirror not in router.mirror_percentages:
            possible = " or ".join(str(it) for it in router.mirror_percentages)
            every = "all requests or none" if possible == "100" else "no other share of the requests"
            yield f"{here}.mirror", str(step.mirror), f"{possible}: router `{name}` mirrors {every}"
        own = step.analysis or analysis
        if step.weight and JUDGES.get(own.judge).wants_baseline(own):
            if "baseline" not in router.capabilities:
                yield (
                    f"{here}.analysis",
                    "`baseline: fresh`",
                    f"`stable`: router `{name}` has one track beside stable",
                )
            elif step.weight > 50:
                yield f"{here}.weight", str(step.weight), "50 or less: a fresh baseline gets as much as the canary"
    if router.pods_make_weight:
        yield from _pods(app, canary, name)


def _pods(app: AppSpec, canary: CanarySettings, router: str) -> Iterator[Mistake]:
    """Without a mesh a weight is a number of pods: it must be one that whole pods can make."""
    stable = app.environments[-1].replicas or app.workloads[0].replicas
    if canary.replicas:
        yield "strategy.canary.replicas", str(canary.replicas), f"none: with router `{router}` the weights decide"
    for n, step in enumerate(canary.steps):
        nearest = nearest_weight(stable, step.weight) if step.weight else None
        if step.weight and nearest and abs(nearest - step.weight) > POINTS_OFF:
            yield (
                f"strategy.canary.steps[{n}].weight",
                str(step.weight),
                f"a weight that whole pods beside {stable} stable ones make (router `{router}`), like {nearest:.3g}",
            )


def nearest_weight(stable: int, weight: int) -> float:
    """The share in percent nearest to ``weight`` that whole canary pods, at least one, make beside ``stable`` pods."""
    ideal = stable * weight / (100 - weight)
    shares = [100 * pods / (stable + pods) for pods in {max(1, int(ideal)), int(ideal) + 1}]
    return min(shares, key=lambda share: abs(share - weight))


def _blue_green(chosen: BlueGreenSettings, production: EnvironmentSpec) -> Iterator[Mistake]:
    platform = PLATFORMS.get(production.platform)
    if chosen.switch == "selector" and not platform.fits(ROUTERS.get("replicas")):
        yield (
            "strategy.blue_green.switch",
            f"`selector` on {production.platform}",
            "`route`: only Kubernetes has Services with selectors",
        )
    if platform.preview_needs_host and not (production.address.host or production.address.preview):
        yield (
            "strategy.blue_green",
            f"no `address.host` in {production.name}.yaml",
            "`address.host` or `address.preview` there: the preview needs an address of its own",
        )
