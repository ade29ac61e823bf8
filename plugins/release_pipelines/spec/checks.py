"""What must fit between the files: each mistake as (path, found, expected), for a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.promql import PLACEHOLDERS, unknown_placeholders
from release_pipelines.spec.app import AppSpec
from release_pipelines.spec.checks_of_strategies import judged_parts, strategy_mistakes
from release_pipelines.spec.environment import EnvironmentSpec

Mistake = tuple[str, str, str]

RESERVED = ("control", "rollback")
"""Apps that would have the DAGs of people's own controls."""


def check(app: AppSpec, environments: list[EnvironmentSpec], analysis: Analysis) -> Iterator[Mistake]:
    """Everything that is wrong between an app, its environments and its analysis."""
    names = [environment.name for environment in environments]
    if len(set(names)) != len(names):
        yield "environments", ", ".join(names), "each environment once"
    yield from _people(app, environments)
    yield from _engine(app, environments[0])
    where = "analysis" if isinstance(app.analysis, Analysis) else f"analysis `{app.analysis}`"
    yield from _analysis(where, analysis, app, environments)
    if app.name in RESERVED:
        yield "name", f"`{app.name}`", f"another name: the DAG release_{app.name} is there for people"
    yield from strategy_mistakes(app, environments[-1], analysis)
    for here, own, hold in judged_parts(app, where, analysis):
        if own is not analysis:
            yield from _analysis(here, own, app, environments)
        yield from _time(here, own, hold.max)
        if hold.min < hold.max and own.judge != "sequential":
            yield f"{here}.judge", f"`{own.judge}`", "`sequential`: only that judge ends a hold between `min` and `max`"


def _people(app: AppSpec, environments: list[EnvironmentSpec]) -> Iterator[Mistake]:
    last = environments[-1]
    if not last.approvers and not app.approval.self_approval:
        yield (
            "approval",
            f"no approvers in {last.name}.yaml",
            f"`approvers` in {last.name}.yaml, or `self_approval: true` where one pair of eyes will do",
        )


def _engine(app: AppSpec, first: EnvironmentSpec) -> Iterator[Mistake]:
    if app.build and not first.connections.engine:
        yield (
            "build",
            f"no engine in {first.name}.yaml",
            f"`connections.engine` in {first.name}.yaml, which builds the image",
        )


def _time(where: str, analysis: Analysis, hold: float) -> Iterator[Mistake]:
    longest = hold + analysis.patience
    needed = analysis.interval * analysis.min_measurements
    if needed > longest:
        yield (
            f"{where}.min_measurements",
            f"{analysis.min_measurements} every {analysis.interval:g} s",
            f"so many that fit into the shortest hold with its patience ({longest:g} s)",
        )


def _analysis(where: str, analysis: Analysis, app: AppSpec, environments: list[EnvironmentSpec]) -> Iterator[Mistake]:
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
    left = relaxed(analysis, app).metrics
    lost = analysis.kayenta.group_weights.keys() - {metric.group for metric in left}
    if analysis.judge == "kayenta" and lost:
        yield (
            f"{where}.kayenta.group_weights",
            f"points for {', '.join(sorted(lost))}, where only CPU or memory without limits is measured",
            "points for groups that can be measured, or `cpu` and `memory` limits in `workloads`",
        )
    if not any(metric.critical for metric in left):
        yield (
            f"{where}.metrics",
            "only CPU or memory, without limits",
            "a metric that can decide, or `cpu` and `memory` limits in `workloads`",
        )


def relaxed(analysis: Analysis, app: AppSpec) -> Analysis:
    """CPU and memory are shares of a limit: where no limit is set they are reported and decide nothing.

    Kayenta's judge does without them: what nobody can measure would keep its score open.
    """
    limits = {"cpu": app.workloads[0].cpu, "memory": app.workloads[0].memory}
    if analysis.judge == "kayenta":
        kept = [metric for metric in analysis.metrics if limits.get(metric.source or "", 1) is not None]
        return analysis.model_copy(update={"metrics": kept})
    metrics = [
        metric.model_copy(update={"critical": False}) if limits.get(metric.source or "", 1) is None else metric
        for metric in analysis.metrics
    ]
    return analysis.model_copy(update={"metrics": metrics})
