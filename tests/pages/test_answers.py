"""Answers to Airflow's forms, and rollbacks, from a release's page: through Airflow's own API, with its own checks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Mount

from release_pipelines.adapters.history import History
from tests.fakes import GOOD, NEW
from tests.pages import people
from tests.pages.conftest import PREFIX, SECRET, Client, token_of
from tests.pages.test_commands import DAG, OURS, R1, RUN, WHERE, at_step, begun, person, said, text, trail
from tests.pages.test_commands import files as files
from tests.pages.test_commands import moment as moment

DAGS = Path(__file__).parent / "dags"
NAMES = ("release_shop", "release_rollback", "train_weekly")


@pytest.fixture(scope="module")
def _dags(_database: None) -> None:
    """DAGs that Airflow knows, as its DAG processor writes them."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    with create_session() as session:
        if session.get(DagBundleModel, "pages") is None:
            session.add(DagBundleModel(name="pages"))
    bag = DagBag(str(DAGS), bundle_path=DAGS, bundle_name="pages")
    assert not bag.import_errors
    sync_bag_to_db(bag, "pages", None)


@pytest.fixture(scope="module")
def airflow(_dags: None) -> Iterator[FastAPI]:
    """Airflow's own API server, with the pages where it mounts plugins."""
    from airflow.api_fastapi.app import create_app, purge_cached_app

    from release_pipelines.pages.plugin import Endpoint

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", SECRET)
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", f"{people.__name__}.{people.AuthManager.__name__}")
        purge_cached_app()
        app = create_app("core")
        app.router.routes[:] = [it for it in app.router.routes if getattr(it, "path", "") != PREFIX]
        app.router.routes.insert(0, Mount(PREFIX, app=Endpoint()))
        yield app
    purge_cached_app()


@pytest.fixture
def server(airflow: FastAPI, history: History) -> FastAPI:
    return airflow


def forget(dag_id: str) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        for run in session.query(DagRun).filter(DagRun.dag_id == dag_id):
            session.delete(run)


@pytest.fixture(autouse=True)
def _clean(_dags: None) -> Iterator[None]:
    yield
    for name in NAMES:
        forget(name)


def asks(task: str, people: list[str] | None, dag_id: str = DAG, run_id: str = RUN) -> None:
    """A run of Airflow's whose task has opened a form."""
    from airflow.models.hitl import HITLDetail
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    now = dt.datetime.now(dt.timezone.utc)
    with create_session() as session:
        dag = SerializedDagModel.get_dag(dag_id, session=session)
        assert dag is not None
        run = dag.create_dagrun(
            run_id=run_id,
            run_after=now,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            session=session,
        )
        ti = run.get_task_instance(task, session=session)
        assert ti is not None
        ti.state = TaskInstanceState.DEFERRED
        named = [{"id": it, "name": it} for it in people] if people else None
        form = HITLDetail(ti_id=ti.id, options=["Approve", "Reject"], subject="Release?", params={}, assignees=named)
        session.add(form)


def answer_of(task: str, dag_id: str = DAG, run_id: str = RUN) -> tuple[Any, Any, Any] | None:
    """What was chosen in the form, by whom, and the words; None: nothing."""
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        query = select(HITLDetail).join(TaskInstance, TaskInstance.id == HITLDetail.ti_id)
        here = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id == task)
        found = session.scalar(query.where(*here))
        if found is None or found.responded_at is None:
            return None
        return found.chosen_options, found.responded_by["name"], (found.params_input or {}).get("reason")


@pytest.fixture
def release(history: History) -> str:
    begun(history, R1, "1.1.0")
    return R1


def wants(kind: str, **more: Any) -> dict[str, Any]:
    return said(kind, step=None, **more)


def test_an_approval_goes_through_airflows_own_form(as_: Client, history: History, release: str) -> None:
    asks("approval", ["bob", "carol"])
    history.record_event(release, "asked", "Asked whether 1.1.0 may go on.")
    bob = person(as_, "bob")
    page = bob.get(WHERE.removesuffix("/commands")).text
    assert 'data-word="approve"' in page
    assert f'data-digest="{NEW}"' in page
    answer = bob.post(WHERE, json=wants("approve", reason="looks good"))
    assert (answer.status_code, answer.json()["sentence"]) == (200, "bob: 1.1.0 is approved.")
    assert answer_of("approval") == (["Approve"], "bob", "looks good")
    [row] = [it for it in history.audit_rows() if it.action == "approve"]
    assert (row.phase, text(row, "actor"), text(row, "address")) == ("asked", "bob", "testclient")
    assert row.data["digest"] == NEW


