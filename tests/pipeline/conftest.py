"""A whole release in one process: Airflow's ``dag.test`` on SQLite, the platform in memory, everything else on a port."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from airflow.sdk import DAG

from release_pipelines.airflow import commands as controls
from release_pipelines.airflow import rollouts
from release_pipelines.airflow.hooks import platform as platform_hook
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.loop import run
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.progression import capacity, decision, heartbeat, hold, meanwhile, promotion, rollout
from release_pipelines.features.commands.dag import control_dag
from release_pipelines.features.rollback.dag import rollback_dag
from release_pipelines.pipeline.release import release_dag
from release_pipelines.spec.release import load_release
from tests.fakes import GOOD, NEW, FakePrometheus, World

APP = """
name: shop
analysis:
  judge: threshold
  interval: 50ms
  window: 1s
  patience: 2s
  metrics: [{name: errors, source: errors, limit: 1%}]
"""
CANARY = """
strategy:
  canary:
    steps: [{weight: 10, hold: 200ms}, {weight: 50, hold: 200ms}]
    bake: 200ms
    retire_after: 50ms
"""
BLUE_GREEN = "strategy: {blue_green: {bake: 200ms, retire_after: 50ms}}\n"
ROLLING = "strategy: {rolling: {batches: [50], hold: 200ms, bake: 200ms}}\n"
BASE = """
platform: container_host
connections: {platform: platform, engine: platform, registry: registry, prometheus: prometheus}
router: {kind: traefik}
address: {url: "URL"}
"""
TAGS = {"1.0.0": GOOD, "1.1.0": NEW}


class Outside(FakePrometheus):
    """Everything that a release asks over HTTP: metrics, the registry, and the app behind its proxy."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: Callable[[web.Request], Awaitable[web.Response]] = self._page
        """Answers for the app; a test may put another in its place."""
        self.worlds = {"dev": World(), "staging": World(), "production": World()}

    def routes(self, app: web.Application) -> None:
        super().routes(app)
        app.router.add_route("*", "/v2/{name}/manifests/{tag}", self._manifest)
        app.router.add_get("/{path:.*}", self._answered)

    async def _manifest(self, request: web.Request) -> web.Response:
        asked = request.match_info["tag"]
        digest = asked if asked in TAGS.values() else TAGS.get(asked)
        if digest is None:
            return web.Response(status=404)
        return web.Response(headers={"Docker-Content-Digest": digest})

    async def _answered(self, request: web.Request) -> web.Response:
        return await self.pages(request)

    async def _page(self, request: web.Request) -> web.Response:
        world = self.worlds[next((name for name in self.worlds if name in request.host), "production")]
        serving = max(world.tracks, key=world.route.traffic.weight) if world.route else "stable"
        version = world.tracks[serving].version or ""
        return web.json_response({"version": version}, headers={"X-App-Version": version})

    def is_new(self, query: str) -> bool:
        """Bad events are the new version's, wherever it runs."""
        stable = self.worlds["production"].tracks.get("stable")
        return super().is_new(query) or (stable is not None and stable.digest == NEW)


class Releases:
    """The app ``shop`` and its releases.

    :param answer: what an approver does when asked: ``Approve``, ``Reject``, or None: marks the task as success. ``late``: nobody
        answers in time.
    """

    def __init__(self, dag: DAG, others: dict[str, DAG], outside: Outside, apps: Path, config: Path) -> None:
        self.dag = dag
        self.others = others
        self.apps = apps
        self.config = config
        self.outside = outside
        self.answer: str | None = "Approve"
        self.by = "bob"
        self.second = "carol"
        self.late = False
        self.production = outside.worlds["production"]
        self.staging = outside.worlds["staging"]
        self.dev = outside.worlds["dev"]

    def runs(self, version: str) -> None:
        """Let both environments serve a version, as an earlier release left it."""
        for world in self.outside.worlds.values():
            it = Artifact(app="shop", version=version, image=f"{self.outside.host}/shop", digest=TAGS[version])
            world.runs("stable", it)
            note = RouteNote(last_good=it, done=True)
            world.route = Route(traffic=ALL_TO_STABLE, note=note)
        history = HistoryHook().history()
        it = Artifact(app="shop", version=version, image=f"{self.outside.host}/shop", digest=TAGS[version])
        release = f"release_shop/before-{version}#0"
        history.begin(release, "shop", "release_shop", f"before-{version}", version, "carol")
        history.record_artifact(release, it)
        history.promoted(release)
        history.finish(release, "released", f"Released {version}.")

    def release(self, version: str, **conf: Any) -> Released:
        """Run the DAG to its end, which `dag.test` only looks for every second."""
        # The heartbeat lasts as long as the release, and `dag.test` runs one task after the other.
        marked = r".*\.hold_lease" + ("" if self.answer else "|approval")
        made = self.dag.test(run_conf={"version": version, **conf}, mark_success_pattern=marked)
        return Released(made)

    def roll_back(self, **conf: Any) -> Released:
        """Run the DAG ``release_rollback``, as a person does."""
        return Released(self.others["release_rollback"].test(run_conf=conf))

    def command(self, kind: str, by: str = "alice", reason: str = "wrong price list") -> None:
        """Give the running release a command, behind the back of the DAG ``release_control``."""
        history = HistoryHook().history()
        history.command(history.releases("shop")[0].id, kind, by, reason)

    def when(self, happened: Callable[[World], bool], then: Callable[[], None]) -> None:
        """Let something happen once, as soon as production has come so far."""
        done: list[bool] = []

        def look(call: str) -> None:
            if not done and happened(self.production):
                done.append(True)
                then()

        self.production.after = look


