from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import sample


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sample, "REPOSITORY", tmp_path / "storefront")
    return sample.make()


def _git(repository: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True, check=True).stdout


def test_every_version_is_a_tag_that_says_its_version(repository: Path) -> None:
    assert _git(repository, "tag").split() == [f"v{version}" for version in sample.VERSIONS]
    for version in sample.VERSIONS:
        assert _git(repository, "show", f"v{version}:VERSION").strip() == version


def test_making_it_again_gives_the_same_commits(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _git(repository, "rev-parse", "v1.2.0")
    monkeypatch.setattr(sample, "REPOSITORY", tmp_path / "again")
    assert _git(sample.make(), "rev-parse", "v1.2.0") == first


def test_the_fault_of_the_last_version_passes_its_own_tests(repository: Path) -> None:
    tests = subprocess.run([sys.executable, "-m", "unittest", "test_server"], cwd=repository, capture_output=True)
    assert tests.returncode == 0, tests.stderr
