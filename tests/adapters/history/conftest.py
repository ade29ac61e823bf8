"""A history to try: a SQLite file always, a PostgreSQL server where its package is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from release_pipelines.adapters.history import History, open_history
from release_pipelines.core.model.artifact import Artifact
from tests.databases import free_port as free_port


@pytest.fixture
def history(tmp_path: Path) -> History:
    return open_history(f"sqlite:///{tmp_path}/history.db")


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def artifact(version: str, letter: str) -> Artifact:
    return Artifact(app="shop", version=version, image="registry.example/shop", digest=digest(letter), commit="c0ffee")
