"""The DAG's task and the public operator: what they keep of looks at platforms that answer, refuse, hang or are not there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.history import History
from release_pipelines.airflow import observing as looking
from release_pipelines.airflow.hooks import platform as platform_hook
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.errors import Forbidden, PlatformUnavailable
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.sighting import Sighting
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.features.observations.operators import ObserveAppsOperator, ObserveOperator
from tests.fakes import NEW, FakePlatform, FakePrometheus, World, artifact, target
from tests.features.helpers import Ti

APP = "name: {}\n"
ENVIRONMENT = """\
platform: container_host
connections: {platform: platform, registry: registry, prometheus: prometheus}
address: {url: "http://127.0.0.1:1", host: "{app}.localhost"}
approvers: [bob, carol]
"""


class Outside:
    """All environments of all apps, each a world of its own."""

    def __init__(self) -> None:
        self.worlds: dict[tuple[str, str], World] = {}

    def world(self, app: str = "shop", environment: str = "production") -> World:
        if (app, environment) not in self.worlds:
            world = self.worlds[app, environment] = World()
            world.runs("stable", artifact())
            world.route = Route(traffic=ALL_TO_STABLE, note=RouteNote(traffic=ALL_TO_STABLE, last_good=artifact()))
        return self.worlds[app, environment]

    def platform(self, target: Target, *_: Any, **__: Any) -> FakePlatform:
        return self.world(target.app, target.environment).platform()


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Outside:
    it = Outside()
    monkeypatch.setattr(platform_hook, "_build", it.platform)
    for name in ("PLATFORM", "REGISTRY"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic"}))
    history = {"conn_type": "sqlite", "host": f"{tmp_path}/history.db"}
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", json.dumps(history))
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    return it


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The apps `shop` and `cart`, each in staging and production."""
    for name in ("apps", "config"):
        (tmp_path / name).mkdir()
    for app in ("shop", "cart"):
        (tmp_path / "apps" / f"{app}.yaml").write_text(APP.format(app))
    for environment in ("staging", "production"):
        (tmp_path / "config" / f"{environment}.yaml").write_text(ENVIRONMENT)
    return tmp_path


@pytest.fixture
def history(outside: Outside) -> History:
    return HistoryHook().history()


def look(**more: Any) -> dict[str, Any]:
    context: Any = {"ti": Ti()}
    return ObserveOperator(task_id="observe", target=target(), **more).execute(context)


def look_at_all(project: Path) -> dict[str, int]:
    context: Any = {"ti": Ti()}
    return ObserveAppsOperator(task_id="observe", apps=project / "apps", config=project / "config").execute(context)


def rows(history: History) -> dict[tuple[str, str], Sighting]:
    return {(it.app, it.environment): it for it in history.observations()}


def test_every_environment_of_every_app_has_a_row(outside: Outside, history: History, project: Path) -> None:
    assert look_at_all(project) == {"looked_at": 4, "not_observed": 0, "drift": 0}
    found = rows(history)
    assert set(found) == {(app, where) for app in ("shop", "cart") for where in ("staging", "production")}
    row = found["cart", "staging"]
    assert (row.digest, row.version, row.failure, row.track("stable").ready) == (NEW, "1.1.0", None, 2)


def test_looking_writes_nothing_but_its_rows(outside: Outside, history: History, project: Path) -> None:
    look_at_all(project)
    assert [world.writes for world in outside.worlds.values()] == [[], [], [], []]
    assert {call for world in outside.worlds.values() for call in world.calls} == {"observe"}
    assert history.releases() == []


def test_an_app_whose_file_is_broken_is_looked_at_as_it_was_last_valid(
    outside: Outside, history: History, project: Path
) -> None:
    look_at_all(project)
    (project / "apps" / "cart.yaml").write_text("name: cart\nstrategy: 7\n")
    assert look_at_all(project)["looked_at"] == 4


