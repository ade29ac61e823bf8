"""What deliveries of forges and registries tell."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.pushes.push import Ignored, Push
from release_pipelines.core.pushes.reading import read
from tests.core.pushes.payloads import C1, CHILD, I1, TAG_OBJECT, ecr, github, gitlab, harbor, pushed

GITHUB, GITLAB = {"x-github-event": "push"}, {"x-gitlab-event": "Push Hook"}


def told(headers: dict[str, str], payload: Any) -> list[Push | Ignored]:
    return read(headers, json.dumps(payload).encode())


@pytest.mark.parametrize(("headers", "payload"), [(GITHUB, github()), (GITLAB, gitlab())])
def test_a_push_of_a_branch_names_its_commit_and_who_pushed(headers: dict[str, str], payload: Any) -> None:
    [push] = told(headers, payload)
    assert isinstance(push, Push)
    assert (push.kind, push.ref, push.commit, push.by, push.repository) == (
        "branch",
        "main",
        C1,
        "octocat",
        "acme/shop",
    )
    assert push.files == ["app.py"]


def test_an_annotated_tag_is_the_commit_that_it_names() -> None:
    on_github = github("refs/tags/v1.4.0", after=TAG_OBJECT)
    on_gitlab = gitlab("refs/tags/v1.4.0", after=TAG_OBJECT)
    for headers, payload in ((GITHUB, on_github), (GITLAB, on_gitlab)):
        [push] = told(headers, payload)
        assert isinstance(push, Push)
        assert (push.kind, push.ref, push.commit) == ("tag", "v1.4.0", C1)


@pytest.mark.parametrize(
    ("headers", "payload"),
    [
        (GITHUB, github(after="0" * 40, deleted=True, head_commit=None)),
        (GITHUB, github(deleted=True)),
        (GITHUB, github(head_commit=None)),
        (GITHUB, github(after="0" * 40)),
        (GITLAB, gitlab(after="0" * 40, checkout_sha=None)),
        (GITLAB, gitlab(checkout_sha=None)),
    ],
)
def test_a_deleted_ref_is_ignored(headers: dict[str, str], payload: Any) -> None:
    assert told(headers, payload) == [Ignored("refs/heads/main was deleted")]


@pytest.mark.parametrize(
    ("headers", "payload"),
    [
        ({"x-github-event": "ping"}, {"zen": "Design for failure."}),
        ({"x-gitlab-event": "Merge Request Hook"}, {"object_kind": "merge_request"}),
        ({}, {"what": "ever"}),
        (GITHUB, github(ref=None)),
        (GITHUB, github(repository="acme", head_commit={"id": None})),
        (GITHUB, github("refs/pull/1/head")),
        ({}, {"events": [1, None, {"action": "push"}]}),
        ({}, {"detail-type": "ECR Image Action"}),
        ({}, {"event_data": {"resources": [None]}, "type": "PUSH_ARTIFACT"}),
    ],
)
def test_what_is_no_push_is_ignored_with_a_reason(headers: dict[str, str], payload: Any) -> None:
    for it in told(headers, payload):
        assert isinstance(it, Ignored)
        assert it.sentence


@pytest.mark.parametrize("body", [b"", b"payload=%7B%7D", b"[1]", b"\xff", b'"x"', b"[" * 100_000])
def test_what_is_no_json_object_is_said(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^The body is no JSON"):
        read(GITHUB, body)


def test_an_image_for_two_platforms_is_told_once_whatever_the_order() -> None:
    events = [
        pushed(None, CHILD),
        pushed(None, "sha256:" + "d" * 64),
        pushed("1.4.0", I1, action="pull", method="HEAD"),
        pushed("1.4.0", I1),
        pushed("1.4.0", I1, action="pull", method="GET"),
        pushed(None, "sha256:" + "e" * 64, action="mount"),
        pushed("1.3.0", I1, action="delete", method="DELETE"),
    ]
    for order in (events, events[::-1]):
        pushes = [it for it in told({}, {"events": order}) if isinstance(it, Push)]
        assert [(it.ref, it.digest, it.by) for it in pushes] == [("1.4.0", I1, "builder")]
    alone = [it for event in events for it in told({}, {"events": [event]}) if isinstance(it, Push)]
    assert alone == pushes


def test_harbors_tag_that_is_a_digest_is_a_part_of_another_image() -> None:
    parts = told({}, harbor((CHILD, CHILD), ("1.4.0", I1)))
    assert [(it.ref, it.digest) for it in parts if isinstance(it, Push)] == [("1.4.0", I1)]
    assert [it for it in told({}, harbor(("1.4.0", I1), kind="PULL_ARTIFACT")) if isinstance(it, Push)] == []


def test_an_image_in_ecr_is_told_when_its_push_succeeded() -> None:
    [push] = told({}, ecr("1.4.0", I1))
    assert isinstance(push, Push)
    assert (push.ref, push.digest, push.repository) == ("1.4.0", I1, "shop")
    for other in (ecr("1.4.0", I1, action="DELETE"), ecr("1.4.0", I1, result="FAILURE")):
        assert isinstance(told({}, other)[0], Ignored)


def test_one_bad_event_does_not_take_the_others_along() -> None:
    events = [pushed("1.4.0", I1, "shop"), {"action": "push", "target": 7}, pushed("2.0.0", I1, "cart")]
    found = told({}, {"events": events})
    assert [it.repository for it in found if isinstance(it, Push)] == ["shop", "cart"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(github() | gitlab())), JSON), st.sampled_from([GITHUB, GITLAB, {}]))
def test_no_json_object_brings_it_down(changed: dict[str, Any], headers: dict[str, str]) -> None:
    for base in (github(), gitlab(), harbor(("1.4.0", I1)), ecr("1.4.0", I1), {"events": [pushed("1.4.0", I1)]}):
        assert told(headers, {**base, **changed})
