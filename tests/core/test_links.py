"""Addresses that people are led to: what is a link, and what stays text."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from release_pipelines.core.links import commit_page, filled, graph, web_link
from release_pipelines.core.model.links import LinkSettings

SHA = "1" * 40


@pytest.mark.parametrize("address", ["https://git.example.com/c/1", "HTTPS://git.example.com/c/1", "http://[::1]:8/x"])
def test_addresses_of_the_web_are_links(address: str) -> None:
    assert str(web_link(address)).lower() == address.lower()


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        "\x01javascript:alert(1)",
        " https://git.example.com",
        "https://git.example.com/\nx",
        "data:text/html,x",
        "//evil.example/x",
        "https://",
        "https://[::1",
        "git@github.com:acme/shop.git",
        "",
        7,
        None,
    ],
)
def test_anything_else_is_text(address: Any) -> None:
    assert web_link(address) is None


def test_what_signs_in_stands_in_no_link() -> None:
    assert web_link("https://bot:tok3n@git.example.com/acme/shop.git") == "https://git.example.com/acme/shop.git"
    assert web_link("https://tok3n@git.example.com:8443/x?a=b#c") == "https://git.example.com:8443/x?a=b#c"


@pytest.mark.parametrize(
    ("repository", "page"),
    [
        ("git@github.com:acme/shop.git", "https://github.com/acme/shop/commit/"),
        ("https://github.com/acme/shop", "https://github.com/acme/shop/commit/"),
        ("https://bot:tok3n@git.example.com/acme/shop.git/", "https://git.example.com/acme/shop/commit/"),
        ("ssh://git@git.example.com:2222/acme/shop.git", "https://git.example.com/acme/shop/commit/"),
        ("https://bitbucket.org/acme/shop.git", "https://bitbucket.org/acme/shop/commits/"),
    ],
)
def test_a_commit_is_shown_by_the_forge_of_its_repository(repository: str, page: str) -> None:
    assert commit_page(repository, SHA) == page + SHA


@pytest.mark.parametrize(
    "repository", ["/srv/git/shop", "shop", "javascript:x", "file:///srv/git", "https://x.example", 7]
)
def test_a_repository_without_a_forge_has_no_page(repository: Any) -> None:
    assert commit_page(repository, SHA) is None


@pytest.mark.parametrize("commit", ["main", "../../x", "", None, "1" * 6])
def test_what_is_no_hash_has_no_page(commit: Any) -> None:
    assert commit_page("https://github.com/acme/shop", commit) is None


def test_names_in_an_address_are_filled_in_and_cannot_change_it() -> None:
    template = "https://grafana.example/d/shop?var-app={app}&v={version}"
    assert filled(template, {"app": "shop", "version": "1&x=/../y"}) == (
        "https://grafana.example/d/shop?var-app=shop&v=1%26x%3D%2F..%2Fy"
    )
    assert filled(template, {"app": "shop"}) is None


def test_prometheus_is_opened_with_the_queries() -> None:
    assert graph("https://p.example/", ['up{app="shop"}', "1"]) == (
        "https://p.example/graph?g0.expr=up%7Bapp%3D%22shop%22%7D&g0.tab=0&g0.range_input=60m"
        "&g1.expr=1&g1.tab=0&g1.range_input=60m"
    )
    assert graph("https://p.example", []) is None


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("javascript:alert(1)", "http or https is expected"),
        ("https://bot:tok3n@grafana.example", "without user and password"),
        ("https://grafana.example/{ap}", r"found `\{ap\}`"),
    ],
)
def test_a_setting_that_is_no_address_is_a_mistake(address: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why) as mistake:
        LinkSettings(grafana=address)
    assert "tok3n" not in str(mistake.value.errors(include_input=False))