@pytest.mark.parametrize("task", ["approval", "urgent_approval", "production.approval_2", "production.let_over"])
def test_every_question_of_a_release_is_answered(
    as_: Client, history: History, release: str, files: Path, task: str
) -> None:
    environment = files / "config" / "production.yaml"
    environment.write_text(environment.read_text() + "urgent_approvers: [bob]\n")
    asks(task, ["bob"])
    bob = person(as_, "bob")
    assert 'data-word="reject"' in bob.get(WHERE.removesuffix("/commands")).text
    refused = bob.post(WHERE, json=wants("reject"))
    assert (refused.status_code, answer_of(task)) == (422, None)
    assert bob.post(WHERE, json=wants("reject", reason="wrong prices")).status_code == 200
    assert answer_of(task) == (["Reject"], "bob", "wrong prices")


@pytest.mark.parametrize("name", ["alice", "dora"])
def test_who_asked_and_who_is_no_approver_answer_nothing(
    as_: Client, history: History, release: str, name: str
) -> None:
    asks("approval", None)
    somebody = person(as_, name)
    assert 'data-word="approve"' not in somebody.get(WHERE.removesuffix("/commands")).text
    for kind in ("approve", "reject"):
        answer = somebody.post(WHERE, json=wants(kind, reason="why"))
        assert answer.status_code == 403
        assert answer.json()["detail"].startswith(f"{name} may not {kind} 1.1.0, because they ")
    assert answer_of("approval") is None
    assert [it[:2] for it in trail(history)] == [("approve", "refused"), ("reject", "refused")]


def test_whom_airflow_refuses_is_refused_in_a_sentence_and_kept(as_: Client, history: History, release: str) -> None:
    asks("approval", ["carol"])
    answer = person(as_, "bob").post(WHERE, json=wants("approve"))
    assert answer.status_code == 403
    assert answer.json()["detail"].startswith("Airflow does not let you: User=bob")
    assert answer_of("approval") is None
    assert trail(history) == [("approve", "asked", "bob"), ("approve", "refused", "bob")]


def test_an_answer_is_bound_to_the_digest_that_was_seen(as_: Client, history: History, release: str) -> None:
    asks("approval", ["bob"])
    answer = person(as_, "bob").post(WHERE, json=wants("approve", digest=GOOD))
    assert answer.status_code == 409
    assert answer_of("approval") is None


def test_two_clicks_answer_once(as_: Client, history: History, release: str, moment: None) -> None:
    asks("approval", ["bob"])
    clients = [person(as_, "bob"), person(as_, "bob")]
    with ThreadPoolExecutor(2) as pool:
        answers = [it.result() for it in [pool.submit(one.post, WHERE, json=wants("approve")) for one in clients]]
    assert [it.status_code for it in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert trail(history) == [("approve", "asked", "bob")]


def test_a_form_that_was_answered_meanwhile_is_no_question_any_more(
    as_: Client, history: History, release: str
) -> None:
    asks("approval", ["bob", "carol"])
    assert person(as_, "carol").post(WHERE, json=wants("reject", reason="wrong prices")).status_code == 200
    answer = person(as_, "bob").post(WHERE, json=wants("approve"))
    assert answer.status_code == 409
    assert answer_of("approval") == (["Reject"], "carol", "wrong prices")


def test_a_train_is_answered_for_what_goes_with_it(as_: Client, history: History, files: Path) -> None:
    from release_pipelines.core.model.train import TrainApp, digest_of

    train = "train_weekly/manual__1#0"
    history.begin(train, "train_weekly", "train_weekly", "manual__1", "shop 1.1.0", "alice")
    apps = [TrainApp(app="shop", environment="production", wave=1, version="1.1.0", digest=NEW)]
    history.plan_train(train, "shop 1.1.0", apps)
    asks("approval", ["bob"], "train_weekly", "manual__1")
    bob = as_("bob", read={"train_weekly"}, run={"train_weekly"})
    where = f"{PREFIX}/runs/train_weekly/manual__1/commands"
    shown = bob.get(where.removesuffix("/commands")).text
    assert {it.partition('"')[0] for it in shown.split('data-word="')[1:]} == {"abort", "approve", "reject"}
    body = said("approve", step=None, release=train, digest=GOOD)
    assert bob.post(where, json=body, headers=OURS).status_code == 409
    body["seen"]["digest"] = digest_of(apps)
    assert bob.post(where, json=body, headers=OURS).status_code == 200
    assert answer_of("approval", "train_weekly", "manual__1") == (["Approve"], "bob", None)


def test_a_cleared_run_of_airflows_is_another_life(as_: Client, history: History, release: str) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    asks("approval", ["bob"])
    with create_session() as session:
        session.query(DagRun).filter(DagRun.dag_id == DAG).update({"clear_number": 1})
    answer = person(as_, "bob").post(WHERE, json=wants("approve"))
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("The run was cleared since")
    assert answer_of("approval") is None


# --- back ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def ended(history: History, release: str) -> str:
    """shop 1.0.0 held, and 1.1.0 after it."""
    history.finish(release, "failed", "It failed.")
    for number, (version, digest) in enumerate((("1.0.0", GOOD), ("1.2.0", f"sha256:{'2' * 64}"))):
        it = f"{DAG}/manual__{number + 5}#0"
        begun(history, it, version, digest)
        history.promoted(it)
        history.finish(it, "released", "It is released.")
    return release


def everything(as_: Client, name: str) -> TestClient:
    made = as_(name, read={"*"}, run={"*"})
    made.headers.update(OURS)
    return made


def runs_of_rollback() -> list[tuple[str, dict[str, Any], str | None]]:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(DagRun).where(DagRun.dag_id == "release_rollback"))
        return [(it.run_id, dict(it.conf or {}), it.triggering_user_name) for it in found]


