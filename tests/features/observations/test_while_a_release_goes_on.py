"""A release's own loops keep fresh what runs there, at the cost of one write for all releases of a process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from release_pipelines.adapters.history import History
from release_pipelines.airflow import progress
from release_pipelines.airflow.commands import CommandCache
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.observing import Look, keep
from release_pipelines.airflow.progress import SightingBoard, shower_of
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.sighting import Health, Sighting
from release_pipelines.core.model.track import BESIDE
from release_pipelines.core.model.traffic import ALL_TO_STABLE, share_with
from tests.fakes import NEW, World, artifact, target

OLD = f"sha256:{'0' * 64}"


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", json.dumps({"conn_type": "sqlite", "host": f"{tmp_path}/h.db"}))
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(progress, "SEEN_SECONDS", 0.02)
    monkeypatch.setattr("release_pipelines.airflow.commands.PATIENCE_SECONDS", 60.0)
    return HistoryHook().history()


def observed(weight: int = 0) -> Observed:
    world = World()
    world.runs("stable", artifact("1.0.0", OLD))
    if weight:
        world.runs("canary", artifact("1.1.0", NEW))
    split = share_with("canary", weight) if weight else ALL_TO_STABLE
    note = RouteNote(traffic=split, last_good=artifact("1.0.0", OLD))
    return Observed(tracks=dict(world.tracks), route=Route(traffic=split, note=note))


async def shown(*weights: int) -> None:
    show = shower_of(target())
    for it in weights:
        show(observed(it))
    board = SightingBoard.here()
    assert board._keeping is not None
    await board._keeping


def weights(row: Sighting) -> dict[str, int]:
    return {it.track: it.weight for it in row.tracks}


def test_what_a_loop_observes_last_is_what_is_kept(history: History) -> None:
    asyncio.run(shown(10, 25, 50))
    [row] = history.observations()
    assert weights(row) == {"stable": 50, "canary": 50}
    assert (row.digest, row.version) == (OLD, "1.0.0")


def test_it_keeps_what_the_dag_said_of_the_place(history: History) -> None:
    health = Health(state="ok", at=1.0, sentence="fine")
    keep(history, [Look(target(), 1.0, observed(), health)], every=300.0, of_file=True)
    asyncio.run(shown(10))
    [row] = history.observations()
    assert (row.every, row.of_file, row.health) == (300.0, True, health)
    assert weights(row) == {"stable": 90, "canary": 10}


def test_many_looks_are_one_write(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    write = CommandCache.write

    async def counted(self: CommandCache, call: object) -> None:
        writes.append(1)
        await write(self, call)  # type: ignore[arg-type]

    monkeypatch.setattr(CommandCache, "write", counted)
    asyncio.run(shown(*[10] * 500))
    assert len(writes) == 1


def test_a_history_that_is_away_stops_no_loop(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(self: CommandCache, call: object) -> None:
        raise OSError("away")

    monkeypatch.setattr(CommandCache, "write", away)
    asyncio.run(shown(10))
    assert history.observations() == []


def test_every_track_beside_stable_is_kept(history: History) -> None:
    what = observed()
    for it in BESIDE:
        status = what.track("stable").model_copy(update={"track": it})
        what = what.model_copy(update={"tracks": {**what.tracks, it: status}})
    keep(history, [Look(target(), 1.0, what)])
    [row] = history.observations()
    assert [it.track for it in row.tracks] == ["stable", *BESIDE]
