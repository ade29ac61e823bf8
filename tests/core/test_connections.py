"""A connection's type decides what builds images and what keeps them."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from release_pipelines.adapters.builders.engine import Engine
from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.core import seams
from release_pipelines.core.errors import ExtensionError
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.ports.builder import builder
from release_pipelines.core.ports.registry import registry


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A builder and a registry of another package, and a builder that cannot be loaded."""

    def extension(group: str, name: str, value: str) -> seams.Extension:
        return seams.Extension(EntryPoint(name, value, group), "acme")

    found: dict[str, Any] = {
        "release_pipelines.builders": {
            "kaniko": [extension("release_pipelines.builders", "kaniko", f"{__name__}:Other")],
            "broken": [extension("release_pipelines.builders", "broken", "acme.nowhere:BUILDER")],
        },
        "release_pipelines.registries": {
            "artifacts": [extension("release_pipelines.registries", "artifacts", f"{__name__}:Other")]
        },
    }
    monkeypatch.setattr(seams, "extensions", lambda: found)
    seams._loaded.cache_clear()


class Other:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection


@pytest.mark.usefixtures("others")
def test_the_connections_type_names_what_serves_it() -> None:
    assert isinstance(builder(Connection("kaniko")), Other)
    assert isinstance(registry(Connection("artifacts")), Other)


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("kind", ["container_host", "generic", ""])
def test_every_other_connection_is_an_engine_or_a_plain_registry(kind: str) -> None:
    assert isinstance(builder(Connection(kind)), Engine)
    assert isinstance(registry(Connection(kind)), Distribution)


@pytest.mark.usefixtures("others")
def test_a_builder_that_cannot_be_loaded_is_a_sentence_where_it_is_used() -> None:
    with pytest.raises(ExtensionError, match="The builder `broken` of package acme cannot be loaded"):
        builder(Connection("broken"))


def test_a_connection_shows_no_secret() -> None:
    shown = repr(
        Connection("registry", "https://ann:hunter2@example.org", None, "ann", "hunter2", {"token": "hunter2"})
    )
    assert "hunter2" not in shown