def test_a_rollback_is_a_run_of_its_own_with_the_rights_of_who_asks(
    as_: Client, history: History, ended: str, moment: None
) -> None:
    alice = everything(as_, "alice")
    page = alice.get(WHERE.removesuffix("/commands")).text
    assert 'data-word="roll_back"' in page
    assert 'data-versions="1.2.0 1.0.0"' in page
    clicks = [alice.post(WHERE, json=wants("roll_back", reason="wrong prices", version="1.0.0")) for _ in range(2)]
    assert [it.status_code for it in clicks] == [200, 200]
    assert clicks[0].json() == clicks[1].json()
    [(run, conf, who)] = runs_of_rollback()
    assert conf == {"app": "shop", "version": "1.0.0", "reason": "wrong prices"}
    assert who == "alice"
    assert clicks[0].json()["link"] == f"/dags/release_rollback/runs/{run}"
    assert clicks[0].json()["sentence"] == "alice: shop goes back to 1.0.0."
    [row] = [it for it in history.audit_rows() if it.action == "roll_back"]
    assert (row.phase, text(row, "actor"), text(row, "reason")) == ("asked", "alice", "wrong prices")
    assert text(row, "address") == "testclient"


def test_nothing_goes_back_without_the_right_a_reason_or_a_good_version(
    as_: Client, history: History, ended: str
) -> None:
    alice, dora = everything(as_, "alice"), person(as_, "dora")
    for who, body, status in (
        (dora, wants("roll_back", reason="why", version="1.0.0"), 403),
        (alice, wants("roll_back", version="1.0.0"), 422),
        (alice, wants("roll_back", reason="why", version="1.1.0"), 409),
        (alice, wants("roll_back", reason="why"), 409),
    ):
        assert who.post(WHERE, json=body).status_code == status, body
    assert runs_of_rollback() == []
    assert "roll_back" not in dora.get(WHERE.removesuffix("/commands")).text


def test_an_old_page_rolls_nothing_back_under_a_release_that_runs(as_: Client, history: History, ended: str) -> None:
    other = f"{DAG}/manual__9#0"
    begun(history, other, "1.3.0", f"sha256:{'3' * 64}")
    at_step(history, other, "step_10", 10)
    answer = everything(as_, "alice").post(WHERE, json=wants("roll_back", reason="why", version="1.0.0"))
    assert answer.status_code == 409
    assert answer.json()["detail"] == "1.3.0 is being released now: its own page steers it."
    assert runs_of_rollback() == []


def test_a_bearer_answers_forms_too(as_: Client, server: FastAPI, history: History, release: str) -> None:
    asks("approval", ["bob"])
    person(as_, "bob")
    program = as_(None)
    program.headers["authorization"] = f"Bearer {token_of('bob')}"
    assert program.post(WHERE, json=wants("approve")).status_code == 200
    assert answer_of("approval") == (["Approve"], "bob", None)
