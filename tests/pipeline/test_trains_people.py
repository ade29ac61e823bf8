"""Who may do what with the apps of a train: approvals, holds, aborts; and where its versions come from (R21)."""

from __future__ import annotations

import subprocess
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.airflow import runs
from release_pipelines.core.model.person import Identity
from release_pipelines.core.model.train import TrainApp
from release_pipelines.features.train import triggers
from release_pipelines.features.train.operators import ending, waves
from tests.pipeline.conftest import Released
from tests.pipeline.trains import ALL, Trains, digest, train_outside, trains

__all__ = ["train_outside", "trains"]

ASKED = {**ALL, "requested_by": "alice"}
SHOP_LIVE = ("waves: [[cart, search], [shop]]\n", {"shop": "live"})
OTHER = "train_other/r#0"


def hold_cart(trains: Trains, **more: Any) -> TrainApp:
    """Let another train have ``cart``, approved by bob."""
    it = TrainApp(
        app="cart",
        environment="production",
        wave=1,
        version="2.1.0",
        digest=digest("cart", "2.1.0"),
        image=f"{trains.outside.host}/cart",
        **more,
    )
    trains.history.begin(OTHER, "train_other", "train_other", "r", "cart 2.1.0", "alice")
    trains.history.plan_train(OTHER, "cart 2.1.0", [it])
    assert trains.history.hold_apps(OTHER, [it]) == {}
    trains.history.approve_train(OTHER, ["cart"], Identity("bob", "bob"))
    return it


@pytest.mark.parametrize("trains", [SHOP_LIVE], indirect=True)
def test_an_answer_counts_for_the_apps_whose_approver_gave_it_and_the_others_ask_their_own(trains: Trains) -> None:
    trains.whole, trains.second = True, "carol"
    trains.runs("2.0.0")
    done = trains.depart(**ASKED)
    assert done.outcome == "released", done.sentence
    assert done.pushed("approval")["counts_for"] == ["cart", "search"]
    assert done.pushed("approval")["asked_again"] == ["shop"]
    assert trains.asked == ["train_weekly", "release_shop"]
    by = {app: trains.history.release(trains.history.releases(app)[0].id).approvals[-1].by for app in ALL_APPS}
    assert by == {"cart": "bob", "search": "bob", "shop": "carol"}


def test_the_form_shows_what_changes_in_every_app_and_who_may_approve_it(
    trains: Trains, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.standard.operators.hitl import HITLOperator

    shown: list[tuple[str, str]] = []
    answer = HITLOperator.execute

    def read(operator: Any, context: Any) -> Any:
        shown.append((operator.subject, operator.body))
        return answer(operator, context)

    monkeypatch.setattr(HITLOperator, "execute", read)
    trains.runs("2.0.0", "cart", "shop")
    trains.runs("2.1.0", "search")
    trains.depart(**ASKED, notes="Monday's")
    [(subject, body)] = shown
    assert subject == "Release train weekly: cart 2.1.0, shop 2.1.0?"
    assert "asks to release train **weekly**" in body
    assert "| 1 | cart | 2.0.0 | 2.1.0 | bob or dag_test or dora |" in body
    assert "| 1 | search | 2.1.0 | it serves already in production | - |" in body
    for app in ("cart", "shop"):
        assert f"- `{digest(app, '2.0.0')}`\n- `{digest(app, '2.1.0')}`" in body
    assert "**Notes:** Monday's" in body
    assert "**Who may answer:** bob or dora" in body, "not who started it"


ALL_APPS = ("cart", "search", "shop")


def test_nobody_gets_an_approval_by_naming_a_train(trains: Trains) -> None:
    """The parameter is a hint: what counts is that the train has recorded this run."""
    trains.runs("2.0.0")
    hold_cart(trains, run_id="train_other.r")
    trains.history.end_holds(OTHER)
    done = trains.release("cart", "2.1.0", train=OTHER, requested_by="mallory")
    assert trains.asked == ["release_cart"]
    assert done.outcome == "released", done.sentence


def own_run(trains: Trains, run_id: str, **conf: Any) -> Released:
    """Run cart's own DAG under the id of a train's run."""
    from airflow.models.dagrun import DagRun

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DagRun, "generate_run_id", staticmethod(lambda **_: run_id))
        return trains.release("cart", "2.1.0", train=OTHER, **conf)


