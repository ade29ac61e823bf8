"""From where somebody asks, behind proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def asking_address(peer: str | None, forwarded: Iterable[str], trusted: Iterable[str]) -> str:
    """From where somebody asks: the last address before the proxies that are trusted, since anybody may write those before it.

    :param peer: the other end of the connection.
    :param forwarded: addresses in the ``X-Forwarded-For`` headers, in their order.
    :param trusted: networks of proxies, like ``10.0.0.0/8``.
    """
    networks = [ipaddress.ip_network(it, strict=False) for it in trusted]
    last = _address(peer)
    if last is None:
        return peer or ""
    for text in reversed(list(forwarded)):
        if not any(last in it for it in networks):
            break
        before = _address(text)
        if before is None:
            break
        last = before
    return str(last)


def _address(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address((text or "").strip().strip("[]"))
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
