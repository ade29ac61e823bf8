"""What the history keeps, and what it answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, insert, text, update

from release_pipelines.adapters.history import (
    History,
    HistoryUnavailable,
    UnknownRelease,
    VersionTaken,
    open_history,
)
from release_pipelines.adapters.history.address import parts_in
from release_pipelines.adapters.history.listing import Listed, listed
from release_pipelines.adapters.history.missed import Missed
from release_pipelines.adapters.history.queries import direction_of
from release_pipelines.adapters.history.tables import commands, releases
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.outcome import Outcome
from release_pipelines.core.model.verdict import MetricVerdict, Verdict
from tests.adapters.history.conftest import artifact, digest


def release(history: History, number: int, version: str, letter: str, outcome: Outcome | None = "released") -> str:
    """A release from its beginning to its end."""
    name = f"release_shop/run_{number}#0"
    history.begin(name, "shop", "release_shop", f"run_{number}", version, "ann")
    history.record_artifact(name, artifact(version, letter))
    history.record_event(name, "deployed", f"Deployed {version}.", "staging")
    if outcome in ("released", None):
        history.promoted(name)
    if outcome:
        history.finish(name, outcome, f"{outcome} {version}.")
    return name


def test_a_release_is_told_from_its_beginning_to_its_end(history: History) -> None:  # R13
    name = release(history, 1, "1.0.0", "a", outcome=None)
    history.record_approval(name, digest("a"), "approved", "bob", "looks good")
    verdict = Verdict(
        judgement="pass",
        decided_at=12.5,
        step="weight_5",
        weight=5,
        metrics=[MetricVerdict(metric="errors", judgement="pass", value=0.001, limit=0.01, sentence="few errors")],
        sentence="Held at 5 %.",
    )
    sample = Sample(metric="errors", at=12.0, bad=1, total=1000, value=0.001, stable_bad=0, stable_total=9000)
    history.record_verdict(name, "production", verdict, [sample])
    history.finish(name, "released", "Released 1.0.0.")
    told = history.release(name)
    assert (told.outcome, told.sentence, told.requester, told.approver) == ("released", "Released 1.0.0.", "ann", "bob")
    assert [event.sentence for event in told.events] == ["Deployed 1.0.0."]
    assert told.verdicts[0].environment == "production"
    assert Verdict.model_validate(told.verdicts[0].model_dump(exclude={"environment"})) == verdict
    assert Sample.model_validate(told.measurements[0].model_dump(exclude={"environment", "step"})) == sample
    assert told.approvals[0].note == "looks good"
    assert told.ended_at is not None
    assert told.started_at <= told.ended_at


def test_a_command_that_only_another_version_knows_is_left_to_that_version(history: History) -> None:
    name = release(history, 1, "1.0.0", "a", outcome=None)
    history.command(name, "pause", "bob")
    with history._write() as connection:
        newer = {"release_id": name, "kind": "freeze", "by": "bob", "at": 1.0}
        connection.execute(insert(commands).values(newer))
    assert [it.kind for it in history.commands(name)] == ["pause"]
    assert [it.kind for it in history.commands_of([name])] == ["pause"]
    assert [it.kind for it in history.release(name).commands] == ["pause"]


def test_a_task_that_runs_twice_leaves_one_trace(history: History) -> None:  # R6
    name = release(history, 1, "1.0.0", "a", outcome=None)
    verdict = Verdict(judgement="pass", decided_at=1.0, step="bake", weight=100, sentence="Held.")
    samples = [Sample(metric="errors", at=1.0, bad=0, total=10)]
    for _ in range(2):
        history.begin(name, "shop", "release_shop", "run_1", "1.0.0", "eve")
        history.record_artifact(name, artifact("1.0.0", "a"))
        history.record_event(name, "drift", "Somebody set 30.", "production", {"weight": 30})
        history.record_verdict(name, "production", verdict, samples)
        history.record_approval(name, digest("a"), "approved", "bob")
        history.promoted(name)
        history.finish(name, "released", "Released.")
    told = history.release(name)
    assert told.requester == "ann"
    counts = [len(it) for it in (told.events, told.verdicts, told.measurements, told.approvals)]
    assert counts == [2, 1, 1, 1]  # the first event is that of the deployment


@pytest.mark.parametrize(
    ("first", "second", "stays"),
    [
        ("rolled_back", "aborted", "rolled_back"),
        ("failed", "released", "failed"),
        ("released", "rolled_back", "rolled_back"),
        ("rollback_failed", "rolled_back", "rolled_back"),
        ("rolled_back", "rollback_failed", "rollback_failed"),
    ],
)
def test_the_first_outcome_stays_unless_a_rollback_came_later(
    history: History, first: Outcome, second: Outcome, stays: Outcome
) -> None:  # R9
    name = release(history, 1, "1.0.0", "a", outcome=first)
    history.finish(name, second, f"{second} 1.0.0.")
    told = history.release(name)
    assert (told.outcome, told.sentence) == (stays, f"{stays} 1.0.0.")


def test_a_version_that_was_deployed_keeps_its_digest(history: History) -> None:  # R1
    release(history, 1, "1.0.0", "a")
    history.begin("second", "shop", "release_shop", "run_2", "1.0.0", "ann")
    with pytest.raises(
        VersionTaken, match=r"shop 1\.0\.0 has been deployed as sha256:a+ \(release release_shop/run_1#0\)"
    ):
        history.record_artifact("second", artifact("1.0.0", "b"))
    history.record_artifact("second", artifact("1.0.0", "a"))
    known = history.artifact_of("shop", "1.0.0")
    assert known == artifact("1.0.0", "a")


def test_a_version_that_reached_no_environment_may_be_built_again(history: History) -> None:  # R1
    history.begin("first", "shop", "release_shop", "run_1", "1.0.0", "ann")
    history.record_artifact("first", artifact("1.0.0", "a"))
    history.finish("first", "failed", "Failed 1.0.0: a finding.")
    assert history.artifact_of("shop", "1.0.0") is None
    history.begin("second", "shop", "release_shop", "run_2", "1.0.0", "ann")
    history.record_artifact("second", artifact("1.0.0", "b"))


def test_the_last_good_one_is_the_newest_that_held(history: History) -> None:  # R8
    assert history.last_good("shop") is None
    release(history, 1, "1.0.0", "a")
    release(history, 2, "1.1.0", "b")
    release(history, 3, "1.2.0", "c", outcome="rolled_back")
    release(history, 4, "1.3.0", "d", outcome="failed")
    assert history.last_good("shop") == artifact("1.1.0", "b")
    assert history.last_good("shop", excluding=digest("b")) == artifact("1.0.0", "a")
    assert history.last_good("other") is None


def test_a_digest_is_known_by_the_versions_as_which_it_was_promoted(history: History) -> None:
    release(history, 1, "1.0.0", "a")
    release(history, 2, "1.1.0", "b", "rolled_back")
    digest = artifact("1.0.0", "a").digest
    assert history.versions_of("shop", digest) == {"1.0.0"}
    assert history.versions_of("cart", digest) == set()
    assert history.versions_of("shop", artifact("1.2.0", "c").digest) == set()


def test_what_was_rolled_back_later_is_not_good_any_more(history: History) -> None:  # R8
    release(history, 1, "1.0.0", "a")
    release(history, 2, "1.1.0", "b")
    release(history, 3, "1.1.0", "b", outcome="rolled_back")
    assert history.last_good("shop") == artifact("1.0.0", "a")
    release(history, 4, "1.1.0", "b")
    assert history.last_good("shop") == artifact("1.1.0", "b")


def test_a_rollback_in_the_environment_counts_while_the_release_still_runs(history: History) -> None:  # R8
    release(history, 1, "1.0.0", "a")
    release(history, 2, "1.1.0", "b")
    history.begin("third", "shop", "release_shop", "run_3", "1.1.0", "ann")
    history.record_artifact("third", artifact("1.1.0", "b"))
    history.record_event("third", "rollback", "all traffic back", "production")
    assert history.last_good("shop", "production") == artifact("1.0.0", "a")
    assert history.last_good("shop", "staging") == artifact("1.1.0", "b")


def test_going_back_to_an_older_version_is_said(history: History) -> None:  # R17
    release(history, 1, "1.9.0", "a")
    release(history, 2, "1.10.0", "b")
    back = release(history, 3, "1.9.0", "a")
    assert [it.direction for it in history.releases("shop")] == ["backward", "forward", "forward"]
    assert history.release(back).direction == "backward"


@pytest.mark.parametrize(
    ("version", "last", "before", "expected"),
    [
        ("1.10.0", "1.9.0", False, "forward"),
        ("1.10.0-rc1", "1.10.0", False, "backward"),
        ("2026.11.22", "2026.11.23", False, "backward"),
        ("abc1234", "fff0000", False, "forward"),
        ("abc1234", "fff0000", True, "backward"),
        ("1.0.0", None, False, "forward"),
        ("1.0.0", "1.0.0", True, "forward"),
    ],
)
def test_direction(version: str, last: str | None, before: bool, expected: str) -> None:  # R17
    assert direction_of(version, last, released_before=before) == expected


def test_the_latest_answer_counts(history: History) -> None:  # R10
    name = release(history, 1, "1.0.0", "a", outcome=None)
    assert history.approval(name) is None
    history.record_approval(name, digest("a"), "approved", "bob")
    history.record_approval(name, digest("a"), "expired", None)
    answer = history.approval(name)
    assert answer is not None
    assert (answer.decision, answer.by, answer.digest) == ("expired", None, digest("a"))


def test_a_release_that_never_began_is_named(history: History) -> None:
    with pytest.raises(UnknownRelease, match="no release nothing"):
        history.record_event("nothing", "drift", "x")
    with pytest.raises(UnknownRelease, match="no release nothing"):
        history.release("nothing")


def test_a_release_is_found_by_app_or_by_how_its_id_begins(history: History) -> None:
    first = release(history, 1, "1.0.0", "a")
    second = release(history, 2, "1.1.0", "b")
    assert history.find("shop").id == second
    assert history.find("release_shop/run_1").id == first
    with pytest.raises(UnknownRelease, match="Several releases begin with release_shop/run_"):
        history.find("release_shop/run_")
    with pytest.raises(UnknownRelease, match="no app nowhere"):
        history.find("nowhere")


def test_pruning_keeps_the_last_good_release_and_what_still_runs(tmp_path: Path) -> None:
    history = open_history(f"sqlite:///{tmp_path}/history.db")
    release(history, 1, "1.0.0", "a")
    good = release(history, 2, "1.1.0", "b")
    release(history, 3, "1.2.0", "c", outcome="rolled_back")
    history.begin("running", "shop", "release_shop", "run_4", "1.3.0", "ann")
    assert history.prune(365) == 0
    with history._engine.begin() as connection:
        connection.execute(
            update(releases).where(releases.c.ended_at.is_not(None)).values(ended_at=time.time() - 400 * 86400)
        )
    assert history.prune(365) == 2
    assert {it.id for it in history.releases()} == {good, "running"}
    assert history.release(good).events


def test_text_of_any_kind_can_be_kept(history: History) -> None:
    name = release(history, 1, "1.0.0", "a", outcome=None)
    for _ in range(2):
        history.record_event(name, "drift", "\x1b[31mred\x1b[0m\0 and \ud800 half")
    history.attach(name, "incident.md", "text/markdown", "a\0b\nc\td")
    assert [event.sentence for event in history.release(name).events[1:]] == ["red and \ufffd half"]
    assert history.attachments(name)[0].content == "ab\nc\td"


LONG = "ü" * 3000


def test_text_from_outside_fits_its_columns(postgres: str) -> None:
    history = open_history(postgres)
    name = "release_shop/long#0"
    history.begin(name, "shop", "release_shop", "long", "1.0.0", LONG)
    for _ in range(2):
        history.record_event(name, "deployed" * 20, "NUL \0 here", LONG, {"log": "a\0b\ud800", "more": ["\0"]})
        history.record_approval(name, digest("a"), "approved", LONG, "\0")
    verdict = Verdict(judgement="fail", decided_at=1.0, step=LONG, weight=5, sentence="bad key 'ab\0'")
    history.record_verdict(name, LONG, verdict, [Sample(metric=LONG, at=1.0, error="no\0")])
    history.command(name, "abort", LONG, "\0")
    history.finish(name, "failed", "\0" + LONG)
    told = history.release(name)
    assert (len(told.events), len(told.approvals)) == (1, 1)
    assert told.events[0].data == {"log": "ab\ufffd", "more": [""]}
    assert told.verdicts[0].sentence == "bad key 'ab'"
    assert told.sentence == LONG
    assert told.requester is not None
    assert told.requester.startswith("üü")


@pytest.fixture(params=["sqlite", "postgresql"])
def readable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[History]:
    """A history with one release, that only reads from then on: a standby, or a full disk."""
    if request.param == "sqlite":
        path = tmp_path / "history.db"
        release(open_history(f"sqlite:///{path}"), 1, "1.0.0", "a", outcome=None)
        history = open_history(f"sqlite:///{path}")
        event.listen(history._engine, "connect", lambda it, _: it.execute("PRAGMA query_only = ON"))
        yield history
        return
    url = request.getfixturevalue("postgres")
    release(open_history(url), 1, "1.0.0", "a", outcome=None)
    with create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
        name = connection.engine.url.database
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    yield open_history(url)


def test_a_history_that_only_reads_is_away_for_those_who_write(readable: History) -> None:
    name = "release_shop/run_1#0"
    assert readable.release(name).outcome is None
    for write in (
        lambda: readable.begin("release_shop/x#0", "shop", "release_shop", "x", "1", "ann"),
        lambda: readable.record_event(name, "rollback", "Back.", "production"),
        lambda: readable.finish(name, "rolled_back", "Back."),
        lambda: readable.promoted(name),
    ):
        with pytest.raises(HistoryUnavailable, match="does not answer: "):
            write()


def test_what_a_history_missed_is_written_later_as_it_happened(history: History, tmp_path: Path) -> None:
    missed, name = Missed(tmp_path / "missed"), "release_shop/run_1#0"
    began = time.time()
    verdict = Verdict(judgement="fail", decided_at=1.0, step="step_10", weight=10, sentence="Bad.")
    missed.keep("begin", (name, "shop", "release_shop", "run_1", "1.0.0", "ann"))
    missed.keep("record_artifact", (name, artifact("1.0.0", "a")))
    missed.keep("record_verdict", (name, "production", verdict, [Sample(metric="errors", at=1.0, bad=1, total=2)]))
    missed.keep("record_event", ("nobody knows it", "rollback", "Back."))
    missed.keep("finish", (name, "rolled_back", "Rolled back."))
    ended = time.time()
    for _ in range(2):
        missed.catch_up(history)
    told = history.release(name)
    assert (told.outcome, told.digest, told.verdicts[0].sentence) == ("rolled_back", digest("a"), "Bad.")
    assert began <= told.started_at <= (told.ended_at or 0) <= ended
    assert [it.suffix for it in missed.folder.iterdir() if it.name != ".lock"] == [".refused"]


def test_what_cannot_be_written_yet_stays(readable: History, tmp_path: Path) -> None:
    missed = Missed(tmp_path / "missed")
    missed.keep("finish", ("release_shop/run_1#0", "rolled_back", "Rolled back."))
    with pytest.raises(HistoryUnavailable):
        missed.catch_up(readable)
    assert len(list(missed.folder.glob("*.json"))) == 1


def test_a_digest_is_known_by_what_became_of_it_and_what_checks_found(history: History) -> None:  # R10
    first = release(history, 1, "1.0.0", "a", outcome="rolled_back")
    second = release(history, 2, "1.0.0", "a")
    release(history, 3, "1.1.0", "b")
    for name, result in ((first, "2 findings"), (second, "no findings")):
        found = {"digest": digest("a"), "results": {"Scan": result}}
        history.record_event(name, "evidence", f"Scan: {result}", None, found)
    history.begin("now", "shop", "release_shop", "now", "1.0.0", "ann")
    assert {it.id for it in history.past_of("shop", digest("a"), besides="now")} == {first, second}
    assert history.evidence_of("shop", digest("a"), besides="now")["Scan"].result == "no findings"
    assert history.evidence_of("shop", digest("a"), besides=second)["Scan"].release == first
    assert history.evidence_of("shop", digest("b"), besides="now") == {}


def test_who_rejected_a_release_is_named_where_nobody_approved_it(history: History) -> None:  # R10
    rejected, approved = release(history, 1, "1.0.0", "a"), release(history, 2, "1.1.0", "b")
    history.record_approval(rejected, digest("a"), "rejected", "bob", "wrong prices")
    history.record_approval(approved, digest("b"), "approved", "bob")
    history.record_approval(approved, digest("b"), "rejected", "carol")
    assert [history.release(it).approver for it in (rejected, approved)] == ["bob", "bob"]


def test_a_release_names_who_started_it_for_somebody_else(history: History) -> None:  # R10
    name = release(history, 1, "1.0.0", "a", outcome=None)
    assert history.release(name).started_by is None
    history.record_event(name, "started", "robot started it for ann", None, {"by": "robot"})
    assert history.release(name).started_by == "robot"
    assert [it.started_by for it in history.running("shop", "production")] == ["robot"]


def test_the_list_that_is_read_without_sqlalchemy_is_the_same(postgres: str) -> None:
    history = open_history(postgres)
    history.begin("one", "shop", "release_shop", "one", "1.0.0", "ann")
    history.record_event("one", "started", "robot started it for ann.", data={"by": "robot"})
    history.record_approval("one", digest("a"), "rejected", "bob")
    history.begin("two", "cart", "release_cart", "two", "2.0.0", None)
    for app in (None, "shop"):
        found = listed(parts_in(postgres), app, 10)
        assert found is not None
        kept = history.releases(app, 10)
        names = Listed._fields
        assert [it._asdict() for it in found] == [{name: getattr(it, name) for name in names} for it in kept]


def test_a_digest_is_known_since_it_was_promoted_or_attested_first(history: History) -> None:  # R22
    assert history.known_since("shop", digest("a")) is None
    history.at(3000.0).begin("first", "shop", "release_shop", "first", "1.0.0", "ann")
    history.at(3000.0).record_artifact("first", artifact("1.0.0", "a"))
    assert history.known_since("shop", digest("a")) is None  # only tried
    history.at(4000.0).promoted("first")
    assert history.known_since("shop", digest("a")) == 4000.0
    history.at(3500.0).record_event("first", "attested", "Signed.", None, {"digest": digest("a")})
    assert history.known_since("shop", digest("a")) == 3500.0
    assert history.known_since("shop", digest("b")) is None
    assert history.known_since("cart", digest("a")) is None
