"""Which commit a version is, and how its files are had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from release_pipelines.adapters.git import Git, GitError, folder_inside
from release_pipelines.core.errors import PlatformUnavailable
from tests.adapters.history.conftest import free_port
from tests.repositories import commit, git


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return tmp_path / "shop"


def test_a_tag_goes_before_the_branch(shop: Path) -> None:
    tagged = commit(shop, {"a": "1"}, "v1.0.0")
    plain = commit(shop, {"a": "2"}, "1.1.0")
    newest = commit(shop, {"a": "3"})
    repository = Git(str(shop))
    assert repository.resolve("1.0.0", "main").commit == tagged  # the commit, not the annotated tag's own object
    assert repository.resolve("1.1.0", "main").commit == plain
    found = repository.resolve("2.0.0", "main")
    assert (found.commit, found.ref) == (newest, "refs/heads/main")


def test_a_commit_is_a_version(shop: Path) -> None:
    first = commit(shop, {"a": "1"})
    commit(shop, {"a": "2"})
    repository = Git(str(shop))
    assert repository.resolve(first, "main").commit == first
    assert repository.resolve(first[:9], "main").commit == first
    with pytest.raises(GitError, match="no commit that begins with 0000000"):
        repository.resolve("0000000", "main")


def test_a_version_that_is_nowhere_is_a_sentence(shop: Path) -> None:  # R12
    commit(shop, {"a": "1"})
    with pytest.raises(GitError, match=r"neither a tag v9\.9\.9 or 9\.9\.9 nor a branch trunk"):
        Git(str(shop)).resolve("9.9.9", "trunk")


def test_the_files_of_the_commit_are_checked_out_and_go_away(shop: Path) -> None:
    first = commit(shop, {"a": "1"})
    commit(shop, {"a": "2"})
    repository = Git(str(shop))
    with repository.checkout(first) as folder:
        assert (folder / "a").read_text() == "1"
        assert repository.commit_time(folder) == git(shop, "show", "-s", "--format=%cI", first)
    assert not folder.exists()
    with pytest.raises(GitError, match="has no commit 1111"), repository.checkout("1" * 40):
        pass


def test_a_password_in_an_address_is_not_shown() -> None:  # R11
    url = f"http://ann:hunter2@127.0.0.1:{free_port()}/shop.git"
    with pytest.raises(PlatformUnavailable, match="cannot be reached") as caught:
        Git(url).resolve("1.0.0", "main")
    assert "hunter2" not in str(caught.value)


def test_a_folder_that_is_no_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(GitError, match=f"Git could not read {tmp_path}"):
        Git(str(tmp_path)).resolve("1.0.0", "main")


def test_a_repository_cannot_be_an_option(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.parent)
    with pytest.raises(GitError):
        Git("--upload-pack=touch pwned").resolve("1.0.0", "main")
    assert "pwned" not in os.listdir()


def test_a_context_stays_inside_the_repository(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").touch()
    assert folder_inside(tmp_path, "app", "Dockerfile") == tmp_path / "app"
    with pytest.raises(ValueError, match="outside the repository"):
        folder_inside(tmp_path, "../..")
    with pytest.raises(ValueError, match="no such folder"):
        folder_inside(tmp_path, "nothing")
    with pytest.raises(ValueError, match="no such file in app"):
        folder_inside(tmp_path, "app", "Containerfile")
