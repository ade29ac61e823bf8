"""Triggers against a world in memory and a Prometheus on a free port, looking often instead of every few seconds."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from release_pipelines.adapters.history import open_history
from release_pipelines.adapters.metrics.prometheus import PrometheusReader
from release_pipelines.airflow import commands as controls
from release_pipelines.airflow.hooks import platform as hook
from release_pipelines.core.progression import (
    capacity,
    decision,
    heartbeat,
    hold,
    meanwhile,
    promotion,
    rollout,
    stand_in,
    waiting,
)
from tests.fakes import GOOD, FakePrometheus, World, artifact


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (waiting, "RETRY_SECONDS"),
        (controls, "LOOK_SECONDS"),
        *((module, "LOOK_SECONDS") for module in (decision, hold, meanwhile)),
        *((module, "READY_LOOK_SECONDS") for module in (capacity, decision, hold)),
        (heartbeat, "LOOK_SECONDS"),
        (stand_in, "LOOK_SECONDS"),
        (stand_in, "YIELD_SECONDS"),
        (promotion, "LOOK_SECONDS"),
        (promotion, "SETTLE_SECONDS"),
        (rollout, "ADVANCE_SECONDS"),
        (rollout, "OBSERVE_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.02)


@pytest.fixture(scope="session")
def empty_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a history with its tables."""
    path = tmp_path_factory.mktemp("history") / "history.db"
    open_history(f"sqlite:///{path}").releases()
    return path


@pytest.fixture(autouse=True)
def _history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_history: Path) -> None:
    """A history of its own for every test."""
    shutil.copy(empty_history, tmp_path / "history.db")
    connection = {"conn_type": "sqlite", "host": f"{tmp_path}/history.db"}
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", json.dumps(connection))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Stable runs 1.0.0 with all traffic; the release ``r`` holds the lease with fence 1."""
    it = World()
    monkeypatch.setattr(hook, "_build", lambda *_: it.platform())
    for name in ("PLATFORM", "REGISTRY"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic"}))
    it.runs("stable", artifact("1.0.0", GOOD))
    return it


@pytest.fixture
async def prometheus(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakePrometheus]:
    """No request fails."""
    async with FakePrometheus() as it:
        monkeypatch.setenv("AIRFLOW_CONN_PROMETHEUS", json.dumps({"conn_type": "prometheus", "host": it.url}))
        yield it
        await PrometheusReader(it.url, {}).close()
