"""Links of tasks to the pages that tell more, also while they wait: Airflow itself stores links of tasks that have ended only."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import BaseOperatorLink

from release_pipelines.core.links import commit_page, filled, graph, release_page, run_page
from release_pipelines.core.model.links import LinkSettings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

log = logging.getLogger(__name__)

LOOK_BACK = 3600.0
"""How far a dashboard looks back from a task that is going on, in seconds."""


class Place(NamedTuple):
    """What a link is made from.

    :ivar operator: the task's operator, its templates rendered.
    :ivar dag_id: of the run.
    :ivar run_id: of the run.
    :ivar airflow: where people reach Airflow; empty: it does not know its own address (``api.base_url``).
    :ivar settings: of the environment.
    """

    operator: Any
    dag_id: str
    run_id: str
    airflow: str
    settings: LinkSettings


class Link(BaseOperatorLink):
    """One link of a task.

    :param name: what it is called on the task's page.
    :param target: its address; None: there is none.
    :param settings: of the task's environment.
    """

    def __init__(self, name: str, target: Callable[[Place], str | None], settings: LinkSettings) -> None:
        self._name, self._target, self._settings = name, target, settings

    @property
    def name(self) -> str:
        """What it is called."""
        return self._name

    @property
    def xcom_key(self) -> str:
        """Where Airflow stores it."""
        return f"_link_{self._name.lower()}"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Its address; empty: there is none. Never raises: a link decides nothing.

        :param ti_key: the task instance, or its key.
        """
        try:
            from airflow.sdk.configuration import conf

            airflow = conf.get("api", "base_url", fallback=None) or ""
            return self._target(Place(operator, ti_key.dag_id, ti_key.run_id, airflow, self._settings)) or ""
        except Exception as error:
            log.info("There is no link to %s: %s", self._name, type(error).__name__)
            return ""


def links_of(operator: Any, settings: LinkSettings) -> list[Link]:
    """The links of an operator, by what it works on.

    :param operator: one of a release's.
    :param settings: of its environment.
    """
    return [Link(name, target, settings) for name, target in _targets(operator, settings)]


def linked(operator: Any, settings: LinkSettings) -> Any:
    """The same operator, with these links."""
    operator.operator_extra_links = (*operator.operator_extra_links, *links_of(operator, settings))
    return operator


def _targets(operator: Any, settings: LinkSettings) -> Iterator[tuple[str, Callable[[Place], str | None]]]:
    yield "Release", _release
    if hasattr(operator, "repository") and hasattr(operator, "commit"):
        yield "Commit", _commit
    if hasattr(operator, "stage") and settings.prometheus:
        yield "Prometheus", _prometheus
    if hasattr(operator, "target") and settings.grafana:
        yield "Grafana", _grafana
    if settings.registry and (hasattr(operator, "artifact") or hasattr(operator, "digest")):
        yield "Registry", _registry
    if operator.task_id == "outcome":
        yield "Report", _report


def tell_links(operator: Any, ti: Any) -> None:
    """Store the links of a task that is about to wait, so that they are there meanwhile. Never raises: it waits without them, too.

    :param ti: its task instance.
    """
    try:
        for it in operator.operator_extra_links:
            if isinstance(it, Link) and (address := it.get_link(operator, ti_key=ti)):
                ti.xcom_push(it.xcom_key, address)
    except Exception as error:
        log.info("The links of %s are stored when it has ended: %s", operator.task_id, type(error).__name__)


def _release(place: Place) -> str | None:
    return run_page(place.airflow, place.dag_id, place.run_id, "/plugin/release") if place.airflow else None


def _report(place: Place) -> str | None:
    return release_page(place.airflow, place.dag_id, place.run_id, "/report") if place.airflow else None


def _commit(place: Place) -> str | None:
    return commit_page(place.operator.repository, place.operator.commit)


def _prometheus(place: Place) -> str | None:
    """The queries that judge a stage, on its track."""
    from release_pipelines.core.model.stage import Stage
    from release_pipelines.core.model.target import Target
    from release_pipelines.core.ports.metrics import source_of

    stage, target = Stage.model_validate(place.operator.stage), Target.model_validate(place.operator.target)
    queries: list[str] = []
    for metric in stage.analysis.metrics if stage.analysis else ():
        ask = getattr(source_of(metric), "query", None)
        if ask is None:
            continue
        asked = ask(target, metric, stage.track, stage.analysis.window)
        queries += [f"({asked.bad}) / ({asked.total})"] if asked.bad and asked.total else filter(None, [asked.value])
    return graph(place.settings.prometheus or "", queries)


def _grafana(place: Place) -> str | None:
    now = time.time()
    span = {"from": str(int((now - LOOK_BACK) * 1000)), "to": "now"}
    return filled(place.settings.grafana or "", {**_known(place), **span})


def _registry(place: Place) -> str | None:
    return filled(place.settings.registry or "", _known(place))


def _known(place: Place) -> dict[str, str]:
    """Names and values that a task knows."""
    operator = place.operator
    artifact, target = (_fields(getattr(operator, it, None)) for it in ("artifact", "target"))
    own = {it: getattr(operator, it, None) for it in ("version", "image", "digest", "release")}
    found = {**own, **{it: artifact.get(it) for it in ("app", "version", "image", "digest")}, **_named(target)}
    return {name: it for name, it in found.items() if isinstance(it, str) and it}


def _named(target: Mapping[str, Any]) -> dict[str, Any]:
    return {it: target[it] for it in ("app", "environment") if target.get(it)}


def _fields(value: Any) -> Mapping[str, Any]:
    """An argument of an operator as its fields, in whichever form it is given."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:  # it is not given yet
            return {}
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    return value if isinstance(value, Mapping) else {}
