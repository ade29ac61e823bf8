"""Tasks that start releases of what was pushed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowNotFoundException, DagRunTriggerException

from release_pipelines.airflow.held_releases import events_since
from release_pipelines.airflow.hooks.git import GitHook
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.airflow.operator import ReleaseOperator
from release_pipelines.airflow.pushes import judge, judge_delivery, told_by
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.release_id import WOKEN, dag_of
from release_pipelines.core.pushes.reading import asset_event, messages
from release_pipelines.core.text import one_line
from release_pipelines.features.pushes.looking import Look, Looked, Outside
from release_pipelines.spec.pushes import asked_for_by, receiver_of, receiving_specs

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.source import Source
    from release_pipelines.core.pushes.meaning import Start
    from release_pipelines.spec.release import ReleaseSpec

HINDERED = (ReleaseError, AirflowNotFoundException, ValueError)
LOOK_SECONDS = 2.0
"""Pause between two looks at a registry whose tag does not name yet what was pushed, in seconds."""
SIDE_BY_SIDE = 8
"""So many forges and registries are compared at a time."""


class LookForPushesOperator(ReleaseOperator):
    """Choose the releases that begin now: one an app, the newest that waits and is newer than what is released.

    Looks at deliveries that nobody has judged, at the events of assets that started the run, and, unless the endpoint woke it, at
    forges and registries for what nobody told.

    :param apps: folder of the app files.
    :param config: folder of the environment files.
    :return: for each release the arguments of :class:`StartReleaseOperator`.

    XCom: return value; ``reason`` when it fails.
    """

    def __init__(self, *, apps: Path, config: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.apps = apps
        self.config = config

    def work(self, context: Context) -> list[dict[str, Any]]:
        run: Any = context["dag_run"]
        history = HistoryHook().history()
        specs = {it.app.name: it for it in receiving_specs(self.apps, self.config)}
        for delivery in history.deliveries(limit=1000, unjudged=True):
            try:
                judge_delivery(history, specs.get(delivery.app), delivery.id, told_by(delivery))
            except ValueError as error:  # another version has kept it
                history.judged(delivery.id, f"it cannot be read: {one_line(error, 200)}")
        self._take_events(context, history, specs.values())
        outside = _outside(context)
        looks = [Look(it, history, outside) for it in specs.values()]
        begun = list(self._begin(looks))
        if not run.run_id.startswith(WOKEN):
            with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
                list(pool.map(self._compare, looks))
            busy = {look.app for look, _ in begun}  # their runs are made when this task has ended
            begun += self._begin([it for it in looks if it.app not in busy])
        return [_arguments(look.spec, start) for look, start in begun]

    def _begin(self, looks: list[Look]) -> Iterator[tuple[Look, Start]]:
        """Every app by itself; those whose registry does not follow yet are asked again, which ends by itself."""
        waiting = looks
        while waiting:
            again = []
            for look in waiting:
                found = Looked()
                with self._apart(look.app, "what waits could not be looked at"):
                    try:
                        found = look.begin()
                    except Exception as error:
                        foreseen = isinstance(error, HINDERED)
                        look.hindered(one_line(error) if foreseen else f"an unforeseen {type(error).__name__}")
                        raise
                if found.start:
                    yield look, found.start
                if found.again:
                    again.append(look)
            waiting = again
            if waiting:
                time.sleep(LOOK_SECONDS)

    def _compare(self, look: Look) -> None:
        with self._apart(look.app, "forge and registry could not be compared with"):
            for push in look.untold():
                for answer in judge(look.history, look.spec, [push]):
                    self.log.info("%s: nobody told of %s", look.app, answer)

    def _take_events(self, context: Context, history: History, specs: Iterable[ReleaseSpec]) -> None:
        for spec in specs:
            receiver = receiver_of(spec)
            if receiver is None or receiver.starts.asset is None:
                continue
            asset = Asset(receiver.starts.asset)
            told = [asset_event(it.extra) for it in events_since(context, asset)]
            for answer in judge(history, spec, told):
                self.log.info("%s: %s told of %s", spec.app.name, asset.uri, answer)

    @contextmanager
    def _apart(self, app: str, what: str) -> Iterator[None]:
        """What goes wrong with one app stops no other one, and is tried again at the next look."""
        try:
            yield
        except HINDERED as error:
            self.log.warning("%s: %s: %s", app, what, error)
        except Exception:  # of a registry of another package, say
            self.log.exception("%s: %s.", app, what)


class StartReleaseOperator(ReleaseOperator):
    """Make the run of a release; one that is there already is that start, and the task is skipped.

    Nothing is templated, unlike in Airflow's ``TriggerDagRunOperator``: logins and tags are what others wrote.

    :param release_dag: id of the app's DAG.
    :param release_run: id of the run.
    :param parameters: of the release.
    """

    def __init__(self, *, release_dag: str, release_run: str, parameters: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release_dag = release_dag
        self.release_run = release_run
        self.parameters = parameters

    def work(self, context: Context) -> None:
        raise DagRunTriggerException(
            trigger_dag_id=self.release_dag,
            dag_run_id=self.release_run,
            conf=self.parameters,
            logical_date=None,
            reset_dag_run=False,
            skip_when_already_exists=True,
            wait_for_completion=False,
            allowed_states=["success"],
            failed_states=["failed"],
            poke_interval=60,
            deferrable=False,
        )


class TakePushesOperator(ReleaseOperator):
    """Take what a queue or a bus tells of a registry, as an event of an asset: EventBridge's events of Amazon ECR out of SQS, say.

    Who may send to the queue may start releases: no signature is asked for.

    :param apps: folder of the app files.
    :param config: folder of the environment files.
    :return: what became of each push, in a sentence each.

    Templated: none.
    XCom: return value; ``reason`` when it fails.
    """

    def __init__(self, *, apps: Path, config: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.apps = apps
        self.config = config

    def work(self, context: Context) -> list[str]:
        history = HistoryHook().history()
        specs = receiving_specs(self.apps, self.config)
        events: Any = context.get("triggering_asset_events") or {}
        told = [push for asset in events for it in events_since(context, asset) for push in messages(it.extra)]
        answers = [answer for spec in specs for answer in judge(history, spec, told)]
        sentences = list(dict.fromkeys(map(str, answers)))
        for it in sentences:
            self.log.info("%s", it)
        return sentences


def _outside(context: Context) -> Outside:
    ti: Any = context["ti"]
    return Outside(
        git=_git,
        registry=_registry,
        runs=lambda dag, ids, states: int(ti.get_dr_count(dag_id=dag, run_ids=ids, states=states)),
    )


def _git(source: Source) -> Any:
    return GitHook(source.repository, source.git_connection).get_conn()


def _registry(connection: str) -> Any:
    return RegistryHook(connection).get_conn()


def _arguments(spec: ReleaseSpec, start: Start) -> dict[str, Any]:
    """What the task that starts the run is given."""
    pushed = f"tag {start.tag}" if start.tag else start.subject
    by = f"by {start.by}, " if start.by else ""
    return {
        "release_dag": dag_of(spec.app.name),
        "release_run": start.run_id,
        "parameters": {
            "version": start.version,
            "requested_by": asked_for_by(start, spec),
            "notes": f"Started by a push ({by}{pushed}, told by {start.source})",
            **({"digest": start.digest} if start.digest else {}),
        },
    }
