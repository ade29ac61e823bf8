"""Streams: what they cost, what they carry, and to whom."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import event

from release_pipelines.adapters.history import History, HistoryUnavailable
from release_pipelines.adapters.history.pulse import News
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.release_id import run_of
from release_pipelines.core.overview import Wish
from release_pipelines.pages import hub as hub_module
from release_pipelines.pages import live
from release_pipelines.pages.overview import Overview
from tests.databases import postgres, postgres_server
from tests.pages import people
from tests.pages.conftest import PREFIX, token_of
from tests.pages.serving import served

__all__ = ["postgres", "postgres_server"]
SHOP, CART = "release_shop/manual__1#0", "release_cart/manual__1#0"
PATIENCE = 20.0


class Stream:
    """One connection, as a browser has it."""

    def __init__(self, port: int, path: str, name: str = "alice", **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.asked = time.monotonic()
        self.connection.request("GET", PREFIX + path, headers={"Cookie": f"_token={token_of(name)}", **headers})
        self.answer = self.connection.getresponse()
        self.bytes = b""

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        name = ""
        while line := self.answer.readline():
            self.bytes += line
            if line.startswith(b"event: "):
                name = line[7:].decode().strip()
            elif line.startswith(b"data: "):
                yield name, json.loads(line[6:])

    def until(self, wanted: Callable[[str, dict[str, Any]], bool]) -> dict[str, Any]:
        """The first message that is wanted."""
        end = time.monotonic() + PATIENCE
        for name, told in self:
            if wanted(name, told):
                return told
            assert time.monotonic() < end, "it does not come"
        raise AssertionError(f"the stream has ended: {self.bytes.decode()}")

    def state(self, word: str = "") -> dict[str, Any]:
        """The next state with a word in it."""
        return self.until(lambda name, told: name == "state" and word in json.dumps(told))

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


@pytest.fixture
def releases(history: History) -> History:
    for release in (SHOP, CART):
        begin(history, release)
    people.READ["alice"] = {"release_shop", "release_cart"}
    return history


def begin(history: History, release: str) -> None:
    dag, run = run_of(release)
    who = "dave" if release == CART else "grace"
    history.begin(release, dag.removeprefix("release_"), dag, run, "1.0.0", requester=who)


@pytest.fixture
def port(server: FastAPI, releases: History) -> Iterator[int]:
    with served(server) as found:
        yield found


@pytest.fixture
def stream(port: int) -> Iterator[Callable[..., Stream]]:
    made: list[Stream] = []

    def opened(path: str = "/stream", name: str = "alice", **headers: str) -> Stream:
        made.append(Stream(port, path, name, **headers))
        return made[-1]

    yield opened
    for it in made:
        it.close()


def one(release: str) -> str:
    """The address of a release's stream."""
    return f"/runs/{release.partition('#')[0]}/stream"


@pytest.mark.parametrize("last", ["999999", "-1", "abc", "x" * 5000, ""])
def test_whatever_a_browser_says_that_it_saw_last_it_gets_the_whole_state(
    stream: Callable[..., Stream], last: str
) -> None:
    it = stream(one(SHOP), **{"Last-Event-ID": last})
    assert it.answer.status == 200
    assert "1.0.0" in it.state()["parts"]["header"]


def test_a_stream_is_what_proxies_let_through(stream: Callable[..., Stream]) -> None:
    headers = stream(one(SHOP)).answer.headers
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-store, no-transform"
    assert headers["x-accel-buffering"] == "no"


def test_what_changes_comes_as_a_whole_part_and_what_does_not_is_not_sent_again(
    stream: Callable[..., Stream], releases: History
) -> None:
    it = stream()
    first = it.state()
    assert first["order"] == list(first["parts"]) == ["overview-counts", "overview-empty", "app-cart", "app-shop"]
    releases.record_event(SHOP, "note", "not on this page")
    releases.finish(SHOP, "released", "It is released.")
    second = it.state("released")
    assert set(second["parts"]) == {"overview-counts", "app-shop"}
    assert second["order"] == first["order"]
    assert it.bytes.count(b"event: state") == 2


def test_beats_carry_the_servers_clock_with_a_comment_and_what_is_shown_is_dated(stream: Callable[..., Stream]) -> None:
    it = stream()
    it.state()
    beats = [it.until(lambda name, _: name == "beat") for _ in range(3)]
    assert abs(beats[-1]["at"] - time.time()) < PATIENCE
    assert beats[-1]["as_of"] > beats[0]["as_of"] or beats[-1]["as_of"] > beats[1]["as_of"]
    assert it.bytes.count(b"\n: still here\n") + it.bytes.startswith(b": still") >= 3


