"""What a push means to an app."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.pushes.meaning import Receiver, Start, is_older, meaning, newest
from release_pipelines.core.pushes.push import Ignored, Push
from release_pipelines.core.pushes.reading import github
from release_pipelines.core.pushes.starts import Starts
from tests.core.pushes import payloads
from tests.core.pushes.payloads import C1, I1

SHOP = Receiver("shop", "commit", Starts(branch="main", tags=True), "https://git.example.org/acme/shop.git", "shop")
BUILT_ELSEWHERE = Receiver("shop", "semver", Starts(registry=True), None, "acme/shop")


def push(**payload: Any) -> Push:
    found = github("push", payloads.github(**payload))
    assert isinstance(found, Push)
    return found


def image(ref: str = "1.4.0", repository: str = "acme/shop") -> Push:
    return Push(kind="image", source="registry", repository=repository, ref=ref, digest=I1)


def test_a_branch_and_a_tag_on_one_commit_are_one_release() -> None:
    branch, tag = meaning(push(), SHOP), meaning(push(ref="refs/tags/v1.4.0", after="a" * 40), SHOP)
    assert isinstance(branch, Start)
    assert isinstance(tag, Start)
    assert branch.subject == tag.subject == f"commit:{C1}"
    assert branch.run_id == tag.run_id
    assert branch.version == tag.version == C1


def test_a_tag_is_its_version_where_versions_are_semantic() -> None:
    app = SHOP._replace(scheme="semver", starts=Starts(tags=True))
    found = meaning(push(ref="refs/tags/v1.4.0"), app)
    assert isinstance(found, Start)
    assert (found.version, found.commit) == ("1.4.0", C1)


@pytest.mark.parametrize(
    ("told", "receiver"),
    [
        (push(ref="refs/heads/feature"), SHOP),
        (push(ref="refs/tags/nightly"), SHOP),
        (push(repository={"full_name": "acme/cart"}), SHOP),
        (push(repository={"full_name": "cme/shop"}), SHOP),
        (push(ref="refs/tags/v1.4.0"), SHOP._replace(starts=Starts(branch="main"))),
        (push(), SHOP._replace(starts=Starts(tags=True))),
        (image("latest"), BUILT_ELSEWHERE),
        (image(repository="acme/cart"), BUILT_ELSEWHERE),
        (image(), SHOP),
        (image(), BUILT_ELSEWHERE._replace(starts=Starts())),
        (push(), BUILT_ELSEWHERE),
    ],
)
def test_what_is_not_asked_for_starts_nothing(told: Push, receiver: Receiver) -> None:
    assert isinstance(meaning(told, receiver), Ignored)


def test_our_own_account_and_files_that_a_release_wrote_start_nothing() -> None:
    starts = Starts(branch="main", ignore_accounts=["Release-Bot"], ignore_files=["deploy/*"])
    app = SHOP._replace(starts=starts)
    assert isinstance(meaning(push(sender={"login": "release-bot"}), app), Ignored)
    own = [{"added": [], "modified": ["deploy/production/shop.yaml"], "removed": []}]
    assert isinstance(meaning(push(commits=own), app), Ignored)
    assert isinstance(meaning(push(commits=[*own, {"added": ["app.py"], "modified": [], "removed": []}]), app), Start)
    assert isinstance(meaning(push(commits=[]), app), Start)  # of a push without its commits nobody can say that


@pytest.mark.parametrize("message", ["[skip ci]", "Merge\n\n* squashed: [ci skip] [no release]"])
def test_a_phrase_in_a_commit_suppresses_nothing(message: str) -> None:
    assert isinstance(meaning(push(head_commit={"id": C1, "message": message}), SHOP), Start)


def test_a_folder_as_repository_has_no_name_to_compare() -> None:
    assert isinstance(meaning(push(), SHOP._replace(repository=".sandbox/repositories/storefront")), Start)


@pytest.mark.parametrize("repository", ["git@git.example.org:acme/shop", "ssh://git@git.example.org/Acme/Shop.git/"])
def test_a_repository_is_known_however_its_address_is_written(repository: str) -> None:
    assert isinstance(meaning(push(), SHOP._replace(repository=repository)), Start)


def commit(name: str) -> Start:
    return Start("shop", name * 40, f"commit:{name * 40}", name * 40)


def before(one: str, other: str) -> bool:
    """A line of commits, named by their place."""
    return one < other


def test_a_parent_that_comes_after_its_child_is_older() -> None:
    assert is_older(commit("1"), commit("2"), "commit", before)
    assert not is_older(commit("2"), commit("1"), "commit", before)
    assert not is_older(commit("2"), commit("2"), "commit", before)


@given(st.permutations(list("12345")))
def test_of_many_the_newest_is_kept_in_whatever_order_they_came(order: list[str]) -> None:
    kept = newest([commit(it) for it in order], lambda one, other: is_older(one, other, "commit", before))
    assert kept == commit("5")


def test_of_many_versions_the_newest_is_kept() -> None:
    versions = ["1.9.0", "1.10.0", "1.10.0-rc.1"]
    for order in permutations(versions):
        found = newest(
            [Start("shop", it, f"digest:{it}") for it in order], lambda a, b: is_older(a, b, "semver", before)
        )
        assert found is not None
        assert found.version == "1.10.0"


def test_of_commits_without_an_order_the_last_one_is_kept() -> None:
    assert newest([commit("2"), commit("1")], lambda *_: False) == commit("1")
    assert newest([], lambda *_: False) is None
