"""Who gets in: every route, also those of tomorrow, because the app itself is asked for them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import USER_INJECTED_BY_TRUSTED_MIDDLEWARE
from fastapi import FastAPI
from starlette.routing import Mount

from release_pipelines.adapters.history import History
from tests.pages import people
from tests.pages.conftest import PREFIX, Client, token_of

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PLACES = {"dag_id": "release_shop", "run_id": "manual__1", "name": "x"}


def paths(app: Any, before: str = "") -> Iterator[str]:
    """Every path of an app, nested ones too, with something in the place of each parameter."""
    for route in app.routes:
        path = before + route.path
        for name in getattr(route, "param_convertors", {}):
            path = path.replace(f"{{{name}}}", PLACES.get(name, "x")).replace(f"{{{name}:path}}", "x")
        if isinstance(route, Mount):
            yield path + "/x"
            yield from paths(route.app, path) if hasattr(route.app, "routes") else ()
        else:
            yield path


def all_paths(server: FastAPI) -> list[str]:
    [mounted] = [it for it in server.routes if isinstance(it, Mount)]
    found = sorted(set(paths(mounted.app, PREFIX)))
    assert len(found) >= 2
    return [it for it in found if not it.startswith(f"{PREFIX}/static")]


@pytest.fixture
def release(history: History) -> str:
    history.begin("release_shop/manual__1", "shop", "release_shop", "manual__1", "1.0.0", requester="alice")
    return "release_shop/manual__1"


@pytest.mark.parametrize("method", METHODS)
def test_nobody_gets_anything_without_a_login(as_: Client, server: FastAPI, method: str) -> None:
    nobody, garbage, late = as_(None), as_(None), as_(None)
    garbage.cookies.set("_token", "garbage")
    late.cookies.set("_token", token_of("alice", -60))
    for path in [*all_paths(server), f"{PREFIX}/nothing", f"{PREFIX}/"]:
        assert nobody.request(method, path).status_code == 401, path
        assert late.request(method, path).status_code == 401, path
        assert garbage.request(method, path).status_code == 401, path


def test_what_may_not_be_read_and_what_does_not_exist_look_the_same(as_: Client, server: FastAPI, release: str) -> None:
    carol = as_("carol", read={"release_cart"})
    for path in [it for it in all_paths(server) if it.startswith(f"{PREFIX}/runs/")]:
        other = path.replace("release_shop", "release_nothing")
        answers = [carol.get(it, headers={"accept": "application/json"}) for it in (path, other)]
        assert [it.status_code for it in answers] == [403, 403], path
        assert answers[0].text == answers[1].text


def test_a_change_with_the_cookie_alone_comes_from_our_own_page(as_: Client, release: str) -> None:
    alice = as_("alice", read={"*"}, run={"*"})
    where = f"{PREFIX}/runs/release_shop/manual__1/commands"
    for headers in (
        {},
        {"origin": "http://wiki.example"},
        {"origin": "null"},
        {"sec-fetch-site": "same-site", "origin": "http://airflow.example"},
        {"sec-fetch-site": "cross-site"},
    ):
        assert alice.post(where, json={"kind": "abort", "reason": "x"}, headers=headers).status_code == 403, headers
    ours = {"origin": "http://airflow.example"}
    assert alice.post(where, content="{}", headers={**ours, "content-type": "text/plain"}).status_code == 415
    assert alice.post(where, headers=ours).status_code == 415


def test_a_browser_is_led_to_the_login_and_back(as_: Client) -> None:
    answer = as_(None).get(f"{PREFIX}/runs/release_shop/manual__1?life=1", headers={"accept": "text/html"})
    assert answer.status_code == 401
    assert "/api/v2/auth/login?next=%2Freleases%2Fruns%2Frelease_shop%2Fmanual__1%3Flife%3D1" in answer.text


def test_who_is_signed_out_is_led_to_the_login_again(as_: Client, release: str) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    alice = as_("alice", read={"*"})
    assert alice.get(f"{PREFIX}/").status_code == 200
    get_auth_manager().revoke_token(alice.cookies["_token"])
    answer = alice.get(f"{PREFIX}/", headers={"accept": "text/html"})
    assert answer.status_code == 401
    assert "/api/v2/auth/login?next=%2Freleases%2F" in answer.text
    assert alice.get(f"{PREFIX}/stream").status_code == 401


class Nobody(BaseUser):
    """Whom an auth manager lets in without a login."""

    def get_id(self) -> Any:
        return None

    def get_name(self) -> str:
        return "Anonymous"


def public(app: Any) -> Any:
    """Let everybody in, as FAB does where it has a public role."""

    async def let_in(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {}).update(user=Nobody(), user_authenticated_via=USER_INJECTED_BY_TRUSTED_MIDDLEWARE)
        await app(scope, receive, send)

    return let_in


def test_who_is_let_in_without_a_login_looks_and_changes_nothing(
    as_: Client, server: FastAPI, history: History, release: str
) -> None:
    history.begin("release_cart/manual__2", "cart", "release_cart", "manual__2", "7.7.7", requester="dave")
    people.READ["Anonymous"] = people.RUN["Anonymous"] = {"release_shop"}
    server.add_middleware(public)
    nobody = as_(None)
    listed = nobody.get(f"{PREFIX}/")
    assert (listed.status_code, "shop" in listed.text, "cart" in listed.text) == (200, True, False)
    assert nobody.get(f"{PREFIX}/runs/release_cart/manual__2").status_code == 403
    page = nobody.get(f"{PREFIX}/runs/release_shop/manual__1")
    assert (page.status_code, "data-word" in page.text) == (200, False)
    seen = {"release": "release_shop/manual__1#0"}
    for address, body in (
        ("commands", {"kind": "abort", "reason": "x", "seen": seen}),
        ("remarks", {"about": "happened", "text": "x"}),
    ):
        where = f"{PREFIX}/runs/release_shop/manual__1/{address}"
        assert nobody.post(where, json=body, headers={"sec-fetch-site": "same-origin"}).status_code == 401
    assert history.commands("release_shop/manual__1") == []


def test_where_airflow_cannot_say_who_asks_nothing_is_open(
    as_: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import sys

    alice = as_("alice", read={"*"})
    monkeypatch.setitem(sys.modules, "airflow.api_fastapi.core_api.security", None)
    with caplog.at_level(logging.ERROR):
        assert alice.get(f"{PREFIX}/").status_code == 403


def test_scripts_and_styles_are_the_same_for_everybody(as_: Client) -> None:
    answer = as_(None).get(f"{PREFIX}/static/pages.js")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert as_(None).get(f"{PREFIX}/static/../app.py").status_code in (401, 404)


def test_the_list_has_what_its_reader_may_see(as_: Client, history: History, release: str) -> None:
    history.begin("release_cart/manual__2", "cart", "release_cart", "manual__2", "7.7.7", requester="dave")
    alice = as_("alice", read={"release_shop"}).get(f"{PREFIX}/").text
    assert "shop" in alice
    for word in ("cart", "7.7.7", "dave"):
        assert word not in alice
    assert "No releases yet" in as_("mallory", read=set()).get(f"{PREFIX}/").text


def test_a_release_is_a_page(as_: Client, release: str) -> None:
    answer = as_("alice", read={"release_shop"}).get(f"{PREFIX}/runs/release_shop/manual__1")
    assert "shop 1.0.0" in answer.text
    other = as_("alice").get(f"{PREFIX}/runs/release_shop/another")
    assert other.status_code == 200
    assert "knows no release of this run" in other.text
