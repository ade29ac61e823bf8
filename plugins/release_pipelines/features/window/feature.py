"""When a release may change an environment: its calendars are asked again right before (R19)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.units import Duration
from release_pipelines.core.model.window import OnClose, WhenClosed, WindowRule
from release_pipelines.core.templates import field
from release_pipelines.spec.feature import Feature, FeatureTask, Key, Mistake, Problem, Scene, Slot
from release_pipelines.spec.stages import stages
from release_pipelines.spec.windows import URGENT, WINDOW, overridable, window_rule

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec

CALENDARS = "Names of files in `include/calendars`, without `.yaml`: all of them must be open for a release to begin"


class WindowFeature(Feature):
    """Keys for calendars, and one task before each environment that has some."""

    app_keys = {
        "calendars": Key(list[str], list, f"{CALENDARS}. Those of the last environment must agree, too"),
        "tags": Key(list[str], list, "What entries of calendars may be limited to"),
        "when_closed": Key(WhenClosed, "wait", "What a release does that finds its calendars closed"),
        "latest_start": Key(
            Duration | None, None, "So long before the window closes nothing is begun any more; default: up to its end"
        ),
        "on_close": Key(OnClose, OnClose, "What happens when the window closes in mid-release"),
    }
    environment_keys = {"calendars": Key(list[str], list, CALENDARS)}

    def mistakes(self, spec: ReleaseSpec) -> Iterator[Mistake]:
        """A stage with a policy of its own has to be one of the strategy's."""
        names = [it.name for it in stages(spec) if isinstance(it, Stage)]
        for name in (spec.app.part("on_close", OnClose) or OnClose()).stages:
            if name not in names:
                yield Mistake("on_close.stages", f"`{name}`", f"one of {', '.join(names)}")

    def preflight(self, spec: ReleaseSpec) -> Iterator[Problem]:
        """Where a release is refused in a closed window, it is refused before anything is built."""
        for environment in spec.environments:
            rule = window_rule(spec, environment.name)
            if rule is None or rule.when_closed != "refuse":
                continue
            from release_pipelines.airflow.windows import obstacle_now

            if why := obstacle_now(rule):
                yield Problem(
                    why,
                    urgent=environment is spec.production and overridable(spec) is not None,
                    passing=environment is spec.production,
                )

    def remarks(self, spec: ReleaseSpec) -> Iterator[str]:
        rule = window_rule(spec, spec.production.name)
        if rule is not None:
            from release_pipelines.airflow.hooks.history import HistoryHook
            from release_pipelines.airflow.windows import obstacle_now, too_short_now, troubles

            why = obstacle_now(rule)
            yield from [why.rstrip(".")] if why else troubles(rule)
            yield from too_short_now(rule, HistoryHook().history().durations(rule.app, rule.environment))

    def summary(self, spec: ReleaseSpec) -> str | None:
        rule = window_rule(spec, spec.production.name)
        return f"keeps to {' and '.join(rule.calendars)}" if rule else None

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        rule = window_rule(spec, environment) if environment else None
        if rule is None:
            return
        last = environment == spec.production.name
        slot = Slot.AFTER_APPROVAL if last else Slot.BEFORE_ENVIRONMENT
        group = "" if last else None
        yield FeatureTask(
            WINDOW, slot, partial(_window, rule), group=group, role=WINDOW if last else None, unbroken=True
        )


def _window(rule: WindowRule, task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.window.operators import WaitForWindowOperator

    return WaitForWindowOperator(
        task_id=task_id,
        rule=rule,
        release=scene.release,
        target=scene.target,
        artifact=scene.artifact,
        preflight=scene.preflight,
        start_at=field(scene.roles["preflight"], "start_at") if scene.last else None,
        approval_holds=scene.spec.app.approval.valid_for if scene.last else None,
        approvers=[*scene.spec.production.approvers, *(scene.spec.production.part("urgent_approvers", list) or [])],
        overridden=field(URGENT, "overridden") if scene.last and overridable(scene.spec) else None,
        **scene.queue,
    )


FEATURE = WindowFeature()
