"""Which images may leave the registry (R8)."""

from __future__ import annotations

from release_pipelines.core.model.records import Stability
from release_pipelines.core.retention import Tagged, decide, needed
from tests.adapters.history.conftest import digest


def version(name: str, letter: str, **more: object) -> Stability:
    given = {"held": 1, "good": True, "last_outcome": "released", "last_at": 1.0, **more}
    return Stability(version=name, digest=digest(letter), **given)  # type: ignore[arg-type]


def tagged(name: str, letter: str, *belongs: str) -> Tagged:
    return Tagged(name, digest(letter), frozenset(map(digest, belongs)))


RECORDED = {it: (it, digest(letter)) for it, letter in (("1.0.0", "a"), ("1.1.0", "b"), ("1.2.0", "c"))}


def test_what_may_be_rolled_back_to_stays_and_the_rest_goes_with_all_that_belongs_to_it() -> None:
    reasons = needed({"shop": [version("1.2.0", "c"), version("1.1.0", "b"), version("1.0.0", "a")]}, keep=2)
    found = [tagged("1.0.0", "a", "1", "2"), tagged("1.1.0", "b", "2", "3"), tagged("1.2.0", "c", "4")]
    decided = decide(found, RECORDED, reasons)
    (going,) = decided.goes
    assert (going.version, going.tags) == ("1.0.0", ["1.0.0"])
    assert going.digests == [digest("a"), digest("1")]  # 2 is a layer of meaning of 1.1.0, too
    assert decided.stays == {
        "1.1.0": "shop 1.1.0 may be rolled back to (2 of 2)",
        "1.2.0": "shop 1.2.0 may be rolled back to (1 of 2)",
    }


def test_the_last_good_version_stays_however_many_went_wrong_since() -> None:
    wrong = {"good": False, "last_outcome": "rolled_back"}
    versions = [version("1.2.0", "c", **wrong), version("1.1.0", "b", **wrong), version("1.0.0", "a")]
    reasons = needed({"shop": versions}, keep=1)
    assert reasons[digest("a")] == "shop 1.0.0 is the last good version"
    assert digest("b") not in reasons


def test_what_is_being_released_stays() -> None:
    running = version("1.0.0", "a", held=0, good=False, last_outcome=None)
    held = [version("1.2.0", "c"), version("1.1.0", "b")]
    assert needed({"shop": [*held, running]}, keep=1)[digest("a")] == "shop 1.0.0 is being released"


def test_a_tag_that_the_history_does_not_know_or_that_names_something_else_stays_with_its_image() -> None:
    found = [tagged("1.0.0", "a"), tagged("latest", "a"), tagged("1.1.0", "9"), tagged("by-hand", "8", "7")]
    decided = decide(found, {**RECORDED, "1.3.0": ("1.3.0", digest("7"))}, {})
    assert decided.goes == []
    assert decided.stays == {
        "latest": "the history knows no such version",
        "1.0.0": "it is the image of latest",
        "1.1.0": "it names another digest than 1.1.0 was released by",
        "by-hand": "the history knows no such version",
    }


def test_an_image_that_is_part_of_what_stays_stays() -> None:
    decided = decide([tagged("1.0.0", "a"), tagged("nightly", "9", "a")], RECORDED, {})
    assert decided.goes == []
    assert decided.stays["1.0.0"] == "it is part of what stays"


def test_another_app_that_goes_back_to_the_same_image_keeps_it() -> None:
    reasons = needed({"shop": [version("1.2.0", "c")], "search": [version("7", "a")]}, keep=1)
    decided = decide([tagged("1.0.0", "a")], RECORDED, reasons)
    assert decided.goes == []


def test_two_tags_of_one_image_go_together() -> None:
    (going,) = decide([tagged("1.0.0", "a"), tagged("v1.0.0", "a")], {**RECORDED, "v1.0.0": RECORDED["1.0.0"]}, {}).goes
    assert going.tags == ["1.0.0", "v1.0.0"]
