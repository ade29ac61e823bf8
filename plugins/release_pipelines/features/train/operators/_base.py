"""What the tasks of a train share."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.operator import RUN, AbortedByPerson, ReleaseOperator
from release_pipelines.core.model.release_id import dag_of, is_rollback
from release_pipelines.core.model.train import AppResult, TrainApp
from release_pipelines.core.text import clean
from release_pipelines.spec.frozen import spec_of
from release_pipelines.spec.target import target as target_of
from release_pipelines.spec.trains import TrainSpec

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History, Release
    from release_pipelines.core.model.target import Target

SENTENCE_LIMIT = 600
"""Longest sentence about one app, in characters."""


class TrainOperator(ReleaseOperator):
    """Base: a task of a train, which knows nothing but what the history keeps of it.

    :param spec: the :class:`~release_pipelines.spec.trains.TrainSpec`.
    :param apps: folder of the app files.
    :param config: folder of the environment files.
    :param release: the train's id.

    Templated: ``release``.
    """

    template_fields: tuple[str, ...] = ("release",)

    def __init__(self, *, spec: TrainSpec, apps: Path, config: Path, release: str = RUN, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.apps = apps
        self.config = config
        self.release = release

    @staticmethod
    def history() -> History:
        """The history."""
        return HistoryHook().history()

    def target(self, app: TrainApp) -> Target:
        """An app where the train releases it."""
        return target_of(spec_of(app.app, self.apps, self.config), app.environment)

    def became(self, history: History, app: TrainApp, result: AppResult, sentence: str = "", **more: Any) -> None:
        """Keep what became of an app."""
        words = clean(sentence, SENTENCE_LIMIT)
        history.change_train(self.release, app.app, result=result, sentence=words, **more)
        self.log.info("%s: %s%s", app.named, result, f": {words}" if words else "")

    def stop_if_aborted(self, history: History) -> None:
        """Nothing more is begun once a person has aborted the train.

        :raises AbortedByPerson: then.
        """
        for command in history.commands(self.release):
            if command.kind == "abort":
                history.answer(command.id, "The train stops; nothing more of it is begun.")
                raise AbortedByPerson(command.by, command.reason or "no reason given")


def rolled_back_since(history: History, app: TrainApp, back: str) -> Release | None:
    """A person's rollback of an app that came after this train's release of it; None: there is none.

    :param back: the id of the run by which the train itself would take it back.
    """
    later = history.later_releases(app.app, app.held_at or time.time())
    return next((it for it in later if is_rollback(it.id) and it.run_id != back), None)


def settle(operator: TrainOperator, history: History, app: TrainApp, state: str | None) -> AppResult:
    """Keep what became of an app by its own release, which has ended.

    :param state: Airflow's word for the state of its run.
    """
    release = history.release_of_run(dag_of(app.app), app.run_id or "")
    if release is None or release.outcome is None:
        ended = f"its run ended as {state}" if state else "its run is gone"
        sentence = f"{ended}, and the history has no outcome of it"
        operator.became(history, app, "failed", sentence)
        return "failed"
    result, sentence = came_to(app, release)
    held_at = (release.ended_at or time.time()) if result == "released" else None
    operator.became(history, app, result, sentence, held_at=held_at)
    return result


def came_to(app: TrainApp, release: Release) -> tuple[AppResult, str]:
    """What an app's own release came to for its train: held is only what this train wanted to release."""
    sentence = release.sentence or str(release.outcome)
    if release.outcome == "no_op":
        return "no_op", sentence
    if release.outcome == "released":
        if release.digest == app.digest:
            return "released", ""
        return "moved_on", f"it released {release.digest}, and not {app.digest}, which was approved"
    if release.outcome == "rollback_failed":
        return "not_taken_back", sentence
    if release.outcome == "superseded":
        return "moved_on", sentence
    return "failed", sentence
