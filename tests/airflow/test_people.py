"""Who people are to Airflow: who asks, and how its auth manager tells who may answer (R10)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

from release_pipelines.airflow.people import AuthManager, asked_by, assigned_users, auth_manager, remarks
from release_pipelines.core.model.person import Asked, Person

FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


class ByRole(SimpleAuthManager):
    """An auth manager of a team's own, with a rule of its own about forms."""

    def is_authorized_hitl_task(self, *, assigned_users: set[str], user: Any) -> bool:
        return user.role in assigned_users


@pytest.mark.parametrize(
    ("started", "named", "asked"),
    [
        ("alice", "", Asked("alice")),
        ("alice", "alice", Asked("alice")),
        (None, " alice ", Asked("alice")),
        ("robot", "alice", Asked("alice", "robot")),
        (None, None, Asked()),
    ],
)
def test_a_run_is_asked_for_by_whom_it_names_and_by_who_started_it(started: Any, named: Any, asked: Asked) -> None:
    assert asked_by(SimpleNamespace(triggering_user_name=started), named) == asked


@pytest.mark.parametrize(
    ("path", "known"),
    [
        (None, AuthManager("SimpleAuthManager", "names", frozenset({"alice", "bob"}))),
        (FAB, AuthManager("FabAuthManager", "ids")),
        (f"{__name__}.ByRole", AuthManager("ByRole", "names")),
        ("nowhere.Unknown", AuthManager("Unknown", "ids")),
    ],
)
def test_what_an_auth_manager_compares_is_known(
    path: str | None, known: AuthManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "alice:admin, bob:user")
    if path:
        monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", path)
    assert auth_manager() == known


def test_where_everybody_is_one_user_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "true")
    [said] = remarks(["bob"], auth_manager())
    assert "four eyes cannot be told apart" in said


IDS = AuthManager("FabAuthManager", "ids")
BOB = Person(name="bob", email="bob@example.org", id="7")


def test_airflow_is_given_the_people_as_it_compares_them() -> None:
    names = AuthManager("SimpleAuthManager", "names")
    assert assigned_users(["bob"], names) == [{"id": "bob", "name": "bob"}]
    assert assigned_users([BOB, "8"], IDS) == [{"id": "7", "name": "bob"}, {"id": "8", "name": "8"}]
    assert assigned_users([BOB, "carol"], IDS) is None  # or nobody could answer but bob
    assert assigned_users([], names) is None


@pytest.mark.parametrize(
    ("person", "manager", "said"),
    [
        ("bob", IDS, None),
        (BOB, IDS, None),
        ("bob@example.org", IDS, "no e-mail: bob@example.org counts only where that is the user's name"),
        (Person(email="bob@example.org"), IDS, "`name` beside `email` is expected"),
        ("7", IDS, "7 is known by the id alone"),
        ("bob", AuthManager("SimpleAuthManager", "names", frozenset({"bob"})), None),
        ("bobb", AuthManager("SimpleAuthManager", "names", frozenset({"bob"})), "has no user bobb"),
    ],
)
def test_who_cannot_be_matched_is_said_beforehand(person: Any, manager: AuthManager, said: str | None) -> None:
    found = list(remarks([person], manager))
    assert found == [] if said is None else said in found[0]
