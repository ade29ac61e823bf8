"""Trains in one process: their DAG and those of their apps by ``dag.test``, every app on a platform in memory."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from airflow.sdk import DAG

from release_pipelines.airflow import commands as controls
from release_pipelines.airflow import rollouts, runs
from release_pipelines.airflow.hooks import platform as platform_hook
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.loop import run
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.release_id import ROLLBACK_DAG
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.model.train import TrainApp
from release_pipelines.core.progression import capacity, decision, heartbeat, hold, meanwhile, promotion, rollout
from release_pipelines.features.rollback.dag import rollback_dag
from release_pipelines.features.train import triggers
from release_pipelines.pipeline.release import release_dag
from release_pipelines.pipeline.train import train_dag
from release_pipelines.spec.release import load_release
from release_pipelines.spec.trains import load_train
from tests.fakes import FakePrometheus, World
from tests.pipeline.conftest import BASE, Released

APP = """
name: NAME
environments: [production]
analysis:
  judge: threshold
  interval: 50ms
  window: 1s
  patience: 2s
  metrics: [{name: errors, source: errors, limit: 1%}]
strategy: {blue_green: {bake: 100ms, retire_after: 10ms}}
"""
NAMES = ("cart", "search", "shop")
TRAIN = "waves: [[cart, search], [shop]]\n"
ALL = {f"version_{name}": "2.1.0" for name in NAMES}


def digest(app: str, version: str) -> str:
    """The digest of an app's image of a version."""
    return "sha256:" + hashlib.sha256(f"{app} {version}".encode()).hexdigest()


class TrainOutside(FakePrometheus):
    """What trains ask over HTTP: the metrics, the registry and the pages of all apps."""

    def __init__(self) -> None:
        super().__init__()
        self.worlds = {name: World() for name in NAMES}
        self.bad_apps: set[str] = set()
        self.missing: set[str] = set()

    def routes(self, app: web.Application) -> None:
        super().routes(app)
        app.router.add_route("*", "/v2/{name}/manifests/{tag}", self._manifest)
        app.router.add_get("/{path:.*}", self._page)

    async def _manifest(self, request: web.Request) -> web.Response:
        name, tag = request.match_info["name"], request.match_info["tag"]
        if tag in self.missing:
            return web.Response(status=404)
        return web.Response(headers={"Docker-Content-Digest": tag if tag.startswith("sha256:") else digest(name, tag)})

    async def _page(self, request: web.Request) -> web.Response:
        world = self.worlds[request.host.partition(".")[0]]
        serving = max(world.tracks, key=world.route.traffic.weight) if world.route else "stable"
        version = world.tracks[serving].version or ""
        return web.json_response({"version": version}, headers={"X-App-Version": version})

    def is_new(self, query: str) -> bool:
        """Bad events are those of the new versions of the bad apps, wherever they run."""
        for name in self.bad_apps:
            stable = self.worlds[name].tracks.get("stable")
            promoted = stable is not None and stable.version == "2.1.0"
            if name in query and ("canary" in query or "preview" in query or promoted):
                return True
        return False


