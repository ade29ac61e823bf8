"""Who is let in: over the bytes as they came."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.pushes.signature import refused

SECRET = "pear-tree-7"
BODY = b'{"ref": "refs/heads/main", "after": "1111111111111111111111111111111111111111", "note": "gr\xc3\xbcn \xe2\x9c\x85 \\u001B[0m", "n": 1.0}\n'
SIGNED = "sha256=5426069afd28c0a3af8b2445be78bf1697a9810a74a10fdeb78a89a52ee846e0"
NOW = 1795770000.0


def of(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def standard(secret: str = SECRET, at: float = NOW, body: bytes = BODY, name: str = "m1") -> dict[str, str]:
    made = hmac.new(secret.encode(), f"{name}.{at:.0f}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": name,
        "webhook-timestamp": f"{at:.0f}",
        "webhook-signature": "v1," + base64.b64encode(made).decode(),
    }


def test_the_signature_over_the_bytes_as_they_came_is_let_in() -> None:
    assert len(BODY) == 121
    assert refused({"x-hub-signature-256": SIGNED}, BODY, SECRET, NOW) is None


@pytest.mark.parametrize(
    ("signed", "begins"),
    [
        (json.dumps(json.loads(BODY)).encode(), "c054a142"),
        (json.dumps(json.loads(BODY), separators=(",", ":"), ensure_ascii=False).encode(), "4939dfcf"),
        (BODY.rstrip(b"\n"), "d1816b0f"),
    ],
    ids=["parsed and written again", "compact", "without the newline"],
)
def test_a_signature_over_other_bytes_of_the_same_meaning_is_refused(signed: bytes, begins: str) -> None:
    signature = of(signed)
    assert signature.startswith(f"sha256={begins}")
    assert refused({"x-hub-signature-256": signature}, BODY, SECRET, NOW)


def test_sha1_alone_no_header_and_another_apps_secret_are_refused() -> None:
    sha1 = "sha1=" + hmac.new(SECRET.encode(), BODY, "sha1").hexdigest()
    assert refused({"x-hub-signature": sha1}, BODY, SECRET, NOW)
    assert refused({}, BODY, SECRET, NOW)
    assert refused({"x-hub-signature-256": of(BODY, "plum-tree-8")}, BODY, SECRET, NOW)


@pytest.mark.parametrize("secret", [None, ""])
def test_an_app_without_a_secret_lets_nothing_in(secret: str | None) -> None:
    for headers in (
        {"x-hub-signature-256": of(BODY, "")},
        {"x-gitlab-token": ""},
        {"authorization": ""},
        standard(secret=""),
    ):
        assert refused(headers, BODY, secret, NOW)


def test_gitlabs_token_is_compared_as_it_is() -> None:
    assert refused({"x-gitlab-token": SECRET}, BODY, SECRET, NOW) is None
    assert refused({"x-gitlab-token": "pear-tree-8"}, BODY, SECRET, NOW)
    assert refused({"x-gitlab-token": "bÃ¼cher"}, BODY, SECRET, NOW)


def test_one_of_several_signatures_has_to_fit() -> None:
    headers = standard()
    both = headers | {"webhook-signature": f"v1,b2xk {headers['webhook-signature']}"}
    assert refused(both, BODY, SECRET, NOW) is None
    assert refused(headers | {"webhook-signature": "v1,b2xk"}, BODY, SECRET, NOW)
    assert refused(headers | {"webhook-id": "m2"}, BODY, SECRET, NOW)
    assert refused(
        headers | {"webhook-signature": headers["webhook-signature"].replace("v1,", "v2,")}, BODY, SECRET, NOW
    )


def test_a_signing_token_in_base64_is_the_key_that_it_stands_for() -> None:
    key = b"0123456789abcdef0123456789abcdef"
    made = hmac.new(key, f"m1.{NOW:.0f}.".encode() + BODY, hashlib.sha256).digest()
    headers = standard() | {"webhook-signature": "v1," + base64.b64encode(made).decode()}
    assert refused(headers, BODY, "whsec_" + base64.b64encode(key).decode(), NOW) is None


@pytest.mark.parametrize(("seconds", "let_in"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_a_signed_time_is_at_most_five_minutes_away(seconds: int, let_in: bool) -> None:
    assert (refused(standard(), BODY, SECRET, NOW + seconds) is None) == let_in


def test_a_time_that_is_none_is_refused() -> None:
    assert refused(standard() | {"webhook-timestamp": "soon"}, BODY, SECRET, NOW)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_only_the_same_bytes_fit(signed: bytes, came: bytes) -> None:
    assert (refused({"x-hub-signature-256": of(signed)}, came, SECRET, NOW) is None) == (signed == came)
