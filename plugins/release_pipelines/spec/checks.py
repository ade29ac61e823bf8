"""What must fit between the files: each mistake as (path, found, expected), for a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.ports.metrics import source_of
from release_pipelines.core.ports.strategy import StrategyPlace
from release_pipelines.spec.app import AppSpec
from release_pipelines.spec.environment import EnvironmentSpec
from release_pipelines.spec.loader import mistakes_in

RESERVED = ("control", "pushes", "rollback")
"""Apps whose DAGs would be called like those that are there for all apps."""


def check(app: AppSpec, environments: list[EnvironmentSpec], analysis: Analysis) -> Iterator[Mistake]:
    """Everything that is wrong between an app, its environments and its analysis."""
    names = [environment.name for environment in environments]
    if len(set(names)) != len(names):
        yield "environments", ", ".join(names), "each environment once"
    yield from _people(app, environments)
    where = "analysis" if isinstance(app.analysis, Analysis) else f"analysis `{app.analysis}`"
    yield from _analysis(where, analysis, app, environments)
    if app.name in RESERVED:
        yield "name", f"`{app.name}`", f"another name: the DAG release_{app.name} is there for all apps"
    yield from _strategy(where, app, environments, analysis)


def _strategy(where: str, app: AppSpec, environments: list[EnvironmentSpec], analysis: Analysis) -> Iterator[Mistake]:
    strategy, settings, here = app.strategy.strategy, app.strategy.chosen, f"strategy.{app.strategy.name}"
    last = environments[-1]
    place = StrategyPlace(
        environment=last.name,
        platform=last.platform,
        router=last.router,
        replicas=app.environments[-1].replicas or app.workloads[0].replicas,
        has_host=bool(last.address.host or last.address.preview),
    )
    yield from strategy.mistakes(here, settings, place, analysis)
    compared = strategy.track != "stable"
    for path, own, hold in strategy.judged(here, settings, analysis):
        if own is not analysis:
            yield from _analysis(path or where, own, app, environments)
        yield from _time(path or where, own, hold.max)
        yield from JUDGES.get(own.judge).mistakes(path or where, own, measurable(own, app), hold, compared=compared)


def _people(app: AppSpec, environments: list[EnvironmentSpec]) -> Iterator[Mistake]:
    last = environments[-1]
    if not last.approvers and not app.approval.self_approval:
        yield (
            "approval",
            f"no approvers in {last.name}.yaml",
            f"`approvers` in {last.name}.yaml, or `self_approval: true` where one pair of eyes will do",
        )


def _time(where: str, analysis: Analysis, hold: float) -> Iterator[Mistake]:
    longest = hold + analysis.unmeasured_patience
    needed = analysis.interval * analysis.min_measurements
    if needed > longest:
        yield (
            f"{where}.min_measurements",
            f"{analysis.min_measurements} every {analysis.interval:g} s",
            f"so many that fit into the shortest hold with its patience ({longest:g} s)",
        )
    elif analysis.warm_up + needed > longest:
        yield (
            f"{where}.warm_up",
            f"{analysis.warm_up:g} s",
            f"less, so that something is measured within the shortest hold with its patience ({longest:g} s)",
        )


def _analysis(where: str, analysis: Analysis, app: AppSpec, environments: list[EnvironmentSpec]) -> Iterator[Mistake]:
    if analysis.window < analysis.interval:
        yield (
            f"{where}.window",
            f"{analysis.window:g} s",
            f"at least the interval ({analysis.interval:g} s): events in between would never be judged",
        )
    places = environments
    if analysis.on_inconclusive != "continue":  # else it decides nothing by what cannot be measured
        places = [*environments[:-1], _place(app, environments[-1])]
    for n, metric in enumerate(analysis.metrics):
        here = f"{where}.metrics[{n}]"
        yield from _options(here, metric)
        yield from source_of(metric).mistakes(here, metric, places)
    if not any(metric.critical for metric in relaxed(analysis, app).metrics):
        yield (
            f"{where}.metrics",
            "only CPU or memory, without limits",
            "a metric that can decide, or `cpu` and `memory` limits in `workloads`",
        )


def _place(app: AppSpec, environment: EnvironmentSpec) -> EnvironmentSpec:
    """The environment with the router that the strategy makes of its own: a Service's selector, say."""
    target = Target(
        app=app.name,
        environment=environment.name,
        platform=environment.platform,
        platform_connection="",
        registry_connection="",
        prometheus_connection="",
        workload=app.workloads[0],
        router=environment.router,
        url="",
    )
    router = app.strategy.strategy.adapt(app.strategy.chosen, target).router
    return environment.model_copy(update={"router": router})


def _options(where: str, metric: Metric) -> Iterator[Mistake]:
    model = source_of(metric).options
    if model is None:
        if metric.options:
            named = f"source `{metric.source}`" if metric.source else "PromQL of your own"
            yield f"{where}.options", f"the keys {', '.join(metric.options)}", f"none: {named} takes no options"
        return
    yield from mistakes_in(model, metric.options, f"{where}.options")


def measurable(analysis: Analysis, app: AppSpec) -> list[Metric]:
    """The metrics whose limits mean anything for the app's workload."""
    return [it for it in analysis.metrics if source_of(it).measurable(it, app.workloads[0])]


def relaxed(analysis: Analysis, app: AppSpec) -> Analysis:
    """CPU and memory are shares of a limit: where no limit is set they are reported and decide nothing, or are left out."""
    judge, measured = JUDGES.get(analysis.judge), {metric.name for metric in measurable(analysis, app)}
    metrics = [metric if metric.name in measured else judge.without(metric) for metric in analysis.metrics]
    return analysis.model_copy(update={"metrics": [metric for metric in metrics if metric is not None]})
