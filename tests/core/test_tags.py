"""How teams name a version's tag."""

from __future__ import annotations

import pytest

from release_pipelines.core.tags import GIT_TAGS, IMAGE_TAGS, carries_a_version, git_misfit, image_misfit, tags_of


def test_tags_of_one_app_need_its_name() -> None:
    assert tags_of(["v{version}", "{app}-v{version}"], "1.2.0", "cart") == ["v1.2.0", "cart-v1.2.0"]
    assert tags_of(["v{version}", "{app}-v{version}"], "1.2.0", None) == ["v1.2.0"]


@pytest.mark.parametrize(
    ("tag", "carries"),
    [
        ("v1.2.0", True),
        ("cart-v2.0.0-rc.1", True),
        ("release/1.0.0", True),
        ("wish-v1.2.0", False),
        ("2019-backup", False),
    ],
)
def test_tags_of_versions_are_told_from_others(tag: str, carries: bool) -> None:
    assert carries_a_version(tag, GIT_TAGS, "cart", "semver") is carries


@pytest.mark.parametrize("template", [*GIT_TAGS, "release/{app}/{version}", "{version}-final"])
def test_templates_of_git(template: str) -> None:
    assert git_misfit(template) is None


@pytest.mark.parametrize(
    "template", ["v1", "{versoin}", "v{version} {sha}", "-{version}", "a..{version}", "{version}*", "{version}.lock"]
)
def test_what_makes_no_tag_of_git(template: str) -> None:
    assert git_misfit(template)


@pytest.mark.parametrize("template", [*IMAGE_TAGS, "sha-{version}", "{app}_{version}"])
def test_templates_of_a_registry(template: str) -> None:
    assert image_misfit(template) is None


@pytest.mark.parametrize("template", ["latest", "release/{version}", "{app}@{version}", ".{version}", ""])
def test_what_makes_no_tag_of_a_registry(template: str) -> None:
    assert image_misfit(template)