class Released:
    """What a run came to."""

    def __init__(self, dag_run: Any) -> None:
        self.run = dag_run
        self.states = {ti.task_id: ti.state for ti in dag_run.get_task_instances()}

    @property
    def state(self) -> str:
        """Airflow's word for the run."""
        return str(self.run.state.value if hasattr(self.run.state, "value") else self.run.state)

    def pushed(self, task: str, key: str = "return_value") -> Any:
        """What a task pushed."""
        return self.run.get_task_instance(task).xcom_pull(task_ids=task, key=key)

    @property
    def outcome(self) -> str:
        """The outcome in one word."""
        return str(self.pushed("outcome", "outcome"))

    @property
    def sentence(self) -> str:
        """The outcome in one sentence."""
        return str(self.pushed("outcome", "reason"))


def moves(world: World, track: Track = "canary") -> list[int]:
    """A track's weights one after the other."""
    accepted = [what[0].weight(track) for call, what in world.writes if call == "split"]
    return [weight for weight, before in zip(accepted, [None, *accepted], strict=False) if weight != before]


@pytest.fixture(scope="session")
def _database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(scope="session", autouse=True)
def _checked_once() -> Iterator[None]:
    """Airflow checks the same few schemas of parameters at each look at a task, which is a quarter of a release's time here."""
    from jsonschema import Draft202012Validator

    checked: set[str] = set()
    check = Draft202012Validator.check_schema

    def check_once(schema: Any, *args: Any, **kwargs: Any) -> None:
        text = json.dumps(schema, sort_keys=True, default=repr)
        if text not in checked:
            check(schema, *args, **kwargs)
            checked.add(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Draft202012Validator, "check_schema", check_once)
        yield


@pytest.fixture
def outside() -> Iterator[Outside]:
    """On a free port, served by the process' background loop."""
    it = Outside()
    run(it.__aenter__())
    yield it
    run(it.__aexit__())


@pytest.fixture
def releases(
    _database: None,
    outside: Outside,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Releases]:
    """The app ``shop`` on two environments where nothing runs yet; a parameter adds to its file."""
    from airflow import settings
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.providers.standard.operators.hitl import HITLOperator

    outside.host = outside.url.removeprefix("http://")
    for name, connection in {
        "platform": {"conn_type": "generic"},
        "registry": {"conn_type": "generic", "host": outside.host, "extra": {"insecure": True}},
        "prometheus": {"conn_type": "generic", "host": outside.url},
    }.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(platform_hook, "_build", lambda target, *_: outside.worlds[target.environment].platform())
    for module, name in (
        *((module, "READY_LOOK_SECONDS") for module in (capacity, decision, hold)),
        (controls, "LOOK_SECONDS"),
        *((module, "LOOK_SECONDS") for module in (decision, hold, meanwhile)),
        (heartbeat, "LOOK_SECONDS"),
        (promotion, "LOOK_SECONDS"),
        (promotion, "SETTLE_SECONDS"),
        (rollout, "ADVANCE_SECONDS"),
        (rollouts, "LOOK_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.02)

    config = tmp_path / "config"
    config.mkdir()
    (config / "base.yaml").write_text(BASE.replace("URL", outside.url))
    (config / "dev.yaml").write_text('name: dev\naddress: {host: "{app}.dev.localhost"}\n')
    (config / "staging.yaml").write_text('name: staging\naddress: {host: "{app}.staging.localhost"}\n')
    (config / "production.yaml").write_text(
        'name: production\naddress: {host: "{app}.localhost"}\napprovers: [bob, dag_test]\nurgent_approvers: [carol]\n'
    )
    apps = tmp_path / "apps"
    apps.mkdir()
    more = getattr(request, "param", "")
    (apps / "shop.yaml").write_text(APP + ("" if "strategy:" in more else CANARY) + more)
    dag = release_dag(load_release(apps / "shop.yaml", config, tmp_path))
    others = {it.dag_id: it for it in (rollback_dag(apps, config), control_dag(apps, config))}
    monkeypatch.setattr(settings, "DAGS_FOLDER", str(tmp_path / "no_dags"))  # `dag.test` parses all that is there
    really = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: really(min(seconds, 0.05)))
    bag = DagBag(dag_folder=str(tmp_path / "no_dags"))
    DagBundlesManager().sync_bundles_to_db()
    for it in (dag, *others.values()):
        it.fileloc, it.relative_fileloc = str(tmp_path / f"{it.dag_id}.py"), f"{it.dag_id}.py"
        Path(it.fileloc).write_text("# made by the fixture\n")
        for task in it.tasks:
            task.retry_delay = task.retry_delay * 0
        bag.bag_dag(it)
    sync_bag_to_db(bag, "dags-folder", None)
    made = Releases(dag, others, outside, apps, config)

    def answered(operator: Any, context: Any) -> Any:
        by = made.second if operator.task_id == "urgent_approval" else made.by
        event: dict[str, Any] = {
            "chosen_options": [made.answer],
            "params_input": {},
            "responded_at": datetime.now(timezone.utc),
            "responded_by_user": {"id": by, "name": by},
        }
        if made.late:
            event = {"error": "late", "error_type": "timeout"}
        return operator.execute_complete(context, event)

    monkeypatch.setattr(HITLOperator, "execute", answered)
    yield made
    with contextlib.suppress(Exception):
        bag.dags.clear()
