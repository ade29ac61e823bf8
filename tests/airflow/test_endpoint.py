"""What is let in, kept and answered where forges and registries tell of pushes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import make_url

from release_pipelines.adapters.history import HistoryUnavailable
from release_pipelines.airflow import endpoint
from release_pipelines.airflow.hooks.history import HistoryHook
from tests.core.pushes import payloads
from tests.core.pushes.payloads import C1, CHILD, I1
from tests.databases import free_port

SECRET = "pear-tree-7"
BODY = b'{"ref": "refs/heads/main", "after": "1111111111111111111111111111111111111111", "note": "gr\xc3\xbcn \xe2\x9c\x85 \\u001B[0m", "n": 1.0}\n'
SIGNED = "sha256=5426069afd28c0a3af8b2445be78bf1697a9810a74a10fdeb78a89a52ee846e0"
RUN = "push-1111111111111111"
REPOSITORY = "https://git.example.org/acme/shop.git"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The apps `shop` (a branch and tags), `cart` (its registry) and `desk` (only people start it)."""
    apps, config = tmp_path / "apps", tmp_path / "config"
    apps.mkdir()
    config.mkdir()
    (config / "base.yaml").write_text(
        "platform: container_host\nconnections: {platform: h, engine: h, registry: r, prometheus: p}\n"
        'address: {url: "http://127.0.0.1:8000", host: "{app}.example"}\napprovers: [bob]\n'
    )
    for name in ("staging", "production"):
        (config / f"{name}.yaml").write_text(f"name: {name}\n")
    starts = "starts: {branch: main, tags: true, ignore_accounts: [release-bot]}"
    build = f"build: {{repository: '{REPOSITORY}'}}"
    (apps / "shop.yaml").write_text(f"name: shop\nversion_scheme: commit\n{build}\n{starts}\n")
    (apps / "cart.yaml").write_text("name: cart\nimage: acme/shop\nstarts: {registry: true}\n")
    (apps / "desk.yaml").write_text("name: desk\n")
    monkeypatch.setenv("RELEASE_PIPELINES_APPS", str(apps))
    monkeypatch.setenv("RELEASE_PIPELINES_CONFIG", str(config))
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(endpoint, "KEEP_SECONDS", 60.0)  # a busy machine makes a history's tables slowly
    secret(monkeypatch, "release_hooks_shop", SECRET)
    secret(monkeypatch, "release_hooks", "for-all-others")
    return apps


def secret(monkeypatch: pytest.MonkeyPatch, name: str, password: str | None) -> None:
    given = {"conn_type": "generic", "password": password}
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(given))


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def client(woken: list[str]) -> TestClient:
    return TestClient(endpoint.create(lambda: woken.append("look")))


def signed(body: bytes, key: str = SECRET) -> str:
    return "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def github(payload: dict[str, Any], event: str = "push", key: str = SECRET, delivery: str = "g1") -> dict[str, Any]:
    body = json.dumps(payload).encode()
    headers = {"X-GitHub-Event": event, "X-Hub-Signature-256": signed(body, key), "X-GitHub-Delivery": delivery}
    return {"content": body, "headers": headers}


def registry(payload: Any, key: str = "for-all-others") -> dict[str, Any]:
    return {"content": json.dumps(payload).encode(), "headers": {"Authorization": f"Bearer {key}"}}


def starts(app: str = "shop") -> list[str]:
    return [it.subject for it in HistoryHook().history().starts(app)]


def post(client: TestClient, app: str, **request: Any) -> Any:
    answer = client.post(f"/hooks/{app}", **request)
    return answer.status_code, answer.json()


def test_the_bytes_as_they_came_are_let_in(client: TestClient) -> None:
    status, told = post(client, "shop", content=BODY, headers={"X-Hub-Signature-256": SIGNED})
    assert status == 200
    assert told["pushes"][0]["result"] == "ignored"  # GitHub has said no event, so it is a registry's that is not known


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Hub-Signature-256": signed(json.dumps(json.loads(BODY)).encode())},
        {"X-Hub-Signature-256": signed(json.dumps(json.loads(BODY), separators=(",", ":"), ensure_ascii=False).encode())},
        {"X-Hub-Signature-256": signed(BODY.rstrip(b"\n"))},
        {"X-Hub-Signature": "sha1=" + hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest()},
        {"X-Hub-Signature-256": signed(BODY, "for-all-others")},
        {"X-Hub-Signature-256": ""},
        {"Authorization": "Bearer for-all-others"},
        {"X-Gitlab-Token": SECRET + " "},
        {},
    ],
)  # fmt: skip
def test_every_other_signature_is_refused_logged_and_starts_nothing(
    client: TestClient, woken: list[str], headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "release_pipelines"):
        assert post(client, "shop", content=BODY, headers=headers) == (401, {"detail": "The signature does not fit."})
    assert "was refused" in caplog.text
    assert SECRET not in caplog.text
    assert woken == []
    assert HistoryHook().history().deliveries() == []


