"""A person steers a release: what runs in the end, and that it says who did it (R13)."""

from __future__ import annotations

import pytest

from release_pipelines.airflow.hooks.history import HistoryHook
from tests.fakes import GOOD, NEW, World
from tests.pipeline.conftest import BLUE_GREEN, CANARY, ROLLING, Releases, moves

SLOW = CANARY.replace("200ms", "30s")
slow = pytest.mark.parametrize("releases", [SLOW], indirect=True, ids=["canary"])
every = pytest.mark.parametrize(
    "releases",
    [SLOW, BLUE_GREEN.replace("200ms", "30s"), ROLLING.replace("200ms", "30s")],
    indirect=True,
    ids=["canary", "blue_green", "rolling"],
)


def shared(world: World) -> bool:
    """Whether the new version is being judged."""
    return bool(world.note.step and world.note.step.startswith(("step", "bake", "batch")))


@every
def test_an_abort_takes_the_traffic_back_and_names_the_person(releases: Releases) -> None:
    releases.runs("1.0.0")
    releases.when(shared, lambda: releases.command("abort"))
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "aborted"), done.sentence
    assert "alice: wrong price list; traffic is back on 1.0.0." in done.sentence
    assert releases.production.tracks["stable"].digest == GOOD
    assert set(releases.production.tracks) == {"stable"}
    history = HistoryHook().history()
    [command] = history.commands(history.releases("shop")[0].id, open_only=False)
    assert (command.kind, command.by, command.reason) == ("abort", "alice", "wrong price list")
    assert command.effect


@every
def test_promoting_now_ends_every_hold(releases: Releases) -> None:
    releases.runs("1.0.0")
    releases.when(shared, lambda: releases.command("promote", "bob", "hotfix"))
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    assert done.sentence.endswith("bob skipped the holds that were left: hotfix.")
    assert releases.production.tracks["stable"].digest == NEW


def first_hold(seconds: int) -> pytest.MarkDecorator:
    """A canary whose first hold is so long that a person can do something in it."""
    app = CANARY.replace("{weight: 10, hold: 200ms}", f"{{weight: 10, hold: {seconds}s}}")
    return pytest.mark.parametrize("releases", [app], indirect=True, ids=["canary"])


@first_hold(30)
def test_skipping_ends_one_hold(releases: Releases) -> None:
    releases.runs("1.0.0")
    releases.when(shared, lambda: releases.command("skip", "bob", "enough seen"))
    done = releases.release("1.1.0")
    assert done.outcome == "released", done.sentence
    assert done.sentence.endswith("bob cut a hold short: enough seen.")
    assert moves(releases.production) == [10, 50, 100, 50, 0]


@first_hold(3)
def test_a_paused_release_goes_on_when_it_is_resumed(releases: Releases) -> None:
    releases.runs("1.0.0")
    seen: list[str] = []

    def paused(world: World) -> bool:
        return world.note.paused_at is not None

    def resume() -> None:
        seen.append(str(releases.production.note.step))
        releases.command("resume")

    def pause() -> None:
        releases.command("pause")
        releases.when(paused, resume)

    releases.when(shared, pause)
    done = releases.release("1.1.0")
    assert done.outcome == "released", done.sentence
    assert seen == ["step_10"]


def test_an_abort_while_staging_is_changed_leaves_production_alone(releases: Releases) -> None:
    releases.runs("1.0.0")
    given: list[str] = []

    def look(call: str) -> None:
        if call == "deploy" and not given:
            given.append(call)
            releases.command("abort")

    releases.staging.after = look
    done = releases.release("1.1.0")
    assert done.outcome == "aborted", done.sentence
    assert done.sentence == "Aborted 1.1.0 before production was changed: alice: wrong price list."
    assert not releases.production.writes
    assert releases.staging.tracks["stable"].digest == GOOD


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        ({"app": "shopp", "action": "pause"}, "There is no app `shopp`: one of shop is expected."),
        ({"app": "shop", "action": "pause"}, "shop"),  # nothing runs
    ],
)
def test_what_cannot_be_controlled_is_refused_in_a_sentence(releases: Releases, conf: dict[str, str], why: str) -> None:
    releases.runs("1.0.0")
    dag = releases.others["release_control"]
    run = dag.test(run_conf=conf)
    control = run.get_task_instance("control")
    assert control.state == "failed"
    assert why in control.xcom_pull(task_ids="control", key="reason")
