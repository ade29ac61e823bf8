"""Operators by import path, other DAGs, tries and limits: each alone."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from release_pipelines.airflow import images, runs
from release_pipelines.core.allowed import is_allowed
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.ports import registry as registries
from release_pipelines.core.ports.own_stage import OwnStagePlace
from release_pipelines.features.own_stages.operators.base import OwnStageOperator
from release_pipelines.features.own_stages.operators.dag import DagStageOperator
from release_pipelines.features.own_stages.operators.imported import ImportedStageOperator
from tests.fakes import GOOD, NEW
from tests.features.helpers import Ti
from tests.pipeline.own_operators import CALLS

PLACE = OwnStagePlace("staging", False, ["tests.pipeline.own_operators.*"], ["warm_caches"])
PURGE = "tests.pipeline.own_operators.PurgeOperator"


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


class Store(dict[str, Any]):
    """Airflow's store of a task, which outlives its tries."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def context(number: int = 1, store: Store | None = None, clear_number: int = 0) -> Any:
    ti = Ti("staging.purge")
    ti.try_number = number
    run = SimpleNamespace(dag_id="release_shop", run_id="r", clear_number=clear_number)
    return {"ti": ti, "task_state_store": store, "dag_run": run}


def imported(path: str, place: OwnStagePlace | None = PLACE, **more: Any) -> ImportedStageOperator:
    arguments = more.pop("arguments", {})
    return ImportedStageOperator(
        task_id="purge", place=place, options={"path": path, "arguments": arguments}, release="r", **more
    )


def refused(operator: Any, given: Any = None) -> str:
    with pytest.raises(AirflowFailException) as error:
        operator.execute(given or context())
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("acme.operators.Run", True),
        ("acme.operators.deep.Run", True),
        ("acme.operators", False),
        ("acme.operatorsx.Run", False),
        ("other.Only", True),
        ("other.Only.more", False),
    ],
)
def test_a_list_allows_whole_names_and_all_below_one(name: str, allowed: bool) -> None:
    assert is_allowed(name, ["acme.operators.*", "other.Only"]) is allowed


def test_what_the_environment_does_not_allow_is_not_even_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sneaky.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    said = refused(imported("sneaky.Run"))
    assert said == "sneaky.Run is not what `operators_allowed` in staging.yaml allows."
    assert "sneaky" not in sys.modules


@pytest.mark.parametrize(
    ("path", "arguments", "sentence"),
    [
        (
            "tests.pipeline.own_operators.Gone",
            {},
            "tests.pipeline.own_operators.Gone cannot be imported: AttributeError: ",
        ),
        ("tests.pipeline.own_operators.no_operator", {}, "tests.pipeline.own_operators.no_operator is no operator: "),
        ("tests.pipeline.own_operators.At", {}, "tests.pipeline.own_operators.At is no operator: "),
        (PURGE, {"zone": "a", "colour": "red"}, "PurgeOperator does not take its arguments: "),
        (PURGE, {"zone": "{stages.load.zone}"}, "There is no `{stages.load.zone}` here: "),
    ],
)
def test_what_cannot_be_run_is_said_and_not_tried_again(path: str, arguments: dict[str, Any], sentence: str) -> None:
    assert refused(imported(path, arguments=arguments, tries_again=5, continue_when="ended")).startswith(sentence)
    assert CALLS == []


def test_an_operator_that_steers_the_dag_is_refused() -> None:
    said = refused(imported("tests.pipeline.own_operators.SteeringOperator", continue_when="ended"))
    assert said == (
        "SteeringOperator wants to steer the DAG (DownstreamTasksSkipped): an operator that works, or waits deferred, is expected."
    )


def test_jinja_in_arguments_is_not_rendered() -> None:
    imported(PURGE, arguments={"zone": "{{ var.value.secret }}"}).execute(context())
    assert CALLS == [("{{ var.value.secret }}", None)]


def test_a_failure_is_tried_again_and_the_last_one_is_one_for_good() -> None:
    operator = imported(PURGE, arguments={"zone": "a", "fails": 9}, tries_again=1)
    given = context(1)
    with pytest.raises(AirflowException, match="Failed: The zone a is locked") as first:
        operator.execute(given)
    assert not isinstance(first.value, AirflowFailException)
    assert given["ti"].pushed["result"]["succeeded"] is False
    assert refused(operator, context(2)) == "Failed: The zone a is locked."