def test_an_app_without_a_secret_and_one_that_is_none_are_answered_alike(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_RELEASE_HOOKS")
    answers = [post(client, app, **registry({}, "guess")) for app in ("cart", "nobody", "..", "a%2Fb", "SHOP")]
    assert answers[:2] == [(401, {"detail": "The signature does not fit."})] * 2
    assert all(status in (401, 404) for status, _ in answers)


def test_an_empty_secret_lets_nobody_in(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    secret(monkeypatch, "release_hooks_cart", "")
    for key in ("", "for-all-others", "None"):
        assert post(client, "cart", **registry({}, key))[0] == 401


def test_a_branch_a_tag_and_two_hooks_of_one_commit_ask_for_one_release(client: TestClient, woken: list[str]) -> None:
    tag = payloads.github("refs/tags/v1.4.0", after=payloads.TAG_OBJECT)
    first = post(client, "shop", **github(payloads.github()))
    assert first[0] == 200
    assert first[1]["pushes"] == [
        {"push": "branch main (111111111111)", "result": "kept", "because": "its release is asked for", "run": RUN}
    ]
    for again in (github(payloads.github()), github(payloads.github(), delivery="g2"), github(tag, delivery="g3")):
        status, told = post(client, "shop", **again)
        assert (status, told["pushes"][0]["result"], told["pushes"][0]["run"]) == (200, "known", RUN)
    assert starts() == [f"commit:{C1}"]
    assert woken == ["look"]
    assert [it.name for it in HistoryHook().history().deliveries("shop")] == ["g3", "g2", "g1", "g1"]


def test_the_same_delivery_for_another_apps_repository_starts_nothing(client: TestClient) -> None:
    status, told = post(client, "cart", **github(payloads.github(), key="for-all-others"))
    assert (status, told["pushes"][0]["result"]) == (200, "ignored")
    assert "is not what cart is made from" in told["pushes"][0]["because"]


@pytest.mark.parametrize(
    ("payload", "because"),
    [
        (payloads.github("refs/heads/feature"), "branch feature starts no release of shop"),
        (payloads.github(sender={"login": "Release-Bot"}), "an account that `starts.ignore_accounts` names"),
    ],
)
def test_a_push_that_is_ignored_is_answered_with_the_reason_and_kept(
    client: TestClient, payload: dict[str, Any], because: str
) -> None:
    status, told = post(client, "shop", **github(payload))
    assert status == 200
    assert because in told["pushes"][0]["because"]
    [kept] = HistoryHook().history().deliveries("shop")
    assert because in str(kept.sentence)
    assert starts() == []


@pytest.mark.parametrize(
    ("payload", "event", "because"),
    [
        ({"zen": "Speak like a human."}, "ping", "ping is no push"),
        (payloads.github(after="0" * 40), "push", "was deleted"),
        (payloads.github(deleted=True), "push", "was deleted"),
        (payloads.github(head_commit=None), "push", "was deleted"),
        ({"ref": 7}, "push", "was deleted"),
    ],
)
def test_what_is_no_push_is_answered_and_nothing_is_looked_up(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, payload: dict[str, Any], event: str, because: str
) -> None:
    monkeypatch.setattr(endpoint, "keep", lambda *_: pytest.fail("the history was asked"))
    status, told = post(client, "shop", **github(payload, event))
    assert (status, told["delivery"]) == (200, None)
    assert because in told["pushes"][0]["because"]


def test_pulls_use_up_nothing_of_what_an_app_may_get(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "AT_ONCE", 1.0)
    monkeypatch.setattr(endpoint, "A_SECOND", 0.0)
    pull = registry({"events": [payloads.pushed("1.4.0", I1, "acme/shop", action="pull", method="GET")]})
    assert [post(client, "cart", **pull)[0] for _ in range(5)] == [200] * 5
    push = registry({"events": [payloads.pushed("1.4.0", I1, "acme/shop")]})
    assert [post(client, "cart", **push)[0] for _ in range(2)] == [200, 429]


def test_an_app_that_only_people_start_says_so(client: TestClient) -> None:
    status, told = post(client, "desk", **registry({"events": [payloads.pushed("1.4.0", I1)]}))
    assert status == 200
    assert told["pushes"][0]["because"] == "because no file of an app of this name has `starts`"


def test_gitlab_is_let_in_by_its_token_and_by_its_signature(client: TestClient) -> None:
    body = json.dumps(payloads.gitlab()).encode()
    event = {"X-Gitlab-Event": "Push Hook"}
    assert post(client, "shop", content=body, headers={**event, "X-Gitlab-Token": SECRET})[0] == 200
    for age, status in ((0, 200), (400, 401)):
        at = str(int(time.time()) - age)
        made = hmac.new(SECRET.encode(), f"m1.{at}.".encode() + body, hashlib.sha256).digest()
        values = "v1,AAAA v1," + base64.b64encode(made).decode()
        headers = {**event, "webhook-id": "m1", "webhook-timestamp": at, "webhook-signature": values}
        assert post(client, "shop", content=body, headers=headers)[0] == status
    assert starts() == [f"commit:{C1}"]


@pytest.mark.parametrize(
    "payload",
    [
        {
            "events": [
                payloads.pushed(None, CHILD, "acme/shop"),
                payloads.pushed("1.4.0", I1, "acme/shop", action="pull", method="HEAD"),
                payloads.pushed("1.4.0", I1, "acme/other"),
                {"action": "push", "target": 7},
                payloads.pushed("1.4.0", I1, "acme/shop"),
            ]
        },
        payloads.harbor((CHILD, CHILD), ("1.4.0", I1)),
        payloads.ecr("1.4.0", I1) | {"detail": payloads.ecr("1.4.0", I1)["detail"] | {"repository-name": "acme/shop"}},
    ],
    ids=["distribution", "harbor", "ecr"],
)
def test_registries_ask_for_one_release_of_the_index(client: TestClient, payload: dict[str, Any]) -> None:
    status, told = post(client, "cart", **registry(payload))
    assert status == 200
    assert [it["result"] for it in told["pushes"]].count("kept") == 1
    assert starts("cart") == [f"digest:{I1}"]


@pytest.mark.parametrize("body", [b"payload=%7B%7D", b"[1]", b"\xff", b"[" * 100_000, b""])
def test_a_good_signature_over_no_json_is_a_sentence(client: TestClient, body: bytes) -> None:
    status, told = post(client, "shop", content=body, headers={"X-Hub-Signature-256": signed(body)})
    assert status == 400
    assert "JSON" in told["detail"]


def test_what_is_too_long_is_not_read(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MOST_BYTES", 1000)
    assert post(client, "shop", content=b"x" * 1001)[0] == 413

    def pieces() -> Any:
        for _ in range(1_000_000):
            yield b"x" * 500

    assert post(client, "shop", content=pieces())[0] == 413
    assert post(client, "shop", content=b"x" * 1000)[0] == 401


def test_a_delivery_that_does_not_end_is_not_waited_for(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(request: Any) -> bytes:
        await asyncio.Event().wait()
        return b""

    monkeypatch.setattr(endpoint, "READ_SECONDS", 0.01)
    monkeypatch.setattr(endpoint, "_body", never)
    assert post(client, "shop", content=b"{}")[0] == 408


def test_secrets_that_cannot_be_read_say_nothing_about_the_signature(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(app: str) -> str:
        raise ConnectionError("the vault of pear-tree-7 is away")

    monkeypatch.setattr(endpoint, "secret_of", away)
    status, told = post(client, "shop", **github(payloads.github()))
    assert status == 503
    assert SECRET not in str(told)


def test_an_app_gets_so_many_a_second_and_strangers_use_up_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "AT_ONCE", 2.0)
    monkeypatch.setattr(endpoint, "A_SECOND", 0.0)
    for _ in range(5):
        assert post(client, "shop", content=b"{}")[0] == 401
    assert [post(client, "shop", **github(payloads.github()))[0] for _ in range(3)] == [200, 200, 429]
    assert post(client, "cart", **registry({"events": [payloads.pushed("1.4.0", I1, "acme/shop")]}))[0] == 200


def test_a_history_that_is_away_asks_for_it_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "a", "password": "hidden", "schema": "a"}
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", json.dumps(given))
    answer = client.post("/hooks/shop", **github(payloads.github()))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "hidden" not in answer.text


def test_a_history_that_does_not_answer_in_time_asks_for_it_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(self: HistoryHook) -> Any:
        time.sleep(0.3)
        raise HistoryUnavailable("The history is busy.")

    monkeypatch.setattr(endpoint, "KEEP_SECONDS", 0.05)
    monkeypatch.setattr(HistoryHook, "history", slow)
    assert post(client, "shop", **github(payloads.github()))[0] == 503


@pytest.mark.parametrize("spoil", [lambda it: it.unlink(), lambda it: it.write_text("name: shop\nstarts: {brunch: x}")])
def test_where_the_apps_file_cannot_be_read_it_is_kept_for_later(
    client: TestClient, woken: list[str], project: Path, spoil: Callable[[Path], Any]
) -> None:
    spoil(project / "shop.yaml")
    status, told = post(client, "shop", **github(payloads.github()))
    assert (status, told["detail"]) == (202, "It is kept, and looked at soon.")
    assert woken == ["look"]
    [kept] = HistoryHook().history().deliveries("shop", unjudged=True)
    assert kept.told[0]["commit"] == C1


def test_a_dag_that_cannot_be_woken_does_no_harm() -> None:
    answer = TestClient(endpoint.create()).post("/hooks/shop", **github(payloads.github()))
    assert answer.status_code == 200


def test_the_plugin_costs_a_task_no_web_framework() -> None:
    script = (
        "import sys; import airflow.plugins_manager; before = set(sys.modules)\n"
        "from release_pipelines.pages.plugin import ReleasePipelinesPlugin as plugin\n"
        "new = set(sys.modules) - before\n"
        "print([it for it in new if it.startswith(('fastapi', 'starlette', 'sqlalchemy', 'release_pipelines.airflow.endpoint'))])\n"
        "print(callable(plugin.fastapi_apps[0]['app']), plugin.fastapi_apps[0]['url_prefix'])"
    )
    said = subprocess.run([sys.executable, "-c", script], env=dict(os.environ), capture_output=True, text=True)
    assert said.stdout.splitlines()[-2:] == ["[]", "True /releases"], said.stderr


def test_the_api_server_mounts_it(woken: list[str]) -> None:
    from fastapi import FastAPI

    from release_pipelines.pages.plugin import ReleasePipelinesPlugin

    server = FastAPI()
    [it] = ReleasePipelinesPlugin.fastapi_apps
    server.mount(it["url_prefix"], it["app"])
    client = TestClient(server)
    assert client.post("/releases/hooks/shop", content=b"{}").status_code == 401
    assert client.post("/releases/hooks/shop", **github({}, "ping")).status_code == 200


SERVER = """
import sys
import uvicorn
from fastapi import FastAPI
from release_pipelines.airflow import endpoint
from release_pipelines.pages.plugin import ReleasePipelinesPlugin

endpoint.KEEP_SECONDS = 60.0
server = FastAPI()
for it in ReleasePipelinesPlugin.fastapi_apps:
    server.mount(it["url_prefix"], it["app"])
uvicorn.run(server, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_two_api_servers_that_hear_of_one_push_at_once_ask_for_one_release(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "postgres":
        address = make_url(str(request.getfixturevalue("postgres")))
        given = {"conn_type": "postgres", "host": address.host, "port": address.port, "login": address.username}
        given |= {"schema": address.database}
    else:
        given = {"conn_type": "sqlite", "host": f"{tmp_path}/history.db"}
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", json.dumps(given))
    ports = [free_port(), free_port()]
    servers = [subprocess.Popen([sys.executable, "-c", SERVER, str(it)], env=dict(os.environ)) for it in ports]
    try:
        for it in ports:
            answers(f"http://127.0.0.1:{it}/releases/hooks/shop")

        def send(n: int) -> str:
            found = httpx.post(
                f"http://127.0.0.1:{ports[n % 2]}/releases/hooks/shop",
                timeout=90,
                **github(payloads.github(), delivery=f"g{n}"),
            )
            assert found.status_code == 200, found.text
            return str(found.json()["pushes"][0]["result"])

        with ThreadPoolExecutor(10) as pool:
            results = list(pool.map(send, range(10)))
        assert sorted(results) == ["kept", *["known"] * 9]
        assert starts() == [f"commit:{C1}"]
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait(30)


def answers(address: str) -> None:
    until = time.monotonic() + 240
    while True:
        try:
            assert httpx.post(address, content=b"{}", timeout=90).status_code == 401
            return
        except httpx.ConnectError:
            assert time.monotonic() < until, "the server does not begin"
            time.sleep(0.1)
