"""Triggers last for hours: what they are opened with may expire, or not be there yet."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from release_pipelines.airflow import triggers
from release_pipelines.airflow.hooks import platform as hook
from release_pipelines.airflow.triggers import LeaseFreeTrigger
from release_pipelines.core.errors import CredentialsRefused, PlatformUnavailable
from release_pipelines.core.model.base import to_json
from release_pipelines.core.progression import waiting
from tests.fakes import World, target


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Errors of the platforms that are opened one after the other; None is none."""
    errors: list[Any] = []

    def build(*_: Any) -> Any:
        error = errors.pop(0)
        if isinstance(error, PlatformUnavailable):
            raise error
        world = World()

        def refuse(call: str) -> None:
            if error:
                raise error

        world.before = refuse
        return world.platform()

    monkeypatch.setattr(hook, "_build", build)
    monkeypatch.setattr(waiting, "RETRY_SECONDS", 0.01)
    for name in ("PLATFORM", "REGISTRY"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic"}))
    return errors


def event() -> Any:
    async def run() -> Any:
        return await anext(aiter(LeaseFreeTrigger(target=to_json(target())).run()))

    return asyncio.run(run()).payload


def test_credentials_that_are_not_accepted_are_read_anew_and_the_work_goes_on(opened: list[Any]) -> None:
    opened += [CredentialsRefused("WRONGPASS"), CredentialsRefused("WRONGPASS"), None]
    assert event() == {"free": True}
    assert opened == []


def test_a_connection_that_cannot_be_opened_now_is_opened_later(opened: list[Any]) -> None:
    opened += [PlatformUnavailable("The plugin failed."), None]
    assert event() == {"free": True}


def test_a_refusal_that_stays_is_told(opened: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "REFUSED_SECONDS", 0.02)
    opened += [CredentialsRefused("WRONGPASS")] * 50
    assert event() == {"error": "WRONGPASS", "kind": "CredentialsRefused"}