@pytest.mark.parametrize(
    ("requester", "planned", "why"),
    [
        ("alice", {}, None),
        ("bob@example.org", {}, "bob, who approved train_other/r#0, may not approve cart."),
        ("alice", {"digest": digest("cart", "2.0.9")}, f"and it is {digest('cart', '2.1.0')} now."),
        ("alice", {"approved_at": 1.0}, "The approval of train_other/r#0 held for 840 h, and that has passed."),
    ],
    ids=["as approved", "whoever asks does not approve", "another digest", "long ago"],
)
def test_a_trains_approval_counts_for_four_eyes_and_this_digest_only(
    trains: Trains, requester: str, planned: dict[str, Any], why: str | None
) -> None:  # R10
    trains.runs("2.0.0")
    run_id = f"train_other.{uuid.uuid4()}"
    hold_cart(trains, run_id=run_id)
    if planned:
        trains.history.change_train(OTHER, "cart", **planned)
    trains.second = "dora" if why else "bob"
    done = own_run(trains, run_id, requested_by=requester)
    assert trains.asked == (["release_cart"] if why else []), done.sentence
    if why is None:
        assert done.outcome == "released", done.sentence
        events = trains.history.release(trains.history.releases("cart")[0].id).events
        assert "Approved in train_other/r#0 by bob." in [it.sentence for it in events]


def test_an_app_that_a_train_holds_is_refused_to_others_and_named(trains: Trains) -> None:
    trains.runs("2.0.0")
    hold_cart(trains)
    done = trains.release("cart", "2.2.0", requested_by="alice")
    assert done.outcome == "failed"
    assert f"cart in production belongs to {OTHER} until that train has ended." in done.sentence
    assert not trains.world("cart").writes


def test_an_urgent_release_and_a_persons_rollback_pass_a_train(trains: Trains) -> None:
    trains.runs("2.0.0")
    hold_cart(trains)
    done = trains.release("cart", "2.2.0", requested_by="alice", urgent_reason="cards are refused")
    assert done.outcome == "released", done.sentence
    assert trains.roll_back("cart").outcome == "rolled_back"
    assert trains.serving()["cart"] == "2.0.0"


def test_what_has_ended_or_has_not_been_heard_of_holds_nothing(trains: Trains) -> None:
    from release_pipelines.adapters.history.trains import HOLD_SECONDS

    trains.runs("2.0.0")
    hold_cart(trains)
    assert trains.history.train_of("cart", "production") == OTHER
    assert trains.history.at(time.time() + HOLD_SECONDS + 1).train_of("cart", "production") is None
    trains.history.finish(OTHER, "released", "Released.")
    assert trains.history.train_of("cart", "production") is None


@pytest.mark.parametrize("trains", ["waves: [[cart, search], [shop]]\nwhen_held: stop\n"], indirect=True)
def test_two_trains_never_have_one_app_and_one_that_does_not_wait_names_the_other(trains: Trains) -> None:
    trains.runs("2.0.0")
    hold_cart(trains)
    done = trains.depart(**ASKED)
    assert done.outcome == "failed", done.sentence
    assert f"cart belongs to {OTHER} until that train has ended" in done.sentence
    assert trains.began == []
    assert trains.history.train_of("search", "production") is None, "all of its apps, or none"


def test_a_train_waits_for_another_one(trains: Trains, monkeypatch: pytest.MonkeyPatch) -> None:
    trains.runs("2.0.0")
    hold_cart(trains)
    looks: list[str] = []
    look = triggers.AppsFreeTrigger.look

    async def looked(self: triggers.AppsFreeTrigger) -> Any:
        looks.append(self.train)
        if len(looks) == 3:
            trains.history.finish(OTHER, "released", "Released.")
        return await look(self)

    monkeypatch.setattr(triggers.AppsFreeTrigger, "look", looked)
    done = trains.depart(**ASKED)
    assert done.outcome == "released", done.sentence
    assert len(looks) >= 3