def test_the_time_of_all_tries_together_begins_with_the_first_one() -> None:
    store = Store()
    operator = imported(PURGE, arguments={"zone": "a", "fails": 9}, tries_again=9, stop_after=60)
    with pytest.raises(AirflowException):
        operator.execute(context(1, store))
    assert store["own_stage_begun"] == pytest.approx(time.time(), abs=10)
    store["own_stage_begun"] -= 61
    assert refused(operator, context(2, store)) == "It was stopped after 1 min (`stop_after`)."
    assert len(CALLS) == 1


def test_what_is_handed_on_has_a_limit() -> None:
    operator = imported(PURGE, arguments={"zone": "x" * 20_000})
    assert refused(operator).endswith("bytes: 16,384 at most are expected.")


class NoTemplates(OwnStageOperator):
    """Says what placeholders can name."""


def test_earlier_stages_that_did_not_run_hand_nothing_on() -> None:
    operator = NoTemplates(
        task_id="own", options={}, earlier={"load": "null", "soak": '{"values": 3, "sentence": "passed"}'}
    )
    assert operator.known()["stages"]["load"] == {"value": None, "exit_code": None, "sentence": None}
    assert operator.known()["stages"]["soak"]["value"] == 3


class Airflow:
    """Runs of other DAGs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **states: str) -> None:
        self.states = dict(states)
        self.started: list[str] = []
        monkeypatch.setattr(runs, "start_run", self.start)
        monkeypatch.setattr(runs, "state_of", self.state)

    def start(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        if run_id in self.states:
            return False
        self.states[run_id] = "running"
        self.started.append(run_id)
        return True

    async def state(self, dag_id: str, run_id: str) -> str:
        return self.states[run_id]


def waits_for(operator: DagStageOperator, given: Any) -> str:
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(given)
    return str(deferred.value.trigger.arguments["run_id"])


def test_a_try_that_died_finds_its_run_and_one_that_failed_starts_another(monkeypatch: pytest.MonkeyPatch) -> None:
    airflow = Airflow(monkeypatch)
    operator = DagStageOperator(
        task_id="warm", place=PLACE, options={"dag_id": "warm_caches"}, release="r", tries_again=1
    )
    first = waits_for(operator, context(1))
    assert waits_for(operator, context(2)) == first, "it goes on"
    airflow.states[first] = "failed"
    second = waits_for(operator, context(3))
    assert second == f"{first}.2"
    airflow.states[second] = "failed"
    assert waits_for(operator, context(4)) == second, "there is no third one: its end is the stage's"
    assert airflow.started == [first, second]
    assert waits_for(operator, context(1, clear_number=1)) not in (first, second), "a cleared run is another release"


def test_a_dag_that_is_not_allowed_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    airflow = Airflow(monkeypatch)
    operator = DagStageOperator(task_id="warm", place=PLACE, options={"dag_id": "release_rollback"}, release="r")
    assert refused(operator) == "release_rollback is not what `dags_allowed` in staging.yaml allows."
    assert airflow.started == []


class Registry:
    """Has one image, and tells who was asked how."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def repository(self, image: str) -> str:
        return image if image.startswith(f"{self.connection.host}/") else f"{self.connection.host}/{image}"

    def digest_of(self, image: str, tag: str) -> str | None:
        asked = f"{self.connection.login}@{self.repository(image)}:{tag}"
        return {"robot@own.example/team/k6:1": NEW, "None@docker.io/grafana/k6:latest": GOOD}.get(asked)


def test_a_tag_is_asked_where_it_stands_and_credentials_go_to_their_own_registry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = Connection(host="own.example", login="robot", password="geheim")
    hook = SimpleNamespace(get_conn=lambda: Registry(own))
    monkeypatch.setattr("release_pipelines.airflow.hooks.registry.RegistryHook", lambda conn_id: hook)
    monkeypatch.setattr(registries, "registry", Registry)
    assert images.pinned("team/k6:1", "registry") == f"own.example/team/k6@{NEW}"
    assert images.pinned("own.example/team/k6:1", "registry") == f"own.example/team/k6@{NEW}"
    assert images.pinned("docker.io/grafana/k6", "registry") == f"docker.io/grafana/k6@{GOOD}"
    assert images.pinned(f"k6@{NEW}", "registry") == f"k6@{NEW}"
    with pytest.raises(
        Exception, match=r"^The registry has no image own.example/team/k6:2: push it, or name another.$"
    ):
        images.pinned("team/k6:2", "registry")