class Trains:
    """The apps ``cart``, ``search`` and ``shop``, and a train of them.

    ``by`` is who answers the train's form, ``second`` whoever answers that of an app. ``before_run`` is called with the id of each DAG
    whose run is about to begin, ``after_run`` when it has ended. With ``whole`` the apps' own DAGs run from end to end; else what they
    leave behind is written at once: all that a train sees of them is the history and the platform.
    """

    def __init__(self, dags: dict[str, DAG], outside: TrainOutside, apps: Path, config: Path, trains: Path) -> None:
        self.dags = dags
        self.outside = outside
        self.apps, self.config, self.trains = apps, config, trains
        self.by: str | None = "bob"
        self.second = "bob"
        self.late = False
        self.whole = False
        self.asked: list[str] = []
        self.began: list[tuple[str, str]] = []
        self.ended: dict[tuple[str, str], Released | None] = {}
        self.before_run: Callable[[str], None] = lambda dag_id: None
        self.after_run: Callable[[str], None] = lambda dag_id: None
        self.history = HistoryHook().history()
        self.id = ""

    def world(self, app: str) -> World:
        """What runs of an app."""
        return self.outside.worlds[app]

    def artifact(self, app: str, version: str) -> Artifact:
        """An app's version."""
        image = f"{self.outside.host}/{app}"
        return Artifact(app=app, version=version, image=image, digest=digest(app, version))

    def runs(self, version: str, *apps: str) -> None:
        """Let apps (by default all) serve a version, as an earlier release left it."""
        for app in apps or NAMES:
            it = self.artifact(app, version)
            self.world(app).runs("stable", it)
            self.world(app).route = Route(traffic=ALL_TO_STABLE, note=RouteNote(last_good=it, done=True))
            release = f"release_{app}/before-{version}#0"
            self.history.begin(release, app, f"release_{app}", f"before-{version}", version, "carol")
            self.history.record_artifact(release, it)
            self.history.promoted(release)
            self.history.finish(release, "released", f"Released {version}.")

    def serving(self) -> dict[str, str | None]:
        """The versions that serve."""
        return {app: self.world(app).tracks["stable"].version for app in NAMES if "stable" in self.world(app).tracks}

    def depart(self, **conf: Any) -> Released:
        """Run the train to its end."""
        done = Released(self.dags["train_weekly"].test(run_conf=conf))
        self.id = str(done.pushed("preflight", "release"))
        return done

    def release(self, app: str, version: str, **conf: Any) -> Released:
        """Release an app by its own DAG, beside the train."""
        return self._run(f"release_{app}", {"version": version, **conf})

    def roll_back(self, app: str, **conf: Any) -> Released:
        """A person rolls an app back."""
        return self._run(ROLLBACK_DAG, {"app": app, "reason": "prices are wrong", "requested_by": "alice", **conf})

    def rows(self) -> dict[str, TrainApp]:
        """What the history knows of the train's apps."""
        return {it.app: it for it in self.history.train_apps(self.id)}

    def results(self) -> dict[str, str]:
        """What became of the apps."""
        return {app: it.result for app, it in self.rows().items()}

    def backs(self) -> list[str]:
        """Apps whose rollbacks the train has started, in their order."""
        return [run_id.rpartition(".")[2] for dag_id, run_id in self.began if dag_id == ROLLBACK_DAG and "." in run_id]

    def _run(self, dag_id: str, conf: dict[str, Any]) -> Released:
        """A run in a thread of its own, as Airflow runs it in a process of its own."""
        found: list[Released] = []

        def work() -> None:
            found.append(Released(self.dags[dag_id].test(run_conf=conf, mark_success_pattern=r".*\.hold_lease")))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return found[0]

    def scheduled(self, dag_id: str, run_id: str) -> str | None:
        """What the scheduler does for a run that a train has started; its state."""
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session
        from sqlalchemy import delete, select

        key = (dag_id, run_id)
        if key not in self.ended:
            with create_session() as session:
                made = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
                if made is None:
                    return None
                conf = dict(made.conf or {})
                session.execute(delete(DagRun).where(DagRun.id == made.id))
            self.began.append(key)
            self.before_run(dag_id)
            app = dag_id.removeprefix("release_")
            if app in NAMES and not self.whole:
                self.ended[key] = None
                self._leave(app, run_id, conf)
                self.after_run(dag_id)
                return None
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(DagRun, "generate_run_id", staticmethod(lambda **_: run_id))
                self.ended[key] = Released(
                    self.dags[dag_id].test(run_conf=conf, mark_success_pattern=r".*\.hold_lease")
                )
            self.after_run(dag_id)
        done = self.ended[key]
        return done.state if done else None

    def _leave(self, app: str, run_id: str, conf: dict[str, Any]) -> None:
        """What an app's release leaves behind: its row in the history, and what runs."""
        release, it = f"release_{app}/{run_id}#0", self.artifact(app, conf["version"])
        self.history.begin(release, app, f"release_{app}", run_id, it.version, conf.get("requested_by"))
        self.history.record_artifact(release, it)
        self.history.record_event(release, "deployed", f"{it.version} is deployed.", "production")
        if app in self.outside.bad_apps:
            self.history.finish(release, "rolled_back", f"Rolled back {it.version}: error rate 5 %, limit 1 %.")
            self.history.mark(release, "production", True, "error rate 5 %, limit 1 %")
            return
        self.world(app).runs("stable", it)
        self.world(app).route = Route(traffic=ALL_TO_STABLE, note=RouteNote(last_good=it, release=release, done=True))
        self.history.promoted(release)
        self.history.finish(
            release, "released", f"Released {it.version}: it serves all traffic in production and held."
        )


@pytest.fixture
def train_outside() -> Iterator[TrainOutside]:
    """On a free port, served by the process' background loop."""
    it = TrainOutside()
    run(it.__aenter__())
    yield it
    run(it.__aexit__())