def test_each_sees_what_they_may_in_every_byte(stream: Callable[..., Stream], releases: History) -> None:
    people.READ["carol"] = {"release_shop"}
    it = stream("/stream", "carol")
    it.state()
    releases.record_event(CART, "asked", "erin has to answer")
    releases.finish(CART, "failed", "It stopped because of frank.")
    releases.finish(SHOP, "released", "It is released.")
    it.state("released")
    it.until(lambda name, _: name == "beat")
    for word in (b"cart", b"dave", b"erin", b"frank", b"stopped", b"because"):
        assert word not in it.bytes
    assert stream(one(CART), "carol").answer.status == 403


def test_a_right_that_is_taken_away_ends_what_an_open_stream_shows(
    stream: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    from release_pipelines.pages import access

    monkeypatch.setattr(access, "RIGHTS_SECONDS", 0.5)
    monkeypatch.setattr(live, "RIGHTS_SECONDS", 0.5)
    many, single = stream(), stream(one(CART))
    assert "app-cart" in many.state()["order"]
    single.state()
    people.READ["alice"] = {"release_shop"}
    assert {name for name, _ in (*many, *single)} <= {"beat"}  # both have ended
    assert "app-cart" not in stream().state()["order"]
    assert stream(one(CART)).answer.status == 403


def test_a_login_that_runs_out_is_no_right_that_is_taken_away(
    stream: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    from release_pipelines.pages import access

    monkeypatch.setattr(access, "RIGHTS_SECONDS", 0.5)
    monkeypatch.setattr(live, "RIGHTS_SECONDS", 0.5)
    many, single = stream(), stream(one(CART))
    before = many.state()["parts"], single.state()["parts"]
    people.READ["alice"] = set()  # so Keycloak answers once the token has expired that this request came with
    assert {name for name, _ in (*many, *single)} <= {"beat"}
    people.READ["alice"] = {"release_shop", "release_cart"}  # the next request is given another token
    monkeypatch.setattr(access, "MEMORY", access.Memory())
    after = stream().state()["parts"], stream(one(CART)).state()["parts"]
    assert [it.keys() for it in after] == [it.keys() for it in before]


def test_no_empty_list_before_the_history_has_answered(
    server: FastAPI, releases: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "SLOW_SECONDS", 1.0)
    answers = threading.Event()

    def opened() -> History:
        answers.wait(PATIENCE)
        return HistoryHook().history()

    _hub_of(server)._opened = opened
    with served(server) as port:
        it = Stream(port, "/stream")
        assert time.monotonic() - it.asked < 1 + PATIENCE  # headers do not wait for the history
        assert it.until(lambda name, told: name == "beat")["trouble"] == "loading"
        assert it.until(lambda name, told: name == "beat" and told["trouble"] != "loading")["trouble"] == "slow"
        assert b"event: state" not in it.bytes
        assert b"No releases" not in it.bytes
        answers.set()
        assert "app-shop" in it.state()["parts"]
        assert it.until(lambda name, told: name == "beat" and told["trouble"] is None)
        it.close()


def test_a_history_that_is_away_is_said_and_taken_up_again(
    server: FastAPI, releases: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = True

    def opened() -> History:
        if away:
            raise HistoryUnavailable("The release history at postgresql://secret does not answer.")
        return HistoryHook().history()

    _hub_of(server)._opened = opened
    with served(server) as port:
        it = Stream(port, "/stream")
        assert it.until(lambda name, told: name == "beat" and told["trouble"] != "loading")["trouble"] == "away"
        assert b"secret" not in it.bytes
        away = False
        assert "app-shop" in it.state()["parts"]
        it.close()


def test_no_releases_is_said_after_a_complete_answer(stream: Callable[..., Stream]) -> None:
    people.READ["mallory"] = set()
    assert "No releases yet" in stream("/stream", "mallory").state()["parts"]["overview-empty"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_one_statement_a_second_however_many_look_and_none_when_nobody_does(
    kind: str,
    server: FastAPI,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if kind == "postgresql":
        monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", request.getfixturevalue("postgres").replace("+psycopg2", ""))
    history = HistoryHook().history()
    begin(history, SHOP)
    statements: list[str] = []
    event.listen(history._engine, "before_cursor_execute", lambda *it: statements.append(it[2]))
    hub = _hub_of(server)
    hub._opened = lambda: history
    monkeypatch.setattr(hub_module, "LINGER_SECONDS", 0.0)
    monkeypatch.setattr(hub_module, "AGAIN_SECONDS", 10 * PATIENCE)
    monkeypatch.setattr(hub_module, "REST", 0)  # a read that is put off would be counted later
    monkeypatch.setattr(live, "AT_ONCE", 99)
    people.READ["alice"] = {"*"}
    with served(server) as port:
        many = [Stream(port, "/stream") for _ in range(20)]
        for it in many:
            it.state()
        begun, before = time.monotonic(), len(_looks(statements))
        for it in many:
            for _ in range(2):
                it.until(lambda name, _: name == "beat")
        looks, seconds = len(_looks(statements)) - before, time.monotonic() - begun
        assert looks <= seconds / hub_module.LOOK_SECONDS + 2
        assert len(_reads(statements)) <= 2  # when the first one came, and when it was known what is new from then on
        before = len(statements)
        history.finish(SHOP, "released", "It is released.")
        for it in many:
            it.state("released")
        assert len(_reads(statements[before:])) == 1
        for it in many:
            it.close()
        until = time.monotonic() + PATIENCE
        while hub._tasks:
            assert time.monotonic() < until, "the hub goes on though nobody looks"
            time.sleep(0.1)


def test_a_page_that_takes_long_to_read_rests_and_is_not_called_up_to_date_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub, shown, read = hub_module.Hub(), hub_module.Shown(Overview(Wish())), []
    monkeypatch.setattr(hub, "_read_soon", read.append)
    shown.keep("data", 100.0, took=2.0)
    hub._take(News(), 101.0, [shown])
    assert shown.as_of == 101.0
    for at in (102.0, 103.0):  # there is something new all the time
        hub._take(News(everything=True), at, [shown])
    hub._take(News(), 104.0, [shown])
    assert (read, shown.as_of) == ([], 101.0)
    shown.read_at -= 2.0 * hub_module.REST
    hub._take(News(), 105.0, [shown])
    assert read == [shown], "what was new while it rested is not forgotten"


def _looks(statements: list[str]) -> list[str]:
    return [it for it in statements if "newest" in it]


def _reads(statements: list[str]) -> list[str]:
    return [it for it in statements if it.startswith("SELECT release_observations.")]


def test_viewers_who_may_see_the_same_share_one_rendering(
    server: FastAPI, releases: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    from release_pipelines.pages import overview

    rendered: list[tuple[overview.Shot, overview.Sight]] = []
    own = overview.Overview.parts

    def counted(self: Any, request: Any, data: Any, sight: overview.Sight) -> dict[str, str]:
        rendered.append((data, sight))
        return own(self, request, data, sight)

    monkeypatch.setattr(overview.Overview, "parts", counted)
    people.READ.update(bob={"release_shop", "release_cart"}, carol={"release_shop"})
    with served(server) as port:
        many = [Stream(port, "/stream", name) for name in ("alice", "bob", "carol") for _ in range(2)]
        for it in many:
            it.state()
        for it in many:
            it.until(lambda name, told: name == "beat" and told["trouble"] is None)
        rendered.clear()
        releases.finish(SHOP, "released", "It is released.")
        for it in many:
            it.state("released")
        assert len({sight for _, sight in rendered}) == 2
        assert len({(id(data), sight) for data, sight in rendered}) == len(rendered)  # once for each reading
        for it in many:
            it.close()


def test_further_tabs_of_one_person_take_turns(stream: Callable[..., Stream], releases: History) -> None:
    lasting = [stream() for _ in range(live.AT_ONCE)]
    for it in lasting:
        it.state()
    further = [stream() for _ in range(4)]
    for it in further:
        assert "app-shop" in it.state()["parts"]
        list(it)  # it ends by itself
        assert b"retry: 2000" in it.bytes
    for it in lasting:
        it.until(lambda name, _: name == "beat")


def test_streams_end_by_themselves(stream: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch) -> None:
    assert live.STREAM_SECONDS == 25
    monkeypatch.setattr(live, "STREAM_SECONDS", 1.5)
    it = stream()
    it.state()
    assert all(name in ("state", "beat") for name, _ in it)
    assert b"retry: 1000" in it.bytes


def test_an_open_stream_does_not_keep_the_server_from_stopping(tmp_path: Path, history: History) -> None:
    """In a process of its own: it takes a signal."""
    program = """
import sys, uvicorn
from airflow.api_fastapi.app import create_auth_manager
from fastapi import FastAPI
from release_pipelines.pages.app import create
from tests.pages import people
from tests.pages.conftest import token_of
create_auth_manager()
people.READ["alice"] = {"*"}
app = FastAPI()
app.mount("/releases", create())
print(token_of("alice"), flush=True)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), timeout_graceful_shutdown=120, log_level="warning")
"""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as server:
        try:
            assert server.stdout
            token = next(line.strip() for line in iter(server.stdout.readline, "") if line.count(".") == 2)
            it = _first_answer(port, token)
            assert any(line.startswith(b"event: state") for line in iter(it.readline, b""))
            server.send_signal(signal.SIGTERM)
            assert server.wait(live.STREAM_SECONDS - 5) in (0, -signal.SIGTERM)
        finally:
            server.kill()


def _first_answer(port: int, token: str) -> http.client.HTTPResponse:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            connection.request("GET", f"{PREFIX}/stream", headers={"Cookie": f"_token={token}"})
            return connection.getresponse()
        except ConnectionRefusedError:
            assert time.monotonic() < until, "the server does not start"
            time.sleep(0.1)


def _hub_of(server: FastAPI) -> hub_module.Hub:
    [mounted] = [it for it in server.routes if getattr(it, "path", "") == PREFIX]
    found: hub_module.Hub = mounted.app.state.hub
    return found