@pytest.mark.parametrize("trains", ["waves: [[cart, search], [shop]]\ncalendars: nights\n"], indirect=True)
def test_what_closes_before_the_second_wave_is_waited_for_and_nothing_of_that_wave_is_begun(
    trains: Trains, tmp_path: Path
) -> None:
    trains.runs("2.0.0")
    now = datetime.now(timezone.utc)
    days = [(now + timedelta(days=it)).strftime("%Y-%m-%d") for it in (-1, 2)]

    def freeze(text: str) -> None:
        new = tmp_path / "calendars" / "nights.new"
        new.write_text(f"time_zone: UTC\nentries:\n- {{freeze: stocktaking, {text}}}\n")
        new.rename(tmp_path / "calendars" / "nights.yaml")

    def opens() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            events = trains.history.release(trains.history.releases("train_weekly")[0].id).events
            if any(it.sentence.startswith("Wave 2: Waits for its window until") for it in events):
                seen.extend(dag_id for dag_id, _ in trains.began)
                return freeze("from: 2020-01-01, to: 2020-01-02")
            threading.Event().wait(0.05)

    seen: list[str] = []
    thread = threading.Thread(target=opens)

    def after_run(dag_id: str) -> None:
        if not thread.is_alive() and not seen:
            freeze(f"from: {days[0]}, to: {days[1]}")
            thread.start()

    trains.after_run = after_run
    done = trains.depart(**ASKED)
    thread.join()
    assert done.outcome == "released", done.sentence
    assert "release_shop" not in seen
    assert len(seen) == 2


class Killed(BaseException):
    """A process dies."""


