"""From what the files say of calendars to the rule that a release keeps to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.window import OnClose, WindowRule

if TYPE_CHECKING:
    from release_pipelines.spec.feature import Scene
    from release_pipelines.spec.release import ReleaseSpec

KEYS = ("when_closed", "latest_start", "on_close")
"""Keys of an app that say what happens by its calendars."""
URGENT = "urgent_approval"
"""Id and role of the task in which a second person lets an urgent release through closed calendars."""
WINDOW = "window"
"""Id and role of the task that waits for a window."""


def window_rule(spec: ReleaseSpec, environment: str) -> WindowRule | None:
    """The calendars of an environment, and in the last one the app's, too: all of them must agree. None where none is named."""
    where, app = spec.environment(environment), spec.app
    named = [*(where.part("calendars", list) or [])]
    if environment == spec.production.name:
        named += app.part("calendars", list) or []
    if not named:
        return None
    return WindowRule(
        calendars=list(dict.fromkeys(named)),
        app=app.name,
        environment=environment,
        tags=app.part("tags", list) or [],
        time_zone=where.time_zone,
        when_closed="refuse" if app.part("when_closed", str) == "refuse" else "wait",
        latest_start=app.part("latest_start", float),
        on_close=app.part("on_close", OnClose) or OnClose(),
    )


def window_remarks(spec: ReleaseSpec, written: Mapping[str, Any]) -> Iterator[str]:
    """Keys of an app that have no effect as they stand, a sentence each without its full stop.

    :param written: what stands in the app's file.
    """
    file, policy = f"{spec.app.name}.yaml", written.get("on_close")
    if not any(window_rule(spec, it.name) for it in spec.environments):
        for key in KEYS:
            if key in written:
                yield f"{file}: {key}: it has no effect: neither the app nor one of its environments names `calendars`"
    elif isinstance(policy, Mapping) and "limit" in policy:
        on_close = spec.app.part("on_close", OnClose) or OnClose()
        if "pause" not in (on_close.policy, *on_close.stages.values()):
            yield f"{file}: on_close.limit: it has no effect: nothing is paused by this `on_close`"


def overridable(spec: ReleaseSpec) -> WindowRule | None:
    """The last environment's rule, where an urgent release may override it."""
    return window_rule(spec, spec.production.name) if spec.production.part("urgent_approvers", list) else None


def overridden(scene: Scene) -> str | None:
    """Template of why a release does not keep to its calendars in the last environment; None where it always does."""
    from release_pipelines.core.templates import field
    from release_pipelines.spec.feature import Slot

    known = WINDOW in scene.ids.get(Slot.AFTER_APPROVAL, [])
    return field(WINDOW, "overridden") if known and overridable(scene.spec) else None
