"""How a run ends: the outcome first, then what explains it, then who is told. Nothing after the outcome can change it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.adapters.history import History, HistoryUnavailable
from release_pipelines.airflow.hooks import platform as hook
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE, share_with
from release_pipelines.core.model.verdict import MetricVerdict, Verdict
from release_pipelines.features.notify import operators as notify
from release_pipelines.features.outcome.operators import RecordOutcomeOperator
from release_pipelines.features.report import drawing
from release_pipelines.features.rollback.operators.manual import RecordRollbackOperator
from release_pipelines.spec.release import ReleaseSpec, load_release
from tests.fakes import GOOD, NEW, World, artifact, target
from tests.features.helpers import Ti
from tests.receivers import Receiver

RELEASE = "release_shop/one#0"
ROLES = {
    "preflight": "preflight",
    "complete": "complete",
    "approval": "approval",
    "deploy": "production.canary_deploy",
    "plan": "rollback.plan",
    "prepare": "rollback.prepare",
    "switch": "rollback.switch",
    "verify": "rollback.verify",
    "give_back": "give_back_lease",
}
TASKS = [
    "preflight",
    "approval",
    "production.canary_deploy",
    "production.step_10",
    "production.bake",
    "rollback.verify",
]
NUMBERS = "error rate 4.8 % over 1,000 requests, limit 1 % (stable: 0.1 %)"


class Run(Ti):
    """A run's tasks: their states and what they pushed, by task and key."""

    dag_id, run_id = "release_shop", "one"

    def __init__(self, states: dict[str, str], pushed: dict[tuple[str, str], Any]) -> None:
        super().__init__("outcome")
        self.states = states
        self.values = pushed
        self.red: str | None = None
        """Why the task failed, if it did."""

    def get_task_states(self, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, dict[str, str]]:
        return {self.run_id: {it: state for it, state in self.states.items() if it in task_ids}}

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.values.get((task_ids, key))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    it = Receiver()
    yield it
    it.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> World:
    """1.0.0 has all traffic again; the history is a file of its own, and a webhook listens."""
    it = World()
    it.runs("stable", artifact("1.0.0", GOOD))
    it.route = Route(traffic=ALL_TO_STABLE)
    monkeypatch.setattr(hook, "_build", lambda *_: it.platform())
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/")
    for name in ("PLATFORM", "REGISTRY"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic"}))
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps({"conn_type": "http", "host": receiver.url}))
    return it


def spec(folder: Path, notify: str) -> ReleaseSpec:
    config = folder / "config"
    config.mkdir(exist_ok=True)
    (config / "production.yaml").write_text(
        "name: production\nplatform: container_host\n"
        "connections: {platform: platform, engine: platform, registry: registry, prometheus: prometheus}\n"
        f"address: {{url: 'http://127.0.0.1:1'}}\napprovers: [bob]\nnotify: {notify}\n"
    )
    (folder / "shop.yaml").write_text(
        "name: shop\nenvironments: [production]\n"
        "strategy: {canary: {steps: [{weight: 10, hold: 1m}]}}\n"
        "analysis: {metrics: [{name: errors, source: errors, limit: 1%}]}\n"
    )
    return load_release(folder / "shop.yaml", config, folder)


def begun() -> History:
    """alice's 1.1.0 was deployed, and its numbers were bad."""
    history = HistoryHook().history()
    history.begin("release_shop/zero#0", "shop", "release_shop", "zero", "1.0.0", "alice")
    history.record_artifact("release_shop/zero#0", artifact("1.0.0", GOOD))
    history.promoted("release_shop/zero#0")
    history.finish("release_shop/zero#0", "released", "Released 1.0.0.")
    history.begin(RELEASE, "shop", "release_shop", "one", "1.1.0", "alice")
    history.record_artifact(RELEASE, artifact())
    history.record_approval(RELEASE, NEW, "approved", "bob")
    metric = MetricVerdict(metric="errors", judgement="fail", value=0.048, limit=0.01, sentence=NUMBERS)
    verdict = Verdict(
        judgement="fail", decided_at=1e9, accepted_at=1e9 + 0.2, step="step_10", weight=10, metrics=[metric], sentence=NUMBERS
    )  # fmt: skip
    samples = [
        Sample(metric="errors", at=1e9 - 10 * n, bad=48, total=1000, stable_bad=1, stable_total=1000) for n in range(3)
    ]
    history.record_verdict(RELEASE, "production", verdict, samples)
    return history