def test_one_that_does_not_answer_takes_no_other_with_it(outside: Outside, history: History, project: Path) -> None:
    look_at_all(project)
    first = rows(history)["shop", "production"]

    def away(call: str) -> None:
        raise PlatformUnavailable("The cluster does not answer.")

    outside.world().before = away
    assert look_at_all(project)["not_observed"] == 1
    row = rows(history)["shop", "production"]
    assert (row.failure, row.observed_at, row.digest) == ("The cluster does not answer", first.observed_at, NEW)
    assert row.looked_at > first.looked_at
    assert row.failed_since == row.looked_at
    assert rows(history)["cart", "production"].failure is None
    outside.world().before = lambda call: None
    look_at_all(project)
    row = rows(history)["shop", "production"]
    assert (row.failure, row.failed_since, row.observed_at) == (None, None, row.looked_at)


def test_one_that_hangs_is_given_up_and_was_not_observed(
    outside: Outside, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(self: FakePlatform, target: Target) -> Any:
        await asyncio.sleep(3600)

    monkeypatch.setattr(looking, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(FakePlatform, "observe", hangs)
    row = look()
    assert row["failure"] == "the platform does not answer within 0.05 s"
    assert row["observed_at"] is None


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (Forbidden("May not get deployments."), "May not get deployments"),
        (KeyError("spec"), "an unforeseen KeyError; the log of the look says more"),
    ],
)
def test_what_a_platform_refuses_or_breaks_is_a_sentence(
    outside: Outside, history: History, error: Exception, sentence: str
) -> None:
    def fails(call: str) -> None:
        raise error

    outside.world().before = fails
    assert look()["failure"] == sentence


def test_a_connection_that_is_missing_is_a_sentence(
    outside: Outside, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_PLATFORM")
    assert "platform" in look()["failure"]


def test_stable_is_measured_by_the_apps_own_limits(
    outside: Outside, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = [
        {"name": "errors", "bad": "bad{stable}[{{ window }}]", "total": "all[{{ window }}]", "limit": "1%"},
        {"name": "cpu", "source": "cpu", "limit": "80%"},
    ]
    analysis = Analysis.model_validate({"metrics": metrics})

    async def measured(bad: float, total: float | None) -> dict[str, Any]:
        async with FakePrometheus(total=total) as prometheus:
            prometheus.bad = bad
            monkeypatch.setattr(prometheus, "is_new", lambda query: True)
            given = {"conn_type": "prometheus", "host": prometheus.url}
            monkeypatch.setenv("AIRFLOW_CONN_PROMETHEUS", json.dumps(given))
            return (await asyncio.to_thread(look, analysis=analysis))["health"]

    good, bad, few = (asyncio.run(measured(*it)) for it in ((0.002, 1000.0), (0.05, 1000.0), (0.0, 3.0)))
    assert (good["state"], [it["name"] for it in good["metrics"]]) == ("ok", ["errors"])
    assert (bad["state"], bad["sentence"]) == ("over", "errors: 5 %, limit 1 %")
    assert few["state"] == "not_measured"
    assert "3 events in the last 5 min, 20 are needed" in few["sentence"]


def test_metrics_that_do_not_answer_are_no_failed_look(
    outside: Outside, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = Analysis.model_validate({"metrics": [{"name": "errors", "bad": "b", "total": "t", "limit": "1%"}]})
    monkeypatch.setenv("AIRFLOW_CONN_PROMETHEUS", json.dumps({"conn_type": "prometheus", "host": "http://127.0.0.1:1"}))
    row = look(analysis=analysis)
    assert (row["failure"], row["version"], row["health"]["state"]) == (None, "1.1.0", "not_measured")
    monkeypatch.delenv("AIRFLOW_CONN_PROMETHEUS")
    row = look(analysis=analysis)
    assert (row["failure"], row["health"]["state"]) == (None, "not_measured")
    assert "prometheus" in row["health"]["sentence"]


def test_its_arguments_may_be_what_other_tasks_give(outside: Outside, history: History) -> None:
    context: Any = {"ti": Ti()}
    given = target().model_dump_json()
    row = ObserveOperator(task_id="observe", target=given, analysis="", every=300).execute(context)
    assert (row["version"], row["every"]) == ("1.1.0", 300)
