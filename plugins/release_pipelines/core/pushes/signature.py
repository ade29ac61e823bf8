"""Whether a delivery comes from who knows the app's secret: over the bytes as they came, compared in constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

TOLERANCE = 300.0
"""Maximum difference between a signed time and now, in seconds."""
STANDARD_SECRET = "whsec_"  # noqa: S105 - how such secrets begin
"""Signing tokens of webhooks with ``webhook-signature`` begin so; what follows is the key in base64."""


def refused(headers: Mapping[str, str], body: bytes, secret: str | None, now: float) -> str | None:
    """Why a delivery is not let in, without a full stop; None: it knows the secret.

    :param headers: the request's headers, their names in lower case.
    :param body: the body's bytes as they came.
    :param secret: the app's secret; None, or an empty one: nobody is let in.
    :param now: Unix time in seconds.
    """
    if not secret:
        return "no secret is known for this app"
    if signed := headers.get("x-hub-signature-256"):
        expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return None if _same(signed, expected) else "the signature in X-Hub-Signature-256 does not fit the body"
    if signed := headers.get("webhook-signature"):
        return _standard(headers, signed, body, secret, now)
    if token := headers.get("x-gitlab-token"):
        return None if _same(token, secret) else "X-Gitlab-Token is not the app's secret"
    if given := headers.get("authorization"):
        told = given.removeprefix("Bearer ").strip()
        return None if _same(told, secret) else "Authorization does not carry the app's secret"
    return "no signature is given: X-Hub-Signature-256, webhook-signature, X-Gitlab-Token or Authorization is expected"


def _standard(headers: Mapping[str, str], signed: str, body: bytes, secret: str, now: float) -> str | None:
    """``webhook-signature``: one of several values signs the id, the time and the body."""
    name, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (at.isascii() and at.isdigit() and len(at) < 15):
        return "webhook-timestamp is no Unix time in seconds"
    try:
        key = base64.b64decode(secret.removeprefix(STANDARD_SECRET)) if secret.startswith(STANDARD_SECRET) else b""
    except (binascii.Error, ValueError):
        key = b""
    content = f"{name}.{at}.".encode() + body
    made = hmac.new(key or secret.encode(), content, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(made).decode()
    fits = [_same(it, expected) for it in signed.split()]  # all of them: how long it takes tells nothing
    if not any(fits):
        return "no value in webhook-signature fits the body"
    return None if abs(now - int(at)) <= TOLERANCE else "webhook-timestamp is more than five minutes away from now"


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="surrogateescape"), other.encode(errors="surrogateescape"))