def test_one_that_is_killed_in_the_middle_goes_on_and_starts_nothing_twice(
    trains: Trains, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers die right after they have started something; triggerers while they wait for it, and others begin anew."""
    trains.runs("2.0.0")
    trains.outside.bad_apps = {"shop"}
    killed: list[tuple[str, str]] = []
    look, wait, start = triggers.RunEndTrigger.look, triggers.RunEndTrigger._wait, runs.start_run

    def dies_once(what: str, dag_id: str) -> bool:
        if (what, dag_id) in killed or dag_id == "release_search":
            return False
        killed.append((what, dag_id))
        return True

    def started(dag_id: str, *given: Any) -> bool:
        begun = start(dag_id, *given)
        if dies_once("worker", dag_id):
            raise RuntimeError("the worker dies")
        return begun

    async def looked(self: triggers.RunEndTrigger) -> Any:
        event = await look(self)
        if event and dies_once("triggerer", self.dag_id):
            raise Killed
        return event

    async def waited(self: triggers.RunEndTrigger) -> Any:
        try:
            return await wait(self)
        except Killed:  # another triggerer has nothing but the arguments
            return await triggers.RunEndTrigger(**self.serialize()[1])._wait()

    monkeypatch.setattr(waves, "start_run", started)
    monkeypatch.setattr(ending, "start_run", started)
    monkeypatch.setattr(triggers.RunEndTrigger, "look", looked)
    monkeypatch.setattr(triggers.RunEndTrigger, "_wait", waited)
    done = trains.depart(**ASKED)
    assert {dag_id for _, dag_id in killed} == {"release_cart", "release_shop", "release_rollback"}
    assert len(killed) == 6
    assert done.outcome == "compensated", done.sentence
    assert len(trains.began) == len(set(trains.began)) == 5
    assert trains.results() == {"cart": "taken_back", "search": "taken_back", "shop": "failed"}
    begun = [it.sentence for it in trains.history.release(trains.id).events if it.kind in ("begun", "taking_back")]
    assert len(begun) == len(set(begun))


def test_a_person_who_aborts_a_train_stops_it_and_what_it_released_goes_back(trains: Trains) -> None:
    trains.runs("2.0.0")

    def abort(dag_id: str) -> None:
        if dag_id == "release_shop":
            train = trains.history.releases("train_weekly")[0].id
            trains.history.command(train, "abort", "alice", "wrong price list")

    trains.before_run = abort
    done = trains.depart(**ASKED)
    assert done.outcome == "compensated", done.sentence
    assert "alice aborted it: wrong price list" in done.sentence
    assert trains.results() == dict.fromkeys(ALL_APPS, "taken_back")
    [command] = trains.history.commands(trains.id)
    assert command.effect


def test_a_train_whose_app_changed_after_the_approval_is_not_begun(trains: Trains) -> None:
    trains.runs("2.0.0")
    approve = trains.history.approve_train

    def meanwhile(*given: Any) -> None:
        approve(*given)
        trains.runs("2.0.1", "cart")

    with pytest.MonkeyPatch.context() as patch:
        from release_pipelines.adapters.history import History

        patch.setattr(History, "approve_train", lambda self, *given: meanwhile(*given))
        done = trains.depart(**ASKED)
    assert done.outcome == "failed", done.sentence
    assert "cart ran 2.0.0 when this train was approved, and runs 2.0.1 now: start the train again." in done.sentence
    assert trains.began == []


def test_an_app_that_was_never_released_has_nothing_to_go_back_to_and_that_is_told(trains: Trains) -> None:  # R17
    trains.runs("2.0.0", "search", "shop")
    trains.outside.bad_apps = {"shop"}
    done = trains.depart(**ASKED)
    assert done.outcome == "compensation_failed", done.sentence
    assert trains.results() == {"cart": "not_taken_back", "search": "taken_back", "shop": "failed"}
    assert "it ran nothing before that it could go back to" in done.sentence


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        ({"version_cart": "2.1"}, "cart: "),
        ({"version_cat": "2.1.0"}, "Unknown parameter version_cat: one of version_cart, "),
        ({}, "Train weekly has nothing to release: cart: no version is given; "),
        ({"version_cart": "9.9.9"}, "cart 9.9.9 has no image yet"),
    ],
)
def test_what_cannot_depart_is_refused_in_a_sentence(trains: Trains, conf: dict[str, str], why: str) -> None:  # R12
    trains.runs("2.0.0")
    trains.outside.missing = {"9.9.9", "v9.9.9"}
    done = trains.depart(**conf, requested_by="alice")
    assert (done.state, done.outcome) == ("failed", "failed")
    assert why in done.sentence
    assert trains.asked == []


def manifest(folder: Path, text: str) -> None:
    """A repository with a manifest."""
    folder.mkdir(exist_ok=True)
    (folder / "weekly.yaml").write_text(text)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*who, "commit", "-q", "-m", "versions"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)


def test_versions_come_from_a_manifest_in_git(trains: Trains, tmp_path: Path) -> None:
    from release_pipelines.pipeline.train import train_dag
    from release_pipelines.spec.trains import load_train

    repository = tmp_path / "manifests"
    manifest(repository, 'cart: "2.1.0"\nshop: "2.1.0"\n')
    path = trains.trains / "weekly.yaml"
    path.write_text(f"waves: [[cart, search], [shop]]\nversions: {{repository: {repository}, path: weekly.yaml}}\n")
    spec = load_train(path, trains.apps, tmp_path / "calendars")
    made = train_dag(spec, trains.apps, trains.config)
    for task in made.tasks:
        trains.dags["train_weekly"].get_task(task.task_id).spec = spec
        if task.task_id == "approval":
            trains.dags["train_weekly"].get_task("approval").train = spec
    trains.runs("2.0.0")
    done = trains.depart(requested_by="alice")
    assert done.outcome == "released", done.sentence
    assert trains.results() == {"cart": "released", "search": "skipped", "shop": "released"}
    assert trains.rows()["search"].sentence == "the manifest has no version of it"
