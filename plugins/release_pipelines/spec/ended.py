"""What an app or an environment lets pass until a day, and that day is over: a sentence each, without a full stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from release_pipelines.core.findings.rules import Rules

if TYPE_CHECKING:
    from release_pipelines.core.model.policy import PolicyWaiver
    from release_pipelines.spec.app import AppSpec
    from release_pipelines.spec.environment import EnvironmentSpec


def ended_exceptions(app: AppSpec) -> Iterator[str]:
    """Exceptions of an app that hold no more."""
    now, rules = time.time(), app.part("scan", Rules)
    for number, it in enumerate(rules.exceptions if rules else ()):
        if not it.holds(now):
            yield f"`scan.exceptions[{number}]`, for {it.id} in {it.component}, has run out on {it.until:%Y-%m-%d}"


def ended_waivers(environment: EnvironmentSpec, app: str | None = None) -> Iterator[str]:
    """Waivers of an environment that count no more.

    :param app: only those of this app.
    """
    today = datetime.now(ZoneInfo(environment.time_zone)).date()
    waivers: list[PolicyWaiver] = environment.part("policy_waivers", list) or []
    for number, it in enumerate(waivers):
        if it.until < today and app in (None, it.app):
            yield f"`policy_waivers[{number}]`, for {it.app} and {it.rule}, has run out on {it.until:%Y-%m-%d}"
