"""How HTTP leaves this machine: by the proxies and the certificates that the environment names, whichever client asks."""

from __future__ import annotations

import os
import ssl

CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name a file of trusted certificates; the first that is set counts."""


def proxy_of(url: str) -> str | None:
    """The proxy for an address (``HTTP_PROXY``, ``HTTPS_PROXY``, ``NO_PROXY``), by the rules of requests; None: there is none."""
    from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy

    proxy = select_proxy(url, get_environ_proxies(url))
    return prepend_scheme_if_needed(proxy, "http") if proxy else None


def certificates() -> tuple[str, str] | None:
    """The variable that names a file of trusted certificates, and the file; None: what the system trusts."""
    return next(((name, path) for name in CERTIFICATES if (path := os.environ.get(name))), None)


def trusting(path: str) -> ssl.SSLContext:
    """What trusts the certificates of a file or folder.

    :raises OSError: where there are none.
    """
    if os.path.isdir(path):
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)
