"""What is away, refused or broken: the run fails, says so in one sentence (R12), and leaves nothing half-done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from release_pipelines.adapters.history import History, HistoryUnavailable
from release_pipelines.adapters.history.questions import Questions
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.traffic import share_with
from tests.adapters.history.conftest import free_port
from tests.fakes import GOOD, NEW
from tests.pipeline.conftest import Releases, moves

NO_RIGHTS = "The connection's account may not do this in namespace shop: patch deployments.apps."
NO_CLUSTER = "Kubernetes at https://127.0.0.1:6443 does not answer: connection refused."


def untouched(releases: Releases) -> bool:
    """Nothing was changed anywhere, and nobody holds a lease."""
    worlds = (releases.staging, releases.production)
    return not any(world.writes for world in worlds) and all(world.lease is None for world in worlds)


@pytest.mark.parametrize("error", [Forbidden(NO_RIGHTS), PlatformUnavailable(NO_CLUSTER)], ids=["rights", "cluster"])
def test_a_platform_that_is_away_or_refuses_stops_a_release_before_it_begins(
    releases: Releases, error: PlatformError
) -> None:
    def refuse(call: str) -> None:
        if call == "check":
            raise error

    releases.runs("1.0.0")
    releases.production.before = refuse
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "failed")
    assert done.sentence == f"Failed 1.1.0 before production was changed: {error}"
    assert untouched(releases)


def test_metrics_that_are_away_from_the_start_stop_a_release_before_it_begins(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:  # R3
    port = free_port()
    connection = {"conn_type": "generic", "host": f"http://127.0.0.1:{port}"}
    monkeypatch.setenv("AIRFLOW_CONN_PROMETHEUS", json.dumps(connection))
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert done.sentence == (
        "Failed 1.1.0 before production was changed: "
        f"Prometheus at http://127.0.0.1:{port} does not answer: connection refused."
    )
    assert untouched(releases)


def at_10(releases: Releases, happens: Callable[[], None]) -> None:
    """Let something happen when the canary has its 10 %."""

    def look(call: str) -> None:
        route = releases.production.route
        if route and route.traffic.weight("canary") == 10:
            happens()

    releases.production.after = look


def test_metrics_that_go_away_in_mid_step_send_the_release_back(releases: Releases) -> None:  # R3
    releases.runs("1.0.0")
    at_10(releases, lambda: setattr(releases.outside, "away", True))
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "rolled_back")
    assert done.sentence == (
        "Rolled back 1.1.0 at 10 %: could not measure error rate: "
        f"Prometheus at {releases.outside.url} answers with status 503, where numbers are expected, "
        "traffic is back on 1.0.0."
    )
    assert moves(releases.production) == [10, 0]


def test_a_version_that_the_registry_does_not_have_is_named(releases: Releases) -> None:
    releases.runs("1.0.0")
    done = releases.release("9.9.9")
    assert done.sentence == (
        f"Failed 9.9.9 before production was changed: The registry has no image {releases.outside.host}/shop:9.9.9: "
        "push it, or name another version."
    )
    assert untouched(releases)


def test_a_version_that_cannot_run_in_staging_goes_no_further(releases: Releases) -> None:  # R7
    releases.runs("1.0.0")
    why = "shop-staging-stable-0 does not serve port 8080"
    releases.staging.broken[NEW] = why
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "failed")
    assert done.sentence == f"Failed 1.1.0 before production was changed: 1.1.0 did not become ready: {why}."
    assert releases.staging.tracks["stable"].digest == GOOD
    assert releases.staging.lease is None
    assert not releases.production.writes


def test_a_version_that_cannot_run_in_production_gets_no_traffic(releases: Releases) -> None:  # R5, R7
    releases.runs("1.0.0")
    releases.production.broken[NEW] = "keeps ending: exit code 1, restarted 3 times"
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "rolled_back")
    assert done.sentence == (
        "Rolled back 1.1.0: 1.1.0 did not become ready: keeps ending: exit code 1, restarted 3 times, "
        "traffic is back on 1.0.0."
    )
    assert set(moves(releases.production)) <= {0}
    assert set(releases.production.tracks) == {"stable"}
    assert releases.production.lease is None


def test_an_approval_that_nobody_gives_leaves_production_alone(releases: Releases) -> None:  # R10
    releases.runs("1.0.0")
    releases.late = True
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "expired")
    assert done.sentence == "Expired 1.1.0: no answer by bob within 1 d."
    assert not releases.production.writes
    assert releases.staging.tracks["stable"].digest == GOOD


class Standby:
    """The history as a standby: it reads and does not write, or does not answer at all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def begins(self) -> None:
        """A failover, or a full disk."""
        self.monkeypatch.setattr(History, "_write", self._refuse)

    def is_away(self) -> None:
        """Nobody answers."""
        self.monkeypatch.setattr(Questions, "_read", self._refuse)
        self.begins()

    def ends(self) -> None:
        """It writes again."""
        self.monkeypatch.undo()

    @staticmethod
    def _refuse(*_: object, **__: object) -> NoReturn:
        raise HistoryUnavailable("The release history at db does not answer: cannot execute UPDATE in a read-only ….")


@pytest.fixture
def standby() -> Iterator[Standby]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield Standby(monkeypatch)


@pytest.mark.parametrize("away", [False, True], ids=["reads", "away"])
def test_a_history_that_takes_nothing_stops_no_rollback_and_is_told_later(
    releases: Releases, standby: Standby, away: bool
) -> None:  # R8
    releases.runs("1.0.0")
    releases.outside.bad = 0.2
    at_10(releases, standby.is_away if away else standby.begins)
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "rolled_back"), done.sentence
    assert releases.production.tracks["stable"].digest == GOOD
    assert moves(releases.production) == [10, 0]
    standby.ends()
    detail = HistoryHook().history().releases("shop")[0]
    told = HistoryHook().history().release(detail.id)
    assert (told.version, told.outcome, told.sentence) == ("1.1.0", "rolled_back", done.sentence)
    assert {"back_up", "rollback", "verified"} <= {it.kind for it in told.events}
    assert [it.judgement for it in told.verdicts][-1] == "fail"


def test_a_version_that_held_is_released_also_when_the_history_cannot_be_told(
    releases: Releases, standby: Standby
) -> None:
    releases.runs("1.0.0")
    at_10(releases, standby.begins)
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    standby.ends()
    row = HistoryHook().history().releases("shop")[0]
    assert (row.version, row.outcome, row.promoted_at is not None) == ("1.1.0", "released", True)


@pytest.mark.parametrize(("version", "outcome"), [("1.0.0", "rolled_back"), ("0.9.0", "failed")])
def test_a_person_goes_back_to_what_the_route_names_while_the_history_is_away(
    releases: Releases, standby: Standby, version: str, outcome: str
) -> None:  # R8
    releases.runs("1.0.0")
    route = releases.production.route
    assert route is not None
    releases.production.runs("canary", Artifact(app="shop", version="1.1.0", image="shop", digest=NEW))
    releases.production.route = route.model_copy(update={"traffic": share_with("canary", 50)})
    standby.is_away()
    done = releases.roll_back(app="shop", version=version, reason="prices are wrong")
    assert done.outcome == outcome, done.sentence
    standby.ends()
    rows = HistoryHook().history().releases("shop")
    assert [it.outcome for it in rows] == ["rolled_back", "released"][-len(rows) :]
    assert (len(rows) == 2) == (outcome == "rolled_back")
