"""What is planned, and that of two plans for one window only one is taken."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from release_pipelines.adapters.history import History, UnknownRelease, open_history
from release_pipelines.core.model.records import Plan
from tests.adapters.history.conftest import artifact
from tests.databases import postgres as postgres
from tests.databases import postgres_server as postgres_server

START = "2026-11-28 22:30 Europe/Berlin"


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/history.db"
    return str(request.getfixturevalue("postgres"))


def begin(history: History, name: str, version: str, app: str = "shop") -> str:
    release = f"release_{app}/{name}#0"
    history.begin(release, app, f"release_{app}", name, version, "alice")
    return release


def always(_: str) -> bool:
    return True


def never(_: str) -> bool:
    return False


def test_a_plan_is_listed_until_its_release_begins_or_ends(history: History) -> None:
    one, two = begin(history, "one", "1.1.0"), begin(history, "two", "1.2.0")
    assert history.plan(one, "production", START, never) is None
    assert history.plan(two, "production", "2026-12-05 22:30", never) is None
    assert history.plans("shop")[0] == Plan(
        release=one, app="shop", version="1.1.0", environment="production", start_at=START, requester="alice"
    )
    assert [it.version for it in history.plans()] == ["1.1.0", "1.2.0"]
    assert history.plans("cart") == []
    history.record_event(one, "window", "It may begin.", None, {"began_at": 1.0, "environment": "staging"})
    history.record_event(one, "deployed", "Deployed.", "staging")
    assert [it.version for it in history.plans("shop")] == ["1.1.0", "1.2.0"]
    history.record_event(one, "window", "It may begin.", None, {"began_at": 1.0, "environment": "production"})
    history.finish(two, "aborted", "Aborted.")
    assert history.plans("shop") == []


def test_a_plan_of_an_earlier_version_is_known_by_its_event(history: History) -> None:
    one = begin(history, "one", "1.1.0")
    history.record_event(one, "planned", f"Planned for {START}.", "production", {"start_at": START})
    assert [(it.environment, it.start_at) for it in history.plans()] == [("production", START)]
    history.record_event(one, "deployed", "Deployed.", "production")
    assert history.plans() == []


def test_planning_the_same_again_changes_nothing(history: History) -> None:
    one = begin(history, "one", "1.1.0")
    for _ in range(2):
        history.plan(one, "production", START, always)
        history.record_event(one, "checked", "Checked.")
    assert [it.kind for it in history.release(one).events].count("planned") == 1


def test_a_planned_version_has_not_reached_its_environment(history: History) -> None:  # R1
    one = begin(history, "one", "1.1.0")
    history.plan(one, "production", START, never)
    history.record_artifact(one, artifact("1.1.0", "a"))
    assert history.artifact_of("shop", "1.1.0") is None


def test_a_release_that_has_not_begun_cannot_be_planned(history: History) -> None:
    with pytest.raises(UnknownRelease):
        history.plan("release_shop/none#0", "production", START, never)


def test_a_plan_stands_in_the_way_of_another_one_of_its_app_alone(history: History) -> None:
    one, two, cart = (
        begin(history, "one", "1.1.0"),
        begin(history, "two", "1.2.0"),
        begin(history, "c", "3.0.0", "cart"),
    )
    assert history.plan(one, "production", START, always) is None
    assert history.plan(cart, "production", START, always) is None
    found = history.plan(two, "production", START, always)
    assert found is not None
    assert (found.release, found.start_at) == (one, START)
    assert [it.release for it in history.plans("shop")] == [one]


def test_of_plans_for_one_window_at_one_instant_one_is_taken(address: str) -> None:
    releases = [begin(open_history(address), str(n), f"1.{n}.0") for n in range(6)]
    gate = threading.Barrier(len(releases))
    taken: list[str] = []
    refused: list[str] = []

    def plan(release: str) -> None:
        history = open_history(address)
        gate.wait()
        other = history.plan(release, "production", START, always)
        (refused if other else taken).append(release)
        if other:
            refused_by.add(other.release)

    refused_by: set[str] = set()
    threads = [threading.Thread(target=plan, args=[it]) for it in releases]
    for it in threads:
        it.start()
    for it in threads:
        it.join()
    assert len(taken) == 1
    assert len(refused) == 5
    assert refused_by == set(taken)
    assert [it.release for it in open_history(address).plans("shop")] == taken
