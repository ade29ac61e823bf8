"""From where somebody asks, behind proxies."""

from __future__ import annotations

import pytest

from release_pipelines.core.peers import asking_address

WROTE = ["8.8.8.8", "203.0.113.7"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "right"),
    [
        ("10.0.0.5", WROTE, ["10.0.0.0/8"], "203.0.113.7"),
        ("10.0.0.5", WROTE, [], "10.0.0.5"),
        ("::ffff:10.0.0.5", WROTE, ["10.0.0.0/8"], "203.0.113.7"),
        ("::ffff:10.0.0.5", [], [], "10.0.0.5"),
        ("10.0.0.5", ["8.8.8.8", "203.0.113.7", "10.1.2.3"], ["10.0.0.0/8"], "203.0.113.7"),
        ("10.0.0.5", ["10.9.9.9"], ["10.0.0.0/8"], "10.9.9.9"),
        ("10.0.0.5", ["8.8.8.8", "garbage"], ["10.0.0.0/8"], "10.0.0.5"),
        ("203.0.113.9", ["10.0.0.1"], ["10.0.0.0/8"], "203.0.113.9"),
        ("fd00::1", ["2001:db8::7"], ["fd00::/8"], "2001:db8::7"),
        ("testclient", WROTE, ["10.0.0.0/8"], "testclient"),
        (None, WROTE, ["0.0.0.0/0"], ""),
    ],
)
def test_the_last_address_before_trusted_proxies_counts(
    peer: str | None, forwarded: list[str], trusted: list[str], right: str
) -> None:
    assert asking_address(peer, forwarded, trusted) == right