@pytest.fixture
def trains(
    _database: None,
    train_outside: TrainOutside,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Trains]:
    """Three apps, nothing of which runs yet, and the train ``weekly``.

    A parameter is the train's file; or that, and names of apps to their last environment, where that is ``live``, in which carol approves.
    """
    from airflow import settings
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.providers.standard.operators.hitl import HITLOperator

    outside = train_outside
    outside.host = outside.url.removeprefix("http://")
    for name, connection in {
        "platform": {"conn_type": "generic"},
        "registry": {"conn_type": "generic", "host": outside.host, "extra": {"insecure": True}},
        "prometheus": {"conn_type": "generic", "host": outside.url},
    }.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
    history = {"conn_type": "sqlite", "host": str(tmp_path / "history.db")}
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", json.dumps(history))
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RELEASE_PIPELINES_CALENDARS", str(tmp_path / "calendars"))
    monkeypatch.setattr(platform_hook, "_build", lambda target, *_: outside.worlds[target.app].platform())
    for module, name in (
        *((module, "READY_LOOK_SECONDS") for module in (capacity, decision, hold)),
        *((module, "LOOK_SECONDS") for module in (controls, decision, hold, meanwhile, heartbeat, promotion, rollouts)),
        (promotion, "SETTLE_SECONDS"),
        (rollout, "ADVANCE_SECONDS"),
        (triggers, "LOOK_SECONDS"),
        (triggers, "STATE_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.02)

    config, apps, files = tmp_path / "config", tmp_path / "apps", tmp_path / "trains"
    for folder in (config, apps, files, tmp_path / "calendars"):
        folder.mkdir()
    (config / "base.yaml").write_text(BASE.replace("URL", outside.url))
    (config / "production.yaml").write_text(
        'name: production\naddress: {host: "{app}.localhost"}\napprovers: [bob, dag_test, dora]\n'
    )
    (config / "live.yaml").write_text('name: live\naddress: {host: "{app}.localhost"}\napprovers: [carol]\n')
    param = getattr(request, "param", TRAIN)
    text, places = param if isinstance(param, tuple) else (param, {})
    for app in NAMES:
        it = APP.replace("NAME", app).replace("[production]", f"[{places.get(app, 'production')}]")
        (apps / f"{app}.yaml").write_text(it + ("when_busy: refuse\n" if app == "cart" else ""))
    (files / "weekly.yaml").write_text(text)
    for name in re.findall(r"calendars: (\w+)", text):
        (tmp_path / "calendars" / f"{name}.yaml").write_text("time_zone: UTC\n")
    dags = {
        it.dag_id: it
        for it in (
            *(release_dag(load_release(apps / f"{app}.yaml", config, tmp_path)) for app in NAMES),
            rollback_dag(apps, config),
            train_dag(load_train(files / "weekly.yaml", apps, tmp_path / "calendars"), apps, config),
        )
    }
    monkeypatch.setattr(settings, "DAGS_FOLDER", str(tmp_path / "no_dags"))
    really = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: really(min(seconds, 0.05)))
    bag = DagBag(dag_folder=str(tmp_path / "no_dags"))
    DagBundlesManager().sync_bundles_to_db()
    for it in dags.values():
        it.fileloc, it.relative_fileloc = str(tmp_path / f"{it.dag_id}.py"), f"{it.dag_id}.py"
        Path(it.fileloc).write_text("# made by the fixture\n")
        for task in it.tasks:
            task.retry_delay = task.retry_delay * 0
        bag.bag_dag(it)
    sync_bag_to_db(bag, "dags-folder", None)
    made = Trains(dags, outside, apps, config, files)

    def answered(operator: Any, context: Any) -> Any:
        dag_id = context["dag_run"].dag_id
        made.asked.append(dag_id)
        by = made.by if dag_id == "train_weekly" else made.second
        event: dict[str, Any] = {
            "chosen_options": ["Approve" if by else "Reject"],
            "params_input": {},
            "responded_at": datetime.now(timezone.utc),
            "responded_by_user": {"id": by or "bob", "name": by or "bob"},
        }
        if made.late:
            event = {"error": "late", "error_type": "timeout"}
        return operator.execute_complete(context, event)

    async def state_of(dag_id: str, run_id: str) -> str | None:
        return await asyncio.to_thread(made.scheduled, dag_id, run_id)

    handle = signal.signal

    def handle_in_main(number: Any, handler: Any) -> Any:
        """Airflow's tasks are processes of their own; here those of a train's apps run in threads, which take no signals."""
        return handle(number, handler) if threading.current_thread() is threading.main_thread() else None

    monkeypatch.setattr(signal, "signal", handle_in_main)
    monkeypatch.setattr(HITLOperator, "execute", answered)
    monkeypatch.setattr(runs, "state_of", state_of)
    yield made
    with contextlib.suppress(Exception):
        bag.dags.clear()
