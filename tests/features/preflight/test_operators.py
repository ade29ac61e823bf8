"""Before anything is changed: whoever is called when a rollback fails can be reached (R8)."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException

from release_pipelines.adapters.metrics.prometheus import PrometheusReader
from release_pipelines.airflow import stable
from release_pipelines.airflow.hooks import platform as hook
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.prometheus import PrometheusHook
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import Traffic
from release_pipelines.features.build.feature import BuildFeature
from release_pipelines.features.preflight.operators import PreflightOperator
from release_pipelines.spec.feature import Problem
from release_pipelines.spec.frozen import freeze, remember, thaw
from release_pipelines.spec.release import ReleaseSpec, load_release
from tests.fakes import GOOD, NEW, FakePlatform, World, artifact
from tests.features.helpers import Ti
from tests.features.outcome.test_operators import spec


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """1.0.0 serves, and the metrics service answers."""
    it = World()
    it.runs("stable", artifact("1.0.0", GOOD))
    monkeypatch.setattr(hook, "_build", lambda *_: it.platform())
    monkeypatch.setattr(PrometheusHook, "check", lambda self: None)
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    for name in ("PLATFORM", "REGISTRY"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic"}))
    return it


def preflight(
    folder: Path, by: str | None = "alice", run_id: str = "one", of: ReleaseSpec | None = None, **params: str
) -> Any:
    task = PreflightOperator(task_id="preflight", spec=of or spec(folder, "[{kind: webhook, connection: hook}]"))
    run = SimpleNamespace(dag_id="release_shop", run_id=run_id, clear_number=0, conf={}, triggering_user_name=by)
    context: Any = {"ti": Ti(), "dag_run": run, "params": {"version": "1.1.0", **params}}
    return task.execute(context)


def test_a_receiver_without_a_connection_stops_a_release_before_it_begins(tmp_path: Path) -> None:  # R12
    with pytest.raises(AirflowFailException) as caught:
        preflight(tmp_path)
    assert str(caught.value) == (
        "notify in production.yaml: webhook hook cannot be told: there is no Airflow connection `hook`. "
        "To release all the same give `urgent_reason`."
    )


def test_what_may_be_meant_otherwise_in_the_file_is_said_to_the_approver_and_kept(
    tmp_path: Path,
) -> None:  # R12, R13
    clear = spec(tmp_path, "[{kind: log}]")
    (tmp_path / "shop.yaml").write_text((tmp_path / "shop.yaml").read_text().replace("limit: 1%", "limit: 1"))
    doubtful = load_release(tmp_path / "shop.yaml", tmp_path / "config", tmp_path)
    sentence = "shop.yaml: analysis.metrics[0].limit: 1 is read as 100 %: `1%` if that is meant, else `100%`"
    for name, of, expected in (("clear", clear, False), ("doubtful", doubtful, True)):
        assert (sentence in preflight(tmp_path, run_id=name, of=of)["uses"]) is expected
        history = HistoryHook().history()
        noticed = [it.sentence for it in history.release(f"release_shop/{name}#0").events if it.kind == "noticed"]
        assert (sentence in noticed) is expected
        history.finish(f"release_shop/{name}#0", "failed", "Failed.")
        thaw(f"release_shop/{name}#0")


def test_an_urgent_release_goes_on_without_its_receivers(tmp_path: Path) -> None:
    assert preflight(tmp_path, urgent_reason="the shop is down")["version"] == "1.1.0"


def test_a_receiver_that_can_be_told_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps({"conn_type": "http", "host": "http://127.0.0.1:1"}))
    assert preflight(tmp_path)["version"] == "1.1.0"


def test_what_runs_and_cannot_be_named_stops_a_release_before_it_begins(
    tmp_path: Path, world: World
) -> None:  # R8, R17
    seen = {"digest": None, "version": "latest", "image": "elsewhere.example/shop"}
    world.tracks["stable"] = world.tracks["stable"].model_copy(update=seen)
    with pytest.raises(AirflowFailException) as caught:
        preflight(tmp_path, urgent_reason="the shop is down")
    assert str(caught.value) == (
        "What stable of shop runs in production cannot be named: its replicas of elsewhere.example/shop:latest name no digest, "
        "and its image is not of the registry of connection `registry`. So there would be no way back to it. Nothing was "
        "changed; an image by its digest, or by a tag that the registry knows, is expected there."
    )


def test_a_stable_that_is_not_ready_is_no_first_release(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:  # R17
    monkeypatch.setattr(stable, "COMING_SECONDS", 0.0)
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps({"conn_type": "http", "host": "http://127.0.0.1:1"}))
    world.breaks("stable")
    with pytest.raises(AirflowFailException, match=r"stable \(1\.0\.0\) is not healthy in production: 0 of 2 replicas"):
        preflight(tmp_path)
    world.breaks("stable", "a crash loop")
    assert preflight(tmp_path, urgent_reason="the shop is down")["way_back"] == "first release: there is none"


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus, and somebody who can be told."""
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps({"conn_type": "http", "host": "http://127.0.0.1:1"}))
    for name in ("METRICS", "PROMETHEUS"):
        monkeypatch.setenv(
            f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "prometheus", "host": "http://127.0.0.1:1"})
        )


def said(monkeypatch: pytest.MonkeyPatch, number: float | None) -> None:
    async def query(self: Any, promql: str, at: float) -> float | None:
        return number

    monkeypatch.setattr(PrometheusReader, "query", query)


