"""What speaks against a version: only what it did itself, only where it did it, and until a person lifts it (R8)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.history import History, UnknownRelease, open_history
from release_pipelines.core.model.outcome import Outcome
from release_pipelines.core.model.verdict import Verdict
from tests.adapters.history.conftest import artifact, digest

PRODUCTION, STAGING = "production", "staging"


@pytest.fixture(params=["sqlite", "postgresql"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> History:
    """1.0.0 and 1.1.0 were promoted and held."""
    url = f"sqlite:///{tmp_path}/history.db"
    it = open_history(url if request.param == "sqlite" else request.getfixturevalue("postgres"))
    for number, (version, letter) in enumerate([("1.0.0", "a"), ("1.1.0", "b")]):
        name = begins(it, f"first-{number}", version, letter)
        it.promoted(name)
        it.finish(name, "released", f"Released {version}.")
    return it


def begins(history: History, run: str, version: str = "1.1.0", letter: str = "b", dag: str = "release_shop") -> str:
    name = f"{dag}/{run}#0"
    history.begin(name, "shop", dag, run, version, "ann")
    history.record_artifact(name, artifact(version, letter))
    return name


def judged(history: History, name: str, judgement: Any, environment: str = PRODUCTION) -> None:
    verdict = Verdict(judgement=judgement, decided_at=time.time(), step="step_10", weight=10, sentence=judgement)
    history.record_verdict(name, environment, verdict, [])


def good(history: History, environment: str) -> str | None:
    found = history.last_good("shop", environment)
    return found.version if found else None


def test_a_release_of_a_later_run_that_speaks_for_nothing_changes_nothing(history: History) -> None:
    name = begins(history, "again")
    history.mark(name, PRODUCTION, False, "Aborted 1.1.0 at 10 %: carol: the network is being changed.")
    history.finish(name, "aborted", "Aborted 1.1.0 at 10 %: carol: the network is being changed.")
    assert good(history, PRODUCTION) == "1.1.0"


def test_a_version_is_bad_only_where_it_went_wrong(history: History) -> None:
    name = begins(history, "again")
    history.mark(name, PRODUCTION, True, "Rolled back 1.1.0: error rate 5 %.")
    history.finish(name, "rolled_back", "Rolled back 1.1.0: error rate 5 %.")
    assert (good(history, PRODUCTION), good(history, STAGING)) == ("1.0.0", "1.1.0")
    [it] = [it for it in history.stability("shop", PRODUCTION) if it.version == "1.1.0"]
    assert it.why == "it went wrong later: Rolled back 1.1.0: error rate 5 %."
    with pytest.raises(UnknownRelease, match="nothing to go back to: it went wrong later"):
        history.good_version("shop", PRODUCTION, "1.1.0")
    assert history.good_version("shop", STAGING, "1.1.0").version == "1.1.0"


def test_what_speaks_against_a_version_can_be_lifted_once(history: History) -> None:
    name = begins(history, "again")
    history.mark(name, PRODUCTION, True, "Rolled back 1.1.0: its database was away.")
    history.finish(name, "rolled_back", "Rolled back 1.1.0: its database was away.")
    [lifted] = history.lift("shop", "1.1.0", PRODUCTION, "carol", "not its fault")
    assert (lifted.release, lifted.lifted_by, lifted.lifted_because) == (name, "carol", "not its fault")
    assert history.lift("shop", "1.1.0", PRODUCTION, "dave", "me too") == []
    history.mark(name, PRODUCTION, True, "The last task was run again.")
    assert good(history, PRODUCTION) == "1.1.0"
    [it] = [it for it in history.stability("shop", PRODUCTION) if it.version == "1.1.0"]
    assert [(mark.lifted_by, mark.sentence) for mark in it.marks] == [
        ("carol", "Rolled back 1.1.0: its database was away.")
    ]
    assert "carol lifted: Rolled back 1.1.0: its database was away" in it.why
    events = [event.sentence for event in history.release(name).events if event.kind == "lifted"]
    assert events == ["carol lifted what speaks against 1.1.0 in production: not its fault"]
    with pytest.raises(UnknownRelease, match="no release of shop 9"):
        history.lift("shop", "9", PRODUCTION, "carol", "?")


# --- what versions from before the marks have recorded --------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "environment", "judgement", "production"),
    [
        ("rolled_back", PRODUCTION, "fail", "1.0.0"),
        ("rollback_failed", PRODUCTION, "fail", "1.0.0"),
        ("rolled_back", PRODUCTION, None, "1.0.0"),
        ("rolled_back", PRODUCTION, "error", "1.1.0"),
        ("rolled_back", PRODUCTION, "inconclusive", "1.1.0"),
        ("rolled_back", STAGING, None, "1.1.0"),
        ("aborted", PRODUCTION, None, "1.1.0"),
        ("aborted", None, None, "1.1.0"),
        ("failed", None, None, "1.1.0"),
        (None, PRODUCTION, "fail", "1.0.0"),
        (None, STAGING, "fail", "1.1.0"),
        ("rolled_back", None, None, "1.0.0"),
    ],
)
def test_an_old_record_is_judged_as_well_as_it_can_be(
    history: History, outcome: Outcome | None, environment: str | None, judgement: str | None, production: str
) -> None:
    name = begins(history, "again")
    if judgement:
        judged(history, name, judgement, environment or PRODUCTION)
    if environment:
        history.record_event(name, "rollback", "all traffic back", environment)
    if outcome:
        history.finish(name, outcome, f"{outcome} 1.1.0.")
    assert good(history, PRODUCTION) == production


def test_an_old_record_can_be_lifted_where_it_counts(history: History) -> None:
    name = begins(history, "again", dag="release_rollback")
    history.record_event(name, "rollback", "all traffic back", PRODUCTION)
    history.finish(name, "rolled_back", "Rolled back 1.1.0: carol: prices are wrong.")
    assert history.lift("shop", "1.1.0", STAGING, "carol", "?") == []
    [lifted] = history.lift("shop", "1.1.0", PRODUCTION, "carol", "the prices were wrong before")
    assert lifted.sentence == "Rolled back 1.1.0: carol: prices are wrong."
    assert good(history, PRODUCTION) == "1.1.0"


def test_pruning_keeps_what_is_good_in_each_environment(history: History) -> None:
    name = begins(history, "again")
    history.record_event(name, "rollback", "all traffic back", PRODUCTION)
    history.record_event(name, "deployed", "1.1.0 on stable", STAGING)
    history.mark(name, PRODUCTION, True, "Rolled back 1.1.0.")
    history.finish(name, "rolled_back", "Rolled back 1.1.0.")
    history.prune(-1)
    assert (good(history, PRODUCTION), good(history, STAGING)) == ("1.0.0", "1.1.0")
    assert {it.digest for it in history.releases("shop")} == {digest("a"), digest("b")}
