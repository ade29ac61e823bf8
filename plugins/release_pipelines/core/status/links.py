"""Addresses at forges, built from a repository's: only http and https, and never what signs in there."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

SHA = re.compile(r"[0-9a-f]{7,64}")
SCP = re.compile(r"(?:[\w.+-]+@)?([A-Za-z0-9.-]+):(?!/)([\w./~+-]+)")
"""``git@host:path``, as ssh takes it."""


def forge_of(repository: str | None) -> str | None:
    """The repository's page at its forge, without a slash at its end; None: it has none that is known by its address.

    :param repository: an address that Git takes.
    """
    text = (repository or "").strip()
    if not text or any(ord(it) < 32 for it in text):
        return None
    if "://" not in text:
        found = SCP.fullmatch(text)
        return _page("https", found[1], found[2]) if found and "." in found[1] else None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    scheme = parts.scheme.lower()
    if scheme in ("http", "https"):
        return _page(scheme, f"{host}:{port}" if port else host, parts.path)
    if scheme in ("ssh", "git+ssh", "ssh+git"):
        return _page("https", host, parts.path)
    return None


def _page(scheme: str, host: str, path: str) -> str | None:
    path = path.strip("/").removesuffix(".git")
    return f"{scheme}://{host}/{quote(path, safe='/~+%')}" if path else None


def commit_link(repository: str | None, sha: str | None) -> str | None:
    """A commit's page at the forge of its repository; None: there is none."""
    page = forge_of(repository)
    if page is None or not sha or not SHA.fullmatch(sha):
        return None
    host = urlsplit(page).hostname or ""
    return f"{page}/{'commits' if host.startswith('bitbucket.') else 'commit'}/{sha}"
