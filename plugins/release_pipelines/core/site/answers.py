"""What an app's answers say about its security: headers, cookies, certificate, versions of TLS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from release_pipelines.core.model.finding import Finding, Rating

HALF_A_YEAR = 180 * 86400
"""Least `max-age` of Strict-Transport-Security, in seconds."""
VERSION = re.compile(r"\d+\.\d+")


class Answer(NamedTuple):
    """One answer of the app."""

    path: str
    status: int
    headers: Mapping[str, list[str]]
    """Names in lower case to all values."""
    secure: bool
    """It came over TLS."""

    def one(self, name: str) -> str:
        """A header's values as one text; empty where there is none."""
        return ", ".join(self.headers.get(name, []))


class Tls(NamedTuple):
    """What the address does when TLS is begun with it."""

    trusted: bool
    why: str
    """Why the certificate is not trusted."""
    expires_in: float | None
    """In seconds; None: not known."""
    old_versions: tuple[str, ...]
    """Versions before 1.2 that it agrees to."""


def of_headers(answer: Answer) -> Iterator[Finding]:
    """What speaks against one answer's headers."""

    def found(severity: Rating, rule: str, text: str) -> Finding:
        return Finding(kind="misconfiguration", severity=severity, rule=rule, file=answer.path, text=text)

    policy = answer.one("content-security-policy").lower()
    if answer.secure:
        age = re.search(r"max-age\s*=\s*\"?(\d+)", answer.one("strict-transport-security").lower())
        if age is None:
            yield found("medium", "strict-transport-security", "Strict-Transport-Security is missing")
        elif int(age[1]) < HALF_A_YEAR:
            yield found(
                "medium",
                "strict-transport-security",
                f"Strict-Transport-Security lasts {age[1]} s, half a year at least is expected",
            )
    if answer.one("x-content-type-options").strip().lower() != "nosniff":
        yield found("medium", "x-content-type-options", "X-Content-Type-Options: nosniff is missing")
    if "html" in answer.one("content-type").lower():
        if not policy:
            yield found("medium", "content-security-policy", "Content-Security-Policy is missing")
        elif _unsafe(policy):
            yield found(
                "medium",
                "content-security-policy",
                "Content-Security-Policy lets scripts run that stand in the page, or come from anywhere",
            )
        if "frame-ancestors" not in policy and answer.one("x-frame-options").strip().lower() not in (
            "deny",
            "sameorigin",
        ):
            yield found(
                "medium", "x-frame-options", "Neither frame-ancestors nor X-Frame-Options keeps others from framing it"
            )
    if answer.one("referrer-policy").strip().lower() in ("", "unsafe-url"):
        yield found("low", "referrer-policy", "Referrer-Policy is missing, or tells whole addresses")
    for name in ("server", "x-powered-by"):
        if VERSION.search(answer.one(name)):
            yield found("low", name, f"{name.title()} tells a version")
    if (
        answer.one("access-control-allow-credentials").strip().lower() == "true"
        and answer.one("access-control-allow-origin").strip() == "*"
    ):
        yield found("high", "access-control-allow-origin", "Every other site may ask with the user's cookies")
    yield from _cookies(answer)


def _unsafe(policy: str) -> bool:
    """Whether scripts that stand in the page, or come from anywhere, are run."""
    rules = {name: values for name, *values in (it.split() for it in policy.split(";") if it.strip())}
    scripts = rules.get("script-src", rules.get("default-src"))
    if scripts is None:
        return True
    if any(it.startswith(("'nonce-", "'sha256-", "'sha384-", "'sha512-")) for it in scripts):
        return False  # a browser that knows these leaves 'unsafe-inline' out
    return bool({"'unsafe-inline'", "*", "data:"} & set(scripts))


def _cookies(answer: Answer) -> Iterator[Finding]:
    for cookie in answer.headers.get("set-cookie", []):
        name = cookie.partition("=")[0].strip()
        given = {it.partition("=")[0].strip().lower() for it in cookie.split(";")[1:]}
        missing = [
            word
            for word in ("Secure", "HttpOnly", "SameSite")
            if word.lower() not in given and (word != "Secure" or answer.secure)
        ]
        if missing:
            severity: Rating = "low" if missing == ["SameSite"] else "medium"
            text = f"The cookie {name} is set without {' and '.join(missing)}"
            yield Finding(kind="misconfiguration", severity=severity, rule="set-cookie", file=answer.path, text=text)


def of_tls(tls: Tls, warn_within: float) -> Iterator[Finding]:
    """What speaks against the address' TLS.

    :param warn_within: a certificate that ends sooner is found, in seconds.
    """

    def found(severity: Rating, rule: str, text: str) -> Finding:
        return Finding(kind="misconfiguration", severity=severity, rule=rule, text=text)

    if not tls.trusted:
        yield found("high", "certificate", f"The certificate is not trusted: {tls.why}")
    elif tls.expires_in is not None and tls.expires_in < warn_within:
        yield found("high", "certificate", f"The certificate ends in {max(0, tls.expires_in) / 86400:.0f} days")
    for version in tls.old_versions:
        yield found("high", "tls-version", f"It agrees to {version}, TLS 1.2 at least is expected")


def each_once(findings: Iterable[Finding]) -> list[Finding]:
    """Findings that several answers have, once, with the first path."""
    return list({(it.rule, it.text): it for it in reversed(list(findings))}.values())[::-1]
