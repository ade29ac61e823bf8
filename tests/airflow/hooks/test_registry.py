"""A registry, as its Airflow connection names it."""

from __future__ import annotations

import json

import pytest

from release_pipelines.airflow.hooks.registry import RegistryHook
from tests.adapters.history.conftest import free_port


def hook(monkeypatch: pytest.MonkeyPatch, port: int, password: str | None = None) -> RegistryHook:
    connection = {"conn_type": "registry", "host": f"127.0.0.1:{port}", "extra": {"insecure": True}}
    if password:
        connection |= {"login": "ann", "password": password}
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps(connection))
    return RegistryHook("registry")


def test_the_connection_says_where_images_are(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = hook(monkeypatch, 5000, "hunter2")
    assert registry.repository("shop") == "127.0.0.1:5000/shop"
    login = registry.get_conn().login
    assert login is not None
    assert (login.host, login.user, login.password) == ("127.0.0.1:5000", "ann", "hunter2")
    assert "hunter2" not in repr(login)


def test_a_registry_that_is_away_fails_the_test_button(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hook(monkeypatch, free_port()).test_connection()[0] is False
