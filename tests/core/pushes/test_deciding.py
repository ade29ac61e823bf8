"""What becomes of a start."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.core.model.records import Release
from release_pipelines.core.pushes.comparing import newest_tag, robot
from release_pipelines.core.pushes.deciding import AGREES_WITHIN, behind, confirmed, known, order
from release_pipelines.core.pushes.meaning import Start
from release_pipelines.core.tags import GIT_TAGS, IMAGE_TAGS
from tests.core.pushes.payloads import C1, C3, C5, I1

I2 = "sha256:" + "2" * 64
IMAGE = Start("shop", "1.4.0", f"digest:{I1}", digest=I1, tag="1.4.0", source="registry")


def commit(name: str) -> Start:
    return Start("shop", name, f"commit:{name}", name)


def release(version: str, **more: Any) -> Release:
    return Release.model_validate(
        {"id": f"release_shop/{version}#0", "app": "shop", "dag_id": "release_shop", "run_id": "by-hand",
         "version": version, "started_at": 1.0, **more}
    )  # fmt: skip


SEMVER = order("semver", lambda *_: False)
LINE = order("commit", lambda one, other: one < other)


def test_nothing_is_known_of_what_is_new() -> None:
    assert known(IMAGE, []) is None


@pytest.mark.parametrize("outcome", [None, "released", "failed", "rolled_back", "rejected"])
def test_what_was_released_in_whatever_way_is_not_started_again(outcome: str | None) -> None:
    fate = known(IMAGE, [release("1.4.0", digest=I1, outcome=outcome)])
    assert fate is not None
    assert fate.state == "ignored"
    assert (outcome or "running") in fate.sentence


def test_a_version_that_comes_with_another_image_or_commit_is_refused() -> None:  # R1
    fate = known(IMAGE, [release("1.4.0", digest=I2)])
    assert fate is not None
    assert fate.state == "refused"
    assert fate.sentence == (
        f"1.4.0 is known as {I2} (release_shop/1.4.0#0), and {I1} was pushed: a version keeps its image"
    )
    moved = known(Start("shop", "1.4.0", f"commit:{C1}", C1), [release("1.4.0", digest=I2, commit=C3)])
    assert moved is not None
    assert moved.state == "refused"


def test_its_own_run_is_what_it_started() -> None:
    fate = known(IMAGE, [release("1.4.0", run_id=IMAGE.run_id), release("1.4.0", digest=I2)])
    assert fate is not None
    assert fate.state == "started"


def test_a_tag_is_waited_for_and_then_the_digest_counts() -> None:
    def waited(named: str | None, seconds: float, there: bool = True) -> str | None:
        fate = confirmed(IMAGE, named, lambda _: there, seconds)
        return fate and fate.state

    assert waited(I1, 0) == "starting"
    for early in (None, I2):
        assert waited(early, 0) is None
        assert waited(early, AGREES_WITHIN - 1) is None
        assert waited(early, AGREES_WITHIN) == "starting"
        assert waited(early, AGREES_WITHIN, there=False) == "refused"


def test_an_asset_says_what_the_registry_says_or_starts_nothing() -> None:
    event = IMAGE._replace(source="asset")
    for named in (None, I2):
        fate = confirmed(event, named, lambda _: True, 0)
        assert fate is not None
        assert fate.state == "refused"
    agreed = confirmed(event, I1, lambda _: False, 0)
    assert agreed is not None
    assert agreed.state == "starting"


def test_what_is_older_than_what_is_released_starts_nothing() -> None:
    fate = behind(IMAGE, "semver", [release("1.5.0", outcome="released")], SEMVER)
    assert fate is not None
    assert fate.sentence == "it is older than 1.5.0 (release_shop/1.5.0#0): to go back is for a person"
    assert behind(IMAGE, "semver", [release("1.3.0", outcome="released")], SEMVER) is None


def test_a_version_that_was_taken_back_stands_in_no_hotfix_way() -> None:
    assert behind(IMAGE, "semver", [release("2.0.0", outcome="rolled_back")], SEMVER) is None


@pytest.mark.parametrize("outcome", [None, "released", "rolled_back"])
def test_a_branch_that_was_forced_back_is_not_released_unasked(outcome: str | None) -> None:
    live = release(C5, commit=C5, outcome=outcome)
    assert behind(commit(C3), "commit", [live], LINE) is not None
    assert behind(commit("6" * 40), "commit", [live], LINE) is None


def test_a_running_release_that_has_no_commit_yet_counts_by_its_version() -> None:
    assert behind(commit(C3), "commit", [release(C5)], LINE) is not None


def test_the_highest_version_is_the_newest_tag() -> None:
    assert newest_tag(["v1.9.0", "v1.10.0", "nightly", "v1.2.0"], GIT_TAGS, "shop", "semver") == "v1.10.0"
    assert newest_tag(["shop-v1.0.0", "cart-v2.0.0"], GIT_TAGS, "shop", "semver") == "shop-v1.0.0"
    assert newest_tag(["20261123", "v1.0.0"], GIT_TAGS, "shop", "commit") == "v1.0.0"
    assert newest_tag(["latest"], IMAGE_TAGS, "shop", "semver") is None


def test_a_robot_is_known_by_its_name_or_its_e_mail_and_must_have_made_all() -> None:
    bot, person = ("release-bot", "bot@example.org"), ("Ann", "ann@example.org")
    assert robot([bot], ["Release-Bot"]) == "Release-Bot"
    assert robot([("x", "123+release-bot@users.noreply.example")], ["release-bot"]) == "release-bot"
    assert robot([bot, person], ["release-bot"]) is None
    assert robot([person, bot], ["release-bot"]) is None
    assert robot([], ["release-bot"]) is None
    assert robot([("", "")], ["release-bot"]) is None
