"""A private repository, read with an Airflow connection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from release_pipelines.adapters.git import GitError
from release_pipelines.airflow.hooks.git import GitHook
from tests.repositories import commit, served


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return tmp_path / "shop"


def test_a_private_repository_is_read_with_its_connection(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # R11
    tagged = commit(shop, {"a": "1"}, "v1.0.0")
    monkeypatch.setenv("AIRFLOW_CONN_CODE", json.dumps({"conn_type": "git", "login": "ann", "password": "hunter2"}))
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", json.dumps({"conn_type": "git", "login": "ann", "password": "oops"}))
    with served(shop, "ann", "hunter2") as url:
        hook = GitHook(url, "code")
        assert hook.resolve("1.0.0", "main").commit == tagged
        with hook.checkout(tagged) as folder:  # this server cannot give a single commit
            assert (folder / "a").read_text() == "1"
        with pytest.raises(GitError, match=r"refuses to be read \(connection wrong\)") as caught:
            GitHook(url, "wrong").resolve("1.0.0", "main")
        assert "oops" not in str(caught.value)
        with pytest.raises(GitError, match="no Git connection is given"):
            GitHook(url).resolve("1.0.0", "main")