def rolled_back(**states: str) -> Run:
    """The run of a release whose step failed, and whose rollback worked unless ``states`` say otherwise."""
    deployed = Deployment(
        environment="production", platform="container_host", track="canary", digest=NEW, version="1.1.0"
    )
    return Run(
        {
            "preflight": "success",
            "approval": "success",
            "production.canary_deploy": "success",
            "production.step_10": "failed",
            "rollback.plan": "success",
            "rollback.switch": "success",
            "rollback.verify": "success",
            **{name.replace("__", "."): state for name, state in states.items()},
        },
        {
            ("preflight", "return_value"): {"release": RELEASE, "version": "1.1.0"},
            ("production.canary_deploy", "deployment"): to_json(deployed),
            ("production.step_10", "reason"): NUMBERS,
            ("production.step_10", "verdict"): {"weight": 10, "sentence": NUMBERS},
            ("rollback.switch", "return_value"): {"version": "1.0.0"},
        },
    )


def ends(folder: Path, run: Run, notify: str = "[{kind: webhook, connection: hook}]") -> Run:
    """Run the last task."""
    task = RecordOutcomeOperator(task_id="outcome", spec=spec(folder, notify), tasks=TASKS, roles=ROLES)
    context: Any = {
        "ti": run,
        "params": {"version": "1.1.0", "stop_at": "production"},
        "dag_run": SimpleNamespace(dag_id="release_shop", run_id="manual__2025-11-25T02:00:00+00:00"),
    }
    try:
        task.execute(context)
    except AirflowFailException as error:
        run.red = str(error)
    return run


def attached(history: History) -> dict[str, str]:
    return {it.name: it.content for it in history.attachments(RELEASE)}


def test_a_rollback_is_drawn_reported_and_told(world: World, tmp_path: Path, receiver: Receiver) -> None:  # R8, R13
    history = begun()
    run = ends(tmp_path, rolled_back())
    assert (run.pushed["outcome"], run.red) == ("rolled_back", run.pushed["reason"])  # R9
    files = attached(history)
    assert sorted(files) == ["incident.md", "production-step_10-errors.svg"]
    assert "evidence (e-value)" in files["production-step_10-errors.svg"]
    report = files["incident.md"]
    assert report.startswith("# shop 1.1.0 in production: rolled back\n")
    for fact in (NUMBERS, "| approved | bob |", "`production-step_10-errors.svg`", "Stable runs 1.0.0 (2 of 2 ready)"):
        assert fact in report, fact
    [(_, _, told)] = receiver.requests
    assert told["sentence"] == f"Rolled back 1.1.0 at 10 %: {NUMBERS}, traffic is back on 1.0.0."
    assert (told["app"], told["environment"], told["requester"], told["approver"]) == (
        "shop",
        "production",
        "alice",
        "bob",
    )
    assert told["url"] == "https://airflow.example/dags/release_shop/runs/manual__2025-11-25T02%3A00%3A00%2B00%3A00"
    assert told["report"] == report


def test_the_same_outcome_is_told_once(world: World, tmp_path: Path, receiver: Receiver) -> None:  # R6
    history = begun()
    ends(tmp_path, rolled_back())
    before = attached(history)
    ends(tmp_path, rolled_back())
    assert len(receiver.requests) == 1
    assert attached(history) == before


def test_another_outcome_of_the_same_release_is_told_again(world: World, tmp_path: Path, receiver: Receiver) -> None:
    begun()
    ends(tmp_path, rolled_back())
    ends(tmp_path, rolled_back(rollback__verify="failed"))
    assert [it[2]["outcome"] for it in receiver.requests] == ["rolled_back", "rollback_failed"]


def test_a_receiver_hears_only_what_it_asked_for(world: World, tmp_path: Path, receiver: Receiver) -> None:
    begun()
    ends(tmp_path, rolled_back(), "[{kind: webhook, connection: hook, on: [rollback_failed, released]}]")
    assert not receiver.requests


