"""Notices of a release's outcome to the receivers of the environment's file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from release_pipelines.features.notify.spec import NotifySpec
from release_pipelines.spec.feature import Ended, Feature, Key, Problem

if TYPE_CHECKING:
    from release_pipelines.core.model.notice import Waiting
    from release_pipelines.spec.release import ReleaseSpec


class NotifyFeature(Feature):
    """The key ``notify`` of an environment's file."""

    environment_keys = {
        "notify": Key(
            list[NotifySpec],
            lambda: [NotifySpec(kind="log")],
            "Who is told what a release came to, and that it waits for a person",
        )
    }

    def preflight(self, spec: ReleaseSpec) -> Iterator[Problem]:
        """Receivers have to be reachable before a rollback fails and somebody must be called."""
        from release_pipelines.features.notify.operators import obstacle
        from release_pipelines.features.notify.spec import named

        production = spec.production
        for receiver in production.part("notify", list) or []:
            if why := obstacle(receiver):
                sentence = f"notify in {production.name}.yaml: {named(receiver)} cannot be told: {why}."
                yield Problem(sentence, urgent=True)

    def summary(self, spec: ReleaseSpec) -> str | None:
        from release_pipelines.features.notify.spec import named

        return f"told to {', '.join(map(named, spec.production.part('notify', list) or []))}"

    def alarm(self, ended: Ended, sentence: str) -> None:
        from release_pipelines.features.notify import operators

        operators.alarm(ended, sentence)

    def ask(self, ended: Ended, waiting: Waiting) -> None:
        from release_pipelines.features.notify import operators

        operators.ask(ended, waiting)

    def tell(self, ended: Ended) -> None:
        from release_pipelines.features.notify import operators

        operators.tell(ended)


FEATURE = NotifyFeature()