@pytest.mark.usefixtures("metrics")
def test_metrics_that_can_never_be_measured_stop_a_release_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said(monkeypatch, None)
    with pytest.raises(AirflowFailException, match="Prometheus has no traefik_service_requests_total of stable"):
        preflight(tmp_path)
    assert preflight(tmp_path, urgent_reason="the shop is down")["version"] == "1.1.0"


@pytest.mark.usefixtures("metrics")
def test_metrics_that_are_there_of_stable_are_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said(monkeypatch, 1.0)
    assert preflight(tmp_path)["version"] == "1.1.0"


@pytest.mark.usefixtures("metrics")
def test_without_a_stable_nobody_asks_for_its_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said(monkeypatch, None)
    monkeypatch.setattr(hook, "_build", lambda *_: World().platform())
    assert preflight(tmp_path)["version"] == "1.1.0"


def test_a_route_that_cannot_take_a_split_of_a_stage_stops_a_release_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    async def check_traffic(self: FakePlatform, target: Target, splits: list[Traffic]) -> None:
        asked.extend(it.weight("canary") for it in splits)
        raise PlatformError("HTTP rule 0 of VirtualService shop sends to stable's Service 2 times.")

    monkeypatch.setattr(FakePlatform, "check_traffic", check_traffic, raising=False)
    with pytest.raises(AirflowFailException, match="rule 0 of VirtualService shop"):
        preflight(tmp_path, urgent_reason="the shop is down")
    assert asked[0] == 0
    assert asked[-1] == 100


RECEIVER = "[{kind: webhook, connection: hook}]"


@pytest.mark.usefixtures("metrics")
def test_a_release_waits_for_one_that_keeps_an_older_file_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # R12
    said(monkeypatch, 1.0)
    freeze("release_shop/before#0", spec(tmp_path, RECEIVER))
    remember(spec(tmp_path, "[{kind: log}]"))
    with pytest.raises(AirflowRescheduleException):
        preflight(tmp_path)
    thaw("release_shop/before#0")
    assert preflight(tmp_path)["version"] == "1.1.0"


@pytest.mark.usefixtures("metrics")
def test_releases_of_one_file_do_not_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said(monkeypatch, 1.0)
    freeze("release_shop/before#0", spec(tmp_path, RECEIVER))
    remember(spec(tmp_path, RECEIVER))
    assert preflight(tmp_path)["version"] == "1.1.0"


def test_a_version_that_cannot_be_built_is_refused_and_one_that_was_built_before_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # R1, R12
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps({"conn_type": "http", "host": "http://127.0.0.1:1"}))
    asked: list[str] = []

    def before_build(self: Any, spec: Any, version: str) -> list[Problem]:
        asked.append(version)
        return [Problem(f"No tag carries {version}.")]

    monkeypatch.setattr(BuildFeature, "before_build", before_build)
    with pytest.raises(AirflowFailException, match=r"^No tag carries 1\.1\.0\.$"):
        preflight(tmp_path, urgent_reason="the shop is down")
    history = HistoryHook().history()
    assert [it.version for it in history.releases("shop")] == ["1.1.0"]
    history.begin("release_shop/before#0", "shop", "release_shop", "before", "1.1.0", "carol")
    history.record_artifact("release_shop/before#0", artifact("1.1.0", NEW))
    history.promoted("release_shop/before#0")
    assert preflight(tmp_path)["known"]["digest"] == NEW
    assert asked == ["1.1.0"]


@pytest.mark.usefixtures("metrics")
def test_a_run_that_a_robot_starts_is_asked_for_by_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # R10
    said(monkeypatch, 1.0)
    found = preflight(tmp_path, by="robot", run_id="robot", requested_by="carol@example.org")
    assert (found["requester"], found["started_by"]) == ("carol@example.org", "robot")
    kept = HistoryHook().history().release("release_shop/robot#0")
    assert (kept.requester, kept.started_by) == ("carol@example.org", "robot")


@pytest.mark.parametrize(("by", "named"), [("bob", ""), ("robot", "bob@example.org"), (None, "bob")])
def test_a_release_that_nobody_else_may_approve_is_refused_before_it_is_built(
    tmp_path: Path, by: str | None, named: str
) -> None:  # R10
    with pytest.raises(AirflowFailException, match=r"Nobody is left who may approve: .*bob.* asks for the release"):
        preflight(tmp_path, by=by, requested_by=named)


@pytest.mark.parametrize("version", ["banana", "", "1.1.0; rm", "9" * 300])
def test_a_version_that_is_none_is_refused_and_stands_in_the_history(tmp_path: Path, version: str) -> None:  # R9
    run_id = f"run-{len(version)}-{version[:3]}"
    with pytest.raises(AirflowFailException):
        preflight(tmp_path, run_id=run_id, version=version)
    kept = HistoryHook().history().release(f"release_shop/{run_id}#0")
    assert kept.version.startswith(version[:5] or "unknown")


@pytest.mark.usefixtures("metrics")
def test_an_approver_whom_airflow_does_not_know_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # R10
    said(monkeypatch, 1.0)
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "alice:user,carol:user")
    assert "SimpleAuthManager has no user bob: nobody can answer by that name" in preflight(tmp_path)["uses"]
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "alice:user,bob:user")
    assert "has no user" not in preflight(tmp_path)["uses"]