def test_a_receiver_that_fails_changes_no_outcome_and_is_noted(
    world: World, tmp_path: Path, receiver: Receiver
) -> None:
    history = begun()
    receiver.answers = [(403, {}, b"")]
    both = "[{kind: webhook, connection: gone}, {kind: webhook, connection: hook}, {kind: log}]"
    assert ends(tmp_path, rolled_back(), both).pushed["outcome"] == "rolled_back"
    release = history.release(RELEASE)
    assert release.outcome == "rolled_back"
    assert [(it.kind, it.sentence) for it in release.events if "notified" in it.kind] == [
        ("not_notified", "webhook gone: there is no Airflow connection `gone`"),
        ("not_notified", "webhook hook: webhook `hook` answered with status 403"),
        ("notified", "log: rolled_back"),
    ]
    assert "notified" not in attached(history)["incident.md"]
    receiver.answers = [(204, {}, b"")]
    ends(tmp_path, rolled_back(), both)  # who was not told is told when the task is cleared
    assert history.release(RELEASE).events[-1].sentence == "webhook hook: rolled_back"


def test_a_notifier_that_breaks_changes_no_outcome(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = begun()
    monkeypatch.setattr(notify, "notifier", lambda *_: 1 / 0)
    assert ends(tmp_path, rolled_back()).pushed["outcome"] == "rolled_back"
    assert history.release(RELEASE).events[-1].sentence == (
        "webhook hook: an unforeseen ZeroDivisionError; the log of the task says more"
    )


def test_a_plot_that_cannot_be_drawn_keeps_nobody_from_being_told(
    world: World, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = begun()
    monkeypatch.setattr(drawing, "svg", lambda plot: 1 / 0)
    ends(tmp_path, rolled_back())
    assert list(attached(history)) == ["incident.md"]
    assert len(receiver.requests) == 1


def test_a_platform_that_is_away_leaves_the_report_honest(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = begun()
    monkeypatch.setattr(hook, "_build", lambda *_: 1 / 0)
    ends(tmp_path, rolled_back(rollback__verify="failed"))
    assert "1. It could not be seen where the traffic is." in attached(history)["incident.md"]


def test_a_history_that_goes_away_after_the_outcome_changes_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun()

    def away(*_: Any) -> None:
        raise HistoryUnavailable("The history does not answer.")

    monkeypatch.setattr(History, "attach", away)
    monkeypatch.setattr(History, "record_event", away)
    assert ends(tmp_path, rolled_back()).pushed["outcome"] == "rolled_back"


def test_a_rollback_that_failed_calls_a_person_and_says_what_to_do(
    world: World, tmp_path: Path, receiver: Receiver
) -> None:  # R8
    begun()
    world.breaks("stable", "its image is gone")
    run = rolled_back(rollback__verify="failed")
    run.values["rollback.verify", "reason"] = "no answer from stable."
    assert ends(tmp_path, run).pushed["outcome"] == "rollback_failed"
    told = receiver.requests[0][2]
    assert told["urgent"] is True
    assert told["title"].startswith("A person is needed: ")
    assert told["what_to_do"][:2] == [
        "Stable runs 1.0.0 (0 of 2 ready) with 100 % of the traffic.",
        "Some of the traffic has no ready replica: act now.",
    ]
    assert any("airflow dags trigger release_rollback" in step for step in told["what_to_do"])


def test_a_release_that_held_has_plots_and_no_incident(world: World, tmp_path: Path, receiver: Receiver) -> None:
    history = begun()
    history.promoted(RELEASE)
    run = rolled_back(complete="success", production__step_10="success", rollback__plan="skipped")
    assert (ends(tmp_path, run).pushed["outcome"], run.red) == ("released", None)
    assert list(attached(history)) == ["production-step_10-errors.svg"]
    assert receiver.requests[0][2]["report"] is None


@pytest.mark.parametrize(
    ("said", "good"),
    [
        ({"verdict": {"weight": 10, "judgement": "fail", "sentence": NUMBERS}}, False),
        ({"verdict": {"weight": 10, "judgement": "error", "sentence": "could not measure error rate"}}, True),
        ({"aborted": {"by": "carol", "reason": "the network is being changed"}}, True),
        ({"trouble": "PlatformUnavailable"}, True),
        ({"reason": None}, True),
    ],
    ids=["numbers", "unmeasured", "aborted", "trouble", "killed"],
)
def test_a_version_that_held_before_stays_good_unless_it_went_wrong_itself(
    world: World, tmp_path: Path, receiver: Receiver, said: dict[str, Any], good: bool
) -> None:  # R8
    history = begun()
    before = "release_shop/earlier#0"
    history.at(1.0).begin(before, "shop", "release_shop", "earlier", "1.1.0", "alice")
    history.record_artifact(before, artifact())
    history.promoted(before)
    history.finish(before, "released", "Released 1.1.0.")
    history.record_event(RELEASE, "rollback", "all traffic back to 1.0.0", "production")
    run = rolled_back()
    run.values |= {("production.step_10", key): value for key, value in said.items()}
    ends(tmp_path, run)
    [it] = [it for it in history.stability("shop", "production") if it.version == "1.1.0"]
    assert it.good is good, it.why
    assert [mark.sentence for mark in it.marks] == ([] if good else [run.pushed["reason"]])


def test_an_abort_before_production_is_told_and_is_no_incident(
    world: World, tmp_path: Path, receiver: Receiver
) -> None:
    history = HistoryHook().history()
    history.begin(RELEASE, "shop", "release_shop", "one", "1.1.0", "alice")
    run = Run(
        {"preflight": "success", "approval": "failed"},
        {
            ("preflight", "return_value"): {"release": RELEASE, "version": "1.1.0"},
            ("approval", "aborted"): {"by": "carol", "reason": "wrong prices"},
        },
    )
    assert ends(tmp_path, run).pushed["outcome"] == "aborted"
    assert attached(history) == {}
    assert receiver.requests[0][2]["sentence"] == "Aborted 1.1.0 before production was changed: carol: wrong prices."


def test_what_never_began_is_told_by_its_task_alone(world: World, tmp_path: Path, receiver: Receiver) -> None:
    run = Run({"preflight": "failed"}, {("preflight", "reason"): "Unknown parameter verison."})
    assert ends(tmp_path, run).pushed["outcome"] == "failed"
    assert not receiver.requests


def by_a_person(**states: str) -> Run:
    """The run of carol's rollback of 1.1.0, which worked unless ``states`` say otherwise."""
    notify = [{"kind": "webhook", "connection": "hook"}]
    begun = {"release": "release_rollback/r#0", "version": "1.1.0", "by": "carol", "reason": "prices are wrong"}
    HistoryHook().history().begin("release_rollback/r#0", "shop", "release_rollback", "r", "1.1.0", "carol")
    run = Run(
        {f"rollback.{task}": states.get(task, "success") for task in ("plan", "prepare", "switch", "verify")},
        {
            ("rollback.plan", "rollback"): {**begun, "target": to_json(target()), "notify": notify},
            ("rollback.plan", "plan"): {"kind": "return_traffic", "version": "1.0.0"},
        },
    )
    context: Any = {"ti": run, "dag_run": SimpleNamespace(dag_id="release_rollback", run_id="r")}
    try:
        RecordRollbackOperator(task_id="outcome", group="rollback").execute(context)
    except AirflowFailException as error:
        run.red = str(error)
    return run


def test_a_persons_rollback_is_reported_and_told(world: World, receiver: Receiver) -> None:  # R8
    assert by_a_person().pushed["outcome"] == "rolled_back"
    [report] = HistoryHook().history().attachments("release_rollback/r#0")
    assert report.content.startswith(
        "# shop 1.1.0 in production: rolled back\n\n> Rolled back 1.1.0: carol: prices are"
    )
    told = receiver.requests[0][2]
    assert (told["requester"], told["report"]) == ("carol", report.content)


def test_a_persons_rollback_that_failed_calls_a_person(world: World, receiver: Receiver) -> None:  # R8
    world.route = Route(traffic=share_with("canary", 100))
    world.runs("canary", artifact())
    assert by_a_person(prepare="failed", switch="upstream_failed", verify="upstream_failed").pushed["outcome"] == (
        "rollback_failed"
    )
    told = receiver.requests[0][2]
    assert told["urgent"] is True
    assert told["what_to_do"][1] == (
        "All of the traffic reaches ready replicas of canary (1.1.0): there is time to look."
    )


def test_what_serves_is_looked_at_before_a_release_is_called_released(world: World, tmp_path: Path) -> None:  # R9
    history = begun()
    history.promoted(RELEASE)
    ended = dict.fromkeys(("rollback.plan", "rollback.switch", "rollback.verify"), "skipped")
    run = rolled_back(complete="success", production__step_10="success", **ended)
    world.route = Route(traffic=ALL_TO_STABLE, note=RouteNote(release=RELEASE, step="promoted", done=True))
    assert world.tracks["stable"].digest == GOOD  # somebody has put the old version back
    ends(tmp_path, run)
    assert (run.pushed["outcome"], history.release(RELEASE).outcome) == ("superseded", "superseded")
    assert "somebody put 1.0.0 on stable, which serves now" in (run.red or "")
    world.runs("stable", artifact())
    assert ends(tmp_path, run).pushed["outcome"] == "released"
