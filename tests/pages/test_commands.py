"""Commands from a release's page: who may, what was seen, what became of it, and what the audit trail has of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from release_pipelines.adapters.history import History
from release_pipelines.core.audit.row import Row
from release_pipelines.core.model.progress import Progress
from tests.fakes import NEW, artifact
from tests.pages.conftest import PREFIX, Client, token_of

DAG, RUN = "release_shop", "manual__1"
R1 = f"{DAG}/{RUN}#0"
WHERE = f"{PREFIX}/runs/{DAG}/{RUN}/commands"
OURS = {"sec-fetch-site": "same-origin"}
ENVIRONMENT = """
name: production
platform: container_host
connections: {platform: platform, engine: platform, registry: registry, prometheus: prometheus}
router: {kind: traefik}
address: {url: "http://127.0.0.1:1"}
approvers: [bob, carol, alice]
"""
APP = "name: shop\nenvironments: [production]\nanalysis: {metrics: [{name: own, query: '1', limit: 1}]}\n"


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The app's file, as the API server has it."""
    for name, file, text in (("apps", "shop.yaml", APP), ("config", "production.yaml", ENVIRONMENT)):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(text)
    (tmp_path / "config" / "base.yaml").write_text("{}\n")
    monkeypatch.setenv("RELEASE_PIPELINES_APPS", str(tmp_path / "apps"))
    monkeypatch.setenv("RELEASE_PIPELINES_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("RELEASE_PIPELINES_TRAINS", str(tmp_path / "trains"))
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    # Who answers here is a thread of a machine that may be busy.
    monkeypatch.setattr("release_pipelines.pages.commands.ANSWER_SECONDS", 60.0)
    return tmp_path


@pytest.fixture
def release(history: History) -> str:
    """shop 1.1.0, which alice has asked for, holds at 10 %."""
    begun(history, R1, "1.1.0")
    at_step(history, R1, "step_10", 10)
    return R1


def begun(history: History, release: str, version: str, digest: str = NEW) -> None:
    dag, _, run = release.partition("/")
    history.begin(release, "shop", dag, run.rpartition("#")[0], version, "alice")
    history.record_artifact(release, artifact(version, digest))


def at_step(history: History, release: str, step: str, weight: int) -> None:
    traffic = f"the canary has {weight} % of the traffic"
    told = Progress(at=time.time(), environment="production", step=step, weight=weight, traffic=traffic)
    history.keep_progress({release: told})


def said(kind: str, *, step: str | None = "step_10", release: str = R1, **more: Any) -> dict[str, Any]:
    """A command's body, as the page sends it that was shown at 10 %."""
    digest = more.pop("digest", NEW)
    return {"kind": kind, "seen": {"release": release, "step": step, "weight": 10, "digest": digest}, **more}


def trail(history: History) -> list[tuple[str, str, str | None]]:
    """Action, phase and actor of the audit trail's rows about commands."""
    return [(it.action, it.phase, text(it, "actor")) for it in history.audit_rows() if it.action != "release"]


def text(row: Row, name: str) -> str | None:
    return row.texts[name].value if name in row.texts else None


@contextmanager
def taken_up(history: History, effect: str) -> Iterator[None]:
    """A release that answers every command, as its trigger does."""
    stopped = threading.Event()

    def answer() -> None:
        while not stopped.wait(0.05):
            for command in history.commands(open_only=True):
                history.answer(command.id, effect)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def person(as_: Client, name: str) -> TestClient:
    """Somebody who may do everything with the app's DAG that Airflow can allow."""
    made = as_(name, read={DAG}, run={DAG})
    made.headers.update(OURS)
    return made


# --- who, and what became of it -----------------------------------------------------------------------------------


def test_a_command_is_answered_by_the_sentence_of_who_acted(as_: Client, history: History, release: str) -> None:
    with taken_up(history, "All traffic is back on stable."):
        answer = person(as_, "alice").post(WHERE, json=said("abort", reason="wrong prices"))
    assert answer.status_code == 200
    assert answer.json() == {
        "kind": "abort",
        "by": "alice",
        "sentence": "alice: All traffic is back on stable.",
        "answered": True,
    }
    [command] = history.commands(release)
    assert (command.kind, command.by, command.reason) == ("abort", "alice", "wrong prices")
    asked, done = [it for it in history.audit_rows() if it.action == "abort"]
    assert (asked.phase, text(asked, "actor"), text(asked, "reason")) == ("asked", "alice", "wrong prices")
    assert text(asked, "address") == "testclient"
    assert (asked.data["step"], asked.data["weight"]) == ("step_10", "10")
    assert done.phase == "done"


def test_a_command_that_nobody_takes_up_in_time_is_told_as_such(
    as_: Client, history: History, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("release_pipelines.pages.commands.ANSWER_SECONDS", 0.1)
    answer = person(as_, "alice").post(WHERE, json=said("pause"))
    assert (answer.status_code, answer.json()["answered"]) == (200, False)
    assert answer.json()["sentence"].startswith("pause by alice: Not answered yet")


@pytest.mark.parametrize("kind", ["pause", "resume", "skip", "promote", "abort", "approve", "reject", "roll_back"])
def test_a_viewer_gives_no_command_and_leaves_nothing_behind(
    as_: Client, history: History, release: str, kind: str
) -> None:
    viewer = as_("victor", read={DAG}, run=set())
    before = history.audit_rows()
    answer = viewer.post(WHERE, json=said(kind, reason="why"), headers=OURS)
    assert answer.status_code == 403
    assert answer.json()["detail"].startswith("victor may not ")
    assert not history.commands()
    assert history.audit_rows() == before


def test_what_shortens_checks_is_refused_to_who_is_no_approver_and_kept_as_refused(
    as_: Client, history: History, release: str
) -> None:
    answer = person(as_, "alice").post(WHERE, json=said("skip"))
    assert answer.status_code == 403
    assert answer.json()["detail"] == "alice may not skip 1.1.0, because it shortens its checks: bob or carol may."
    assert not history.commands()
    [row] = [it for it in history.audit_rows() if it.action == "skip"]
    assert (row.phase, text(row, "actor"), text(row, "about")) == ("refused", "alice", answer.json()["detail"])
    assert (row.data["refused"], text(row, "address")) == ("not yours", "testclient")


def test_what_may_not_be_now_is_said_in_a_sentence(as_: Client, history: History, release: str) -> None:
    bob = person(as_, "bob")
    for body, status, sentence in (
        (said("resume"), 409, "1.1.0 is not paused: there is nothing to resume."),
        (said("approve"), 409, "Nobody is asked about 1.1.0 now: there is nothing to approve."),
        (said("abort"), 422, "An abort needs a reason: say why in a few words."),
        (said("stop"), 422, "kind: "),
        ({"kind": "abort", "reason": "x"}, 422, "seen: "),
    ):
        answer = bob.post(WHERE, json=body)
        assert answer.status_code == status, body
        assert answer.json()["detail"].startswith(sentence)
    assert not history.commands()


def test_an_aborted_release_offers_and_takes_nothing_that_goes_on(as_: Client, history: History, release: str) -> None:
    bob = person(as_, "bob")
    history.answer(history.command(release, "abort", "dora", "wrong prices").id, "All traffic is back on stable.")
    page = bob.get(WHERE.removesuffix("/commands")).text
    for kind in ("pause", "resume", "skip", "promote", "abort"):
        assert f'data-word="{kind}"' not in page
        answer = bob.post(WHERE, json=said(kind, reason="why"))
        assert answer.status_code == 409
        assert answer.json()["detail"] == "dora has aborted 1.1.0: All traffic is back on stable."


def test_the_page_has_the_buttons_that_the_server_takes(as_: Client, history: History, release: str) -> None:
    for name, words in (("alice", {"pause", "abort"}), ("bob", {"pause", "skip", "promote", "abort"})):
        page = person(as_, name).get(WHERE.removesuffix("/commands")).text
        shown = {it.partition('"')[0] for it in page.split('data-word="')[1:]}
        assert shown == words
        assert 'data-release="release_shop/manual__1#0"' in page
    assert "data-word" not in as_("victor", read={DAG}, run=set()).get(WHERE.removesuffix("/commands")).text


# --- the page was older than the click ----------------------------------------------------------------------------


def test_a_skip_that_was_meant_for_the_step_before_is_refused(as_: Client, history: History, release: str) -> None:
    at_step(history, release, "step_25", 25)
    answer = person(as_, "bob").post(WHERE, json=said("skip"))
    assert answer.status_code == 409
    assert answer.json()["detail"] == "It is at step_25 (25 %) now, you saw step_10."
    assert not history.commands()
    assert trail(history) == [("skip", "refused", "bob")]


def test_the_page_of_a_release_that_ended_touches_no_other_one(as_: Client, history: History, release: str) -> None:
    history.finish(release, "released", "It is released.")
    other = f"{DAG}/manual__2#0"
    begun(history, other, "1.2.0", f"sha256:{'2' * 64}")
    at_step(history, other, "step_10", 10)
    bob = person(as_, "bob")
    for kind in ("promote", "abort", "pause"):
        answer = bob.post(WHERE, json=said(kind, reason="why"))
        assert answer.status_code == 409
        assert answer.json()["detail"].startswith("1.1.0 has ended (released)")
    assert bob.post(WHERE, json=said("promote", release=other)).status_code == 409
    assert not history.commands()


def test_a_run_that_was_cleared_since_is_another_release(as_: Client, history: History, release: str) -> None:
    begun(history, f"{DAG}/{RUN}#1", "1.1.0")
    at_step(history, f"{DAG}/{RUN}#1", "step_10", 10)
    for kind in ("promote", "abort"):
        answer = person(as_, "bob").post(WHERE, json=said(kind, reason="why"))
        assert answer.status_code == 409
        assert answer.json()["detail"].startswith("The run was cleared since")
    assert not history.commands()


def test_a_run_that_airflow_has_cleared_is_another_release_before_the_history_hears_of_it(
    as_: Client, history: History, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("release_pipelines.pages.forms.life_of", lambda *_: 1)
    answer = person(as_, "bob").post(WHERE, json=said("abort", reason="why"))
    assert (answer.status_code, history.commands()) == (409, [])


def test_an_answer_for_another_digest_is_refused(as_: Client, history: History, release: str) -> None:
    history.record_event(release, "asked", "Asked whether 1.1.0 may go on.")
    other = f"sha256:{'c' * 64}"
    answer = person(as_, "bob").post(WHERE, json=said("approve", digest=other))
    assert answer.status_code == 409
    assert answer.json()["detail"] == f"The form is about {NEW} now, you saw {other}: nothing was answered."
    assert not history.release(release).approvals


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment is long, as the machine of a test may be slow."""
    for name in ("MOMENT_SECONDS", "REFUSED_SECONDS"):
        monkeypatch.setattr(f"release_pipelines.adapters.history.steering.{name}", 600.0)


def test_two_clicks_are_one_command_with_one_answer(as_: Client, history: History, release: str, moment: None) -> None:
    people = [person(as_, "bob"), person(as_, "bob")]
    with taken_up(history, "It is done."), ThreadPoolExecutor(2) as pool:
        first = pool.submit(people[0].post, WHERE, json=said("skip"))
        time.sleep(0.05)
        second = pool.submit(people[1].post, WHERE, json=said("skip"))
        answers = [first.result(), second.result()]
    assert [it.status_code for it in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert len(history.commands(release)) == 1
    assert trail(history) == [("skip", "asked", "bob"), ("skip", "done", "bob")]


def test_two_clicks_that_are_refused_are_one_row(as_: Client, history: History, release: str, moment: None) -> None:
    alice = person(as_, "alice")
    answers = [alice.post(WHERE, json=said("skip")) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert trail(history) == [("skip", "refused", "alice")]


def test_a_pause_after_a_resume_is_another_pause(as_: Client, history: History, release: str) -> None:
    alice = person(as_, "alice")
    with taken_up(history, "It is done."):
        for kind in ("pause", "resume", "pause"):
            assert alice.post(WHERE, json=said(kind)).status_code == 200
    assert [it.kind for it in history.commands(release)] == ["pause", "resume", "pause"]


def test_an_abort_is_never_too_old_within_its_life(as_: Client, history: History, release: str) -> None:
    at_step(history, release, "step_25", 25)
    with taken_up(history, "All traffic is back on stable."):
        answer = person(as_, "alice").post(WHERE, json=said("abort", reason="wrong prices"))
    assert answer.status_code == 200
    assert [it.kind for it in history.commands(release)] == ["abort"]


# --- a post from next door ----------------------------------------------------------------------------------------

NEXT_DOOR = "http://127.0.0.1:9000"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "text/plain", "origin": NEXT_DOOR, "sec-fetch-site": "same-site"}, b""),
        ({"content-type": "text/plain", "origin": NEXT_DOOR, "sec-fetch-site": "same-site"}, "json"),
        ({"origin": NEXT_DOOR, "sec-fetch-site": "same-site"}, "json"),
        ({"content-type": "application/json", "origin": NEXT_DOOR}, "json"),
        ({"content-type": "application/json", "origin": "null"}, "json"),
        ({"content-type": "text/plain", **OURS}, b""),
        ({"content-type": "application/x-www-form-urlencoded", **OURS}, b"kind=abort&reason=x"),
        ({**OURS}, "json"),
    ],
)
def test_a_page_next_door_gives_no_command(
    as_: Client, history: History, release: str, headers: dict[str, str], body: Any
) -> None:
    alice = as_("alice", read={DAG}, run={DAG})
    content = json.dumps(said("abort", reason="owned")).encode() if body == "json" else body
    answer = alice.post(WHERE, content=content, headers=headers)
    assert answer.status_code in (403, 415, 422)
    assert not history.commands()
    assert trail(history) == []


def test_no_get_changes_anything_and_no_preflight_is_answered(as_: Client, history: History, release: str) -> None:
    alice = as_("alice", read={DAG}, run={DAG})
    before = history.audit_rows()
    assert alice.get(WHERE, params={"kind": "abort", "reason": "x"}).status_code == 405
    asked = {"origin": NEXT_DOOR, "access-control-request-method": "POST"}
    answer = alice.options(WHERE, headers=asked | {"access-control-request-headers": "content-type"})
    assert answer.status_code in (403, 405)
    assert "access-control-allow-origin" not in answer.headers
    assert (history.audit_rows(), history.commands()) == (before, [])


def test_the_own_page_and_a_bearer_are_heard(as_: Client, history: History, release: str) -> None:
    alice, program = as_("alice", read={DAG}, run={DAG}), as_(None)
    with taken_up(history, "It is done."):
        own = alice.post(WHERE, json=said("pause"), headers={"origin": "http://airflow.example"})
        program.headers["authorization"] = f"Bearer {token_of('alice')}"
        bearer = program.post(WHERE, json=said("resume"))
    assert (own.status_code, bearer.status_code) == (200, 200)


# --- from where, and without a history ----------------------------------------------------------------------------


@pytest.mark.parametrize(("trusted", "right"), [("10.0.0.0/8", "203.0.113.7"), ("", "10.0.0.5")])
def test_the_trail_says_from_where(
    server: Any, as_: Client, history: History, release: str, monkeypatch: pytest.MonkeyPatch, trusted: str, right: str
) -> None:
    monkeypatch.setenv("RELEASE_PIPELINES_TRUSTED_PROXIES", trusted)
    alice = person(as_, "alice")
    behind = TestClient(server, base_url="http://airflow.example", client=("::ffff:10.0.0.5", 1), cookies=alice.cookies)
    headers = OURS | {"x-forwarded-for": "8.8.8.8, 203.0.113.7"}
    assert behind.post(WHERE, json=said("resume"), headers=headers).status_code == 409
    [row] = [it for it in history.audit_rows() if it.action == "resume"]
    assert text(row, "address") == right


@pytest.fixture
def away(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The history's database does not answer; Airflow's does."""
    given = {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "x", "schema": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", json.dumps(given))
    monkeypatch.setattr("release_pipelines.pages.forms.life_of", lambda *_: 0)


@pytest.mark.parametrize("kind", ["promote", "skip", "resume", "approve", "reject", "roll_back"])
def test_without_the_history_nothing_goes_on(as_: Client, away: None, kind: str) -> None:
    answer = person(as_, "bob").post(WHERE, json=said(kind, reason="why"))
    assert answer.status_code == 503
    assert answer.json()["detail"] == f"The history does not answer, so `{kind}` was not taken."


@pytest.mark.parametrize("kind", ["abort", "pause"])
def test_without_the_history_what_is_safe_is_taken_at_once(as_: Client, away: None, kind: str) -> None:
    from airflow.models.variable import Variable

    from release_pipelines.airflow.aside import VARIABLE

    answer = person(as_, "bob").post(WHERE, json=said(kind, reason="wrong prices"))
    assert answer.status_code == 200
    assert answer.json()["sentence"].startswith(f"{kind} by bob: the history does not answer; the release takes it up")
    [kept] = json.loads(Variable.get(VARIABLE))
    assert (kept["release_id"], kept["kind"], kept["by"], kept["reason"]) == (R1, kind, "bob", "wrong prices")
    Variable.delete(VARIABLE)


def test_without_the_history_rights_reason_and_life_still_count(as_: Client, away: None) -> None:
    from airflow.models.variable import Variable

    from release_pipelines.airflow.aside import VARIABLE

    viewer = as_("victor", read={DAG}, run=set())
    assert viewer.post(WHERE, json=said("abort", reason="why"), headers=OURS).status_code == 403
    bob = person(as_, "bob")
    assert bob.post(WHERE, json=said("abort")).status_code == 422
    assert bob.post(WHERE, json=said("abort", reason="why", release=f"{DAG}/{RUN}#1")).status_code == 409
    assert bob.post(WHERE, json=said("abort", reason="why", release="release_cart/x#0")).status_code == 409
    assert Variable.get(VARIABLE, default_var=None) is None
    page = bob.get(WHERE.removesuffix("/commands"), headers={"accept": "text/html"})
    assert page.status_code == 503
    assert "The history of releases does not answer now" in page.text
