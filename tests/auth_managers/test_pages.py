"""The pages of an API server with the FAB auth manager, below a path: who the page thinks asks, what they may, and where links lead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec

import httpx
import pytest

if find_spec("airflow.providers.fab") is None:
    pytest.skip("apache-airflow-providers-fab is not installed: `make auth` runs these", allow_module_level=True)

from release_pipelines.adapters.history import History, open_history
from tests.auth_managers.airflow import Airflow, started
from tests.pages.test_commands import APP, DAG, ENVIRONMENT, R1, RUN, at_step, begun, said

PATH = "/team-a/airflow"
RELEASE = f"/releases/runs/{DAG}/{RUN}"
OURS = {"sec-fetch-site": "same-origin"}
BROWSER = {"accept": "text/html"}


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    home = tmp_path_factory.mktemp("pages")
    for name, file, text in (
        ("apps", "shop", APP),
        ("environments", "production", ENVIRONMENT),
        ("environments", "base", "{}"),
    ):
        (home / name).mkdir(exist_ok=True)
        (home / name / f"{file}.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELEASE_PIPELINES_APPS", str(home / "apps"))
        patch.setenv("RELEASE_PIPELINES_CONFIG", str(home / "environments"))
        with started(home, path=PATH, components=["api-server"]) as it:
            yield it


@pytest.fixture(scope="module")
def history(airflow: Airflow) -> History:
    made = open_history(f"sqlite:///{airflow.home}/releases/history.db")
    begun(made, R1, "1.1.0")
    at_step(made, R1, "step_10", 10)
    return made


def browser(airflow: Airflow, user: str | None) -> httpx.Client:
    """Somebody with the cookie of their login."""
    made = httpx.Client(base_url=airflow.url, timeout=60)
    if user:
        made.cookies.set("_token", airflow.token(user), domain="127.0.0.1", path=f"{PATH}/")
    return made


def test_everybody_sees_what_their_role_may_read(airflow: Airflow, history: History) -> None:
    lists = {user: browser(airflow, user).get("/releases/").text for user in ("bob", "vic", "nina")}
    assert {user: "1.1.0" in text for user, text in lists.items()} == {"bob": True, "vic": True, "nina": False}
    pages = {user: browser(airflow, user).get(RELEASE, headers=BROWSER) for user in lists}
    assert {user: it.status_code for user, it in pages.items()} == {"bob": 200, "vic": 200, "nina": 403}
    offered = {user: set(re.findall(r'data-word="(\w+)"', it.text)) for user, it in pages.items()}
    assert offered["bob"] >= {"pause", "skip", "promote", "abort"}
    assert not offered["vic"] | offered["nina"]
    with browser(airflow, "vic").stream("GET", f"{RELEASE}/stream") as stream:
        assert any(line == "event: state" for line in stream.iter_lines())


def test_an_approver_is_known_by_the_name_that_the_file_has(airflow: Airflow, history: History) -> None:
    def skips(user: str | None, **headers: str) -> tuple[int, str]:
        answer = browser(airflow, user).post(f"{RELEASE}/commands", json=said("skip"), headers=headers)
        return answer.status_code, answer.json().get("detail", "")

    assert skips("bob")[0] == 403, "a cookie alone vouches for no page"
    assert skips(None, **OURS)[0] == 401
    assert skips("nina", **OURS)[0] == 403
    assert skips("vic", **OURS) == (403, "vic may not skip this release: Airflow lets them read its DAG only.")
    assert skips("dora", **OURS) == (403, "dora may not skip 1.1.0, because it shortens its checks: bob or carol may.")
    assert skips("bob", **OURS) == (200, "")
    assert [(it.kind, it.by) for it in history.commands(R1)] == [("skip", "bob")]


def test_everything_stays_below_the_path(airflow: Airflow, history: History) -> None:
    for page in (
        "/releases/",
        RELEASE,
        f"{RELEASE}/report",
        "/releases/calendar",
        "/releases/delivery",
        "/releases/audit",
    ):
        bob = browser(airflow, "bob")
        text = bob.get(page, headers=BROWSER).text
        links = set(re.findall(r'(?:href|src|data-base|data-airflow)="(/[^"]*)"', text))
        assert links
        assert {it for it in links if it != PATH and not it.startswith(f"{PATH}/")} == set()
        served = [it for it in links if it.endswith((".js", ".css"))]
        assert served
        assert {bob.get(it.removeprefix(PATH)).status_code for it in served} == {200}


def test_who_signs_in_comes_back_and_who_signs_out_is_out(airflow: Airflow, history: History) -> None:
    carol = browser(airflow, None)
    refused = carol.get(RELEASE, headers=BROWSER)
    [login] = re.findall(r"url=([^\"]*)", refused.text)
    form = carol.get(login.removeprefix(PATH), follow_redirects=True)
    [token] = re.findall(r'name="csrf_token"[^>]*value="([^"]*)"', form.text)
    words = {"username": "carol", "password": "carol", "csrf_token": token}
    back = carol.post(str(form.url), data=words)
    assert back.headers["location"] == f"{airflow.url}{RELEASE}"
    [cookie] = [it for it in back.headers.get_list("set-cookie") if it.startswith("_token=")]
    assert f"Path={PATH}/" in cookie
    assert "1.1.0" in carol.get(RELEASE, headers=BROWSER).text
    signed_in = carol.cookies["_token"]
    carol.get("/api/v2/auth/logout")
    again = browser(airflow, None)
    again.cookies.set("_token", signed_in, domain="127.0.0.1", path=f"{PATH}/")
    answer = again.get(RELEASE, headers=BROWSER)
    assert (answer.status_code, "/api/v2/auth/login?next=" in answer.text) == (401, True)
