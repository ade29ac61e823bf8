"""Look what runs now, and keep it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.operator import ReleaseOperator, as_value, is_blank
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.sighting import EVERY_SECONDS
from release_pipelines.core.model.target import Target

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.airflow.observing import Place


class ObserveOperator(ReleaseOperator):
    """Look what runs of an app in an environment now, and keep it in the history, for pages and ``release status``.

    It only reads: the platform (tracks, weights, replicas, lease), and where it is given an analysis also the metrics of stable. A platform
    that does not answer fails nothing: the row says so, and what was seen before stays.

    :param target: the app in its environment.
    :param analysis: by which stable is measured: its limits count, over the last five minutes; None: it is not.
    :param every: seconds until the next look: what is older than three of them is shown as old.
    :return: the :class:`~release_pipelines.core.model.sighting.Sighting` that was kept, as a dict.

    .. code-block:: python

        ObserveOperator(task_id="observe", target=target, every=300)

    Templated: ``target``, ``analysis``.
    XCom: return value; ``reason`` when it fails, which it does only where the history does not answer.
    """

    template_fields: Sequence[str] = ("target", "analysis")

    def __init__(self, *, target: Any, analysis: Any = None, every: float = EVERY_SECONDS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.analysis = analysis
        self.every = every

    def work(self, context: Context) -> dict[str, Any]:
        from release_pipelines.airflow.observing import Place, look

        analysis = None if is_blank(self.analysis) else as_value(Analysis, self.analysis, "analysis")
        place = Place(as_value(Target, self.target, "target"), analysis)
        [row] = look([place], HistoryHook().history(), self.every)
        self.log.info("%s in %s: %s.", *place.name, row.failure or row.version or row.digest or "nothing runs")
        return to_json(row)


class ObserveAppsOperator(ReleaseOperator):
    """Look at every environment of every app that has a valid file, or had one when it was last valid.

    :param apps: folder of the app files.
    :param config: folder of the environment files.
    :param every: seconds until the next look.
    :return: ``{"looked_at", "not_observed", "drift"}``: so many environments were looked at, did not answer, and differ from what was
        left there.

    XCom: return value; ``reason`` when it fails, which it does only where the history does not answer.
    """

    def __init__(self, *, apps: Path, config: Path, every: float = EVERY_SECONDS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.apps = apps
        self.config = config
        self.every = every

    def work(self, context: Context) -> dict[str, int]:
        from release_pipelines.airflow.observing import look

        rows = look(self._places(), HistoryHook().history(), self.every)
        missed, drift = sum(it.failure is not None for it in rows), sum(bool(it.drift) for it in rows)
        self.log.info("Looked at %d environments: %d did not answer, %d drift.", len(rows), missed, drift)
        return {"looked_at": len(rows), "not_observed": missed, "drift": drift}

    def _places(self) -> list[Place]:
        from release_pipelines.airflow.observing import Place
        from release_pipelines.spec.frozen import dag_specs
        from release_pipelines.spec.target import target

        return [
            Place(target(spec, it.name), spec.analysis)
            for spec in dag_specs(self.apps, self.config)
            for it in spec.environments
        ]
