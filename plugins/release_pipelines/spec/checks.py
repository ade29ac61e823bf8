"""What must fit between the files: each mistake as (path, found, expected), for a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from release_pipelines.spec.analysis import AnalysisSpec
from release_pipelines.spec.models import AppSpec, EnvironmentSpec
from release_pipelines.spec.promql import PLACEHOLDERS, unknown_placeholders

Mistake = tuple[str, str, str]

POINTS_OFF = 1.0
"""So many percentage points whole pods may miss a weight by."""


def check(app: AppSpec, environments: list[EnvironmentSpec], analysis: AnalysisSpec) -> Iterator[Mistake]:
    """Everything that is wrong between an app, its environments and its analysis."""
    names = [environment.name for environment in environments]
    if len(set(names)) != len(names):
        yield "environments", ", ".join(names), "each environment once"
    yield from _people(app, environments)
    yield from _pods(app, environments)
    where = "analysis" if isinstance(app.analysis, AnalysisSpec) else f"analysis `{app.analysis}`"
    yield from _analysis(where, analysis, app, environments)
    canary = app.strategy.canary
    yield from _time(where, analysis, min([canary.bake, *(step.hold for step in canary.steps if not step.analysis)]))
    if any(not 1 <= weight <= 99 for weight in canary.return_weights) or canary.return_weights != sorted(
        set(canary.return_weights), reverse=True
    ):
        found = str(canary.return_weights)
        yield "strategy.canary.return_weights", found, "falling weights from 99 to 1 (0 comes last by itself)"
    for n, step in enumerate(canary.steps):
        if step.analysis:
            here = f"strategy.canary.steps[{n}].analysis"
            yield from _analysis(here, step.analysis, app, environments)
            yield from _time(here, step.analysis, step.hold)


def _people(app: AppSpec, environments: list[EnvironmentSpec]) -> Iterator[Mistake]:
    last = environments[-1]
    if not last.approvers and not app.approval.self_approval:
        yield (
            "approval",
            f"no approvers in {last.name}.yaml",
            f"`approvers` in {last.name}.yaml, or `self_approval: true` where one pair of eyes will do",
        )


def _pods(app: AppSpec, environments: list[EnvironmentSpec]) -> Iterator[Mistake]:
    """Without a mesh a weight is a number of pods: it must be one that whole pods can make."""
    if environments[-1].router.kind != "replicas":
        return
    stable = app.environments[-1].replicas or app.workloads[0].replicas
    for n, step in enumerate(app.strategy.canary.steps):
        nearest = nearest_weight(stable, step.weight)
        if abs(nearest - step.weight) > POINTS_OFF:
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


def _time(where: str, analysis: AnalysisSpec, hold: float) -> Iterator[Mistake]:
    longest = hold + analysis.patience
    needed = analysis.interval * analysis.min_measurements
    if needed > longest:
        yield (
            f"{where}.min_measurements",
            f"{analysis.min_measurements} every {analysis.interval:g} s",
            f"so many that fit into the shortest hold with its patience ({longest:g} s)",
        )


def _analysis(
    where: str, analysis: AnalysisSpec, app: AppSpec, environments: list[EnvironmentSpec]
) -> Iterator[Mistake]:
    if analysis.window < analysis.interval:
        yield (
            f"{where}.window",
            f"{analysis.window:g} s",
            f"at least the interval ({analysis.interval:g} s): events in between would never be judged",
        )
    replicas = [environment.name for environment in environments if environment.router.kind == "replicas"]
    for n, metric in enumerate(analysis.metrics):
        here = f"{where}.metrics[{n}]"
        for key in ("bad", "total", "query"):
            for name in unknown_placeholders(getattr(metric, key) or ""):
                known = ", ".join(f"{{{{ {it} }}}}" for it in PLACEHOLDERS)
                yield f"{here}.{key}", f"{{{{ {name} }}}}", f"one of {known}"
        if replicas and metric.source in ("errors", "slow_requests"):
            yield (
                f"{here}.source",
                f"`{metric.source}`",
                f"PromQL of your own (`bad` and `total`): with router `replicas` ({replicas[0]}) no proxy counts requests",
            )
    if not any(metric.critical for metric in relaxed(analysis, app).metrics):
        yield (
            f"{where}.metrics",
            "only CPU or memory, without limits",
            "a metric that can decide, or `cpu` and `memory` limits in `workloads`",
        )


def relaxed(analysis: AnalysisSpec, app: AppSpec) -> AnalysisSpec:
    """CPU and memory are shares of a limit: where no limit is set they are reported and decide nothing."""
    limits = {"cpu": app.workloads[0].cpu, "memory": app.workloads[0].memory}
    metrics = [
        metric.model_copy(update={"critical": False}) if limits.get(metric.source or "", 1) is None else metric
        for metric in analysis.metrics
    ]
    return analysis.model_copy(update={"metrics": metrics})
