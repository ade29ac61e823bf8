"""Who people are to Airflow: who started a run, and how its auth manager tells who may answer a form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from release_pipelines.core.approvers import id_of, in_words, words_of
from release_pipelines.core.model.person import Asked, Person

if TYPE_CHECKING:
    from airflow.sdk.execution_time.hitl import HITLUser

SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
NOT_SET = "admin:admin"
"""Airflow's default of the simple auth manager's users, which is what a worker reads that need not know them."""
OWN_IDS = "airflow.providers."
"""Auth managers of Airflow's providers (FAB, Keycloak) compare ids that only they know."""


def asked_by(run: Any, requested_by: object) -> Asked:
    """Who asks for a run: the person whom its form names, and the user who started it, where that is another one.

    :param run: the DAG run of the context.
    :param requested_by: the form's field.
    """
    named, started = str(requested_by or "").strip() or None, run.triggering_user_name or None
    if named is None or started is None or named == started:
        return Asked(named or started)
    return Asked(named, started)


class AuthManager(NamedTuple):
    """What is known of Airflow's auth manager.

    :param name: its class.
    :param compares: what it compares with the people of a form: their ``names``, their ``ids``, which no task can look up, or
        ``nothing``.
    :param users: names of all its users; None where that is not known.
    """

    name: str
    compares: Literal["names", "ids", "nothing"]
    users: frozenset[str] | None = None


def auth_manager() -> AuthManager:
    """The auth manager of the configuration here."""
    from airflow.sdk.configuration import conf

    path = conf.get("core", "auth_manager", fallback=None) or SIMPLE
    name = path.rpartition(".")[2]
    if path == SIMPLE:
        if conf.getboolean("core", "simple_auth_manager_all_admins", fallback=False):
            return AuthManager(name, "nothing")
        users = conf.get("core", "simple_auth_manager_users", fallback=None) or ""
        known = frozenset(it.partition(":")[0].strip() for it in users.split(",") if it.strip())
        return AuthManager(name, "names", known if users != NOT_SET and known else None)
    return AuthManager(name, "names" if _has_own_rule(path) else "ids")


def _has_own_rule(path: str) -> bool:
    """Whether an auth manager of a team's own says itself who may answer: by name, by group, by role."""
    if path.startswith(OWN_IDS):
        return False
    try:
        from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager

        module, _, name = path.rpartition(".")
        own = getattr(import_module(module), name).is_authorized_hitl_task
    except Exception:  # it is installed where the API server runs, and need not be here
        return False
    return own is not BaseAuthManager.is_authorized_hitl_task


def assigned_users(people: Sequence[str | Person], manager: AuthManager) -> list[HITLUser] | None:
    """The people of a form, as Airflow compares them; None: Airflow lets everybody answer, and the answer is looked at."""
    if manager.compares != "ids":
        return [{"id": word, "name": str(it)} for it in people for word in words_of(it)] or None
    known = [(id_of(it), str(it)) for it in people]
    if not all(id_ for id_, _ in known):
        return None
    return [{"id": str(id_), "name": name} for id_, name in known] or None


def remarks(people: Sequence[str | Person], manager: AuthManager) -> Iterator[str]:
    """What stands in the way of somebody's answer, as far as that shows beforehand: a sentence each, without a full stop."""
    if manager.compares == "nothing":
        yield f"{manager.name} takes everybody for one user (simple_auth_manager_all_admins): four eyes cannot be told apart"
        return
    if manager.users is not None:
        strangers = [it for it in people if not manager.users.intersection(words_of(it))]
        if strangers:
            who = in_words(strangers).replace(" or ", " and ")
            yield f"{manager.name} has no user {who}: nobody can answer by that name"
    if manager.compares != "ids":
        return
    for it in people:
        if all("@" in word for word in words_of(it)):
            yield (
                f"{manager.name} tells the id and the name of who answers and no e-mail: {it} counts only where that is the "
                "user's name, else `name` beside `email` is expected in `approvers`"
            )
        elif all(word == id_of(it) for word in words_of(it)):
            yield f"{it} is known by the id alone: to give the commands `promote` and `skip`, `name` beside `id` is expected in `approvers`"
