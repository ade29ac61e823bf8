"""Which repositories nobody can fetch, and what may have been meant (R12)."""

from __future__ import annotations

import pytest

from release_pipelines.core.model.source import repository_misfit, without_login

WRONG = {
    "ftp//example.org/shop": "ftp://example.org/shop",
    "htps://git.example.org/shop": "https://git.example.org/shop",
    "HTTPS://git.example.org/shop": "https://git.example.org/shop",
    "https//git.example.org/shop": "https://git.example.org/shop",
    "https:/git.example.org/shop": "https://git.example.org/shop",
    "https:git.example.org/shop": "https://git.example.org/shop",
    " https://git.example.org/shop": "https://git.example.org/shop",
    "sssh://git@example.org/shop": "ssh://example.org/shop",
    "htps://ann:hunter2@git.example.org/shop": "https://git.example.org/shop",
    "file:/srv/shop": "file:///srv/shop",
}


@pytest.mark.parametrize(("written", "meant"), WRONG.items())
def test_an_address_that_nobody_can_fetch_is_refused_with_what_may_have_been_meant(written: str, meant: str) -> None:
    expected = repository_misfit(written)
    assert expected is not None
    assert expected.endswith(f"; did you mean `{meant}`?")
    assert "hunter2" not in expected


@pytest.mark.parametrize("written", ["gopher://example.org/shop", "", "  "])
def test_what_is_like_nothing_that_git_reads_is_refused_without_a_guess(written: str) -> None:
    expected = repository_misfit(written)
    assert expected is not None
    assert "did you mean" not in expected


@pytest.mark.parametrize(
    "written",
    [
        "https://ann:token@git.example.org/shop.git",
        "git@example.org:team/shop.git",
        "example.org:/srv/shop.git",
        "git:team/shop",  # a host that ssh's settings call so
        "ssh://git@example.org:2222/team/shop",
        "git+ssh://example.org/shop",
        "file:///srv/shop",
        "codecommit://shop",
        "codecommit::eu-west-1://shop",
        "gopher::gopher://example.org/shop",
        ".sandbox/repositories/shop",
        "/srv/git/shop",
        "../shop",
        "ftp/shop",
        "files//shop",
        "example.org//shop",
    ],
)
def test_whatever_git_may_read_is_left_alone(written: str) -> None:
    assert repository_misfit(written) is None


def test_a_login_in_an_address_is_not_shown() -> None:  # R11
    assert without_login("fatal: 'https://ann:hunter2@example.org/x' and htps//ann:hunter2@b/x") == (
        "fatal: 'https://example.org/x' and htps//b/x"
    )
