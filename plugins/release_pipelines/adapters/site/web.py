"""Answers of the app as anybody gets them, and what TLS at its address is like."""

from __future__ import annotations

import socket
import ssl
import time
import warnings
from collections.abc import Sequence
from urllib.parse import urlsplit

from release_pipelines.adapters.outbound import certificates, trusting
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.site.answers import Answer, Tls

SECONDS = 10.0
"""Maximum time for an answer, in seconds."""
OLD = {"TLS 1.0": ssl.TLSVersion.TLSv1, "TLS 1.1": ssl.TLSVersion.TLSv1_1}


class NotLooked(ReleaseError):
    """Something could not be looked at; the sentence says what."""


def answers(url: str, host: str | None, paths: Sequence[str]) -> list[Answer]:
    """What the app answers. Whether its certificate is trusted is another question: see :func:`tls`.

    :param url: where the traffic enters.
    :param host: the header that selects the app; None: the address alone does.
    :raises NotLooked: when a path has no answer, or one that says nothing about the app.
    """
    import requests
    import urllib3

    found = []
    for path in paths:
        address = url.rstrip("/") + path
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
                answer = requests.get(
                    address,
                    headers={"Host": host} if host else {},
                    timeout=SECONDS,
                    allow_redirects=False,
                    stream=True,
                    verify=False,  # noqa: S501 - tls() asks whether it can be trusted
                )
            with answer:
                headers = {name.lower(): list(answer.raw.headers.getlist(name)) for name in answer.headers}
        except requests.RequestException as error:
            raise NotLooked(f"{path} has no answer ({type(error).__name__})") from None
        if not 200 <= answer.status_code < 400:
            raise NotLooked(f"{path} answers {answer.status_code}: its headers are not those that people get")
        found.append(Answer(path, answer.status_code, headers, address.startswith("https:")))
    return found


def tls(url: str, host: str | None) -> Tls | None:
    """What TLS at the address is like; None: it speaks none.

    :param host: the name that people ask for, which the certificate has to have; None: the address' own.
    :raises NotLooked: when nobody answers there, or this machine cannot ask.
    """
    parts = urlsplit(url)
    if parts.scheme != "https":
        return None
    at, name = (parts.hostname or "", parts.port or 443), (host or "").partition(":")[0] or parts.hostname or ""
    named = certificates()
    context = trusting(named[1]) if named else ssl.create_default_context()
    trusted, why, expires_in = True, "", None
    try:
        with _connected(at, name, context) as connection:
            certificate = connection.getpeercert() or {}
            ends = str(certificate.get("notAfter") or "")
            expires_in = ssl.cert_time_to_seconds(ends) - time.time() if ends else None
    except ssl.SSLCertVerificationError as error:
        trusted, why = False, error.verify_message
    except (ssl.SSLError, OSError) as error:
        raise NotLooked(f"TLS cannot be begun with {parts.netloc} ({type(error).__name__})") from None
    return Tls(trusted, why, expires_in, tuple(it for it in OLD if _agrees(at, name, it)))


def _agrees(at: tuple[str, int], name: str, version: str) -> bool:
    """Whether the address agrees to an old version of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = OLD[version]
    context.set_ciphers("ALL:@SECLEVEL=0")
    try:
        with _connected(at, name, context):
            return True
    except ssl.SSLError as error:
        if error.reason in ("NO_PROTOCOLS_AVAILABLE", "NO_CIPHERS_AVAILABLE"):
            raise NotLooked(f"this machine cannot ask for {version}") from None
        return False
    except OSError:  # it hangs up, as some do in place of an answer
        return False


def _connected(at: tuple[str, int], name: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(at, timeout=SECONDS)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise
