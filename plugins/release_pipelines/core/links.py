"""Addresses that people are led to: what may be a link, and where a commit, a query or a dashboard is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode, urlsplit

PLACEHOLDERS = ("app", "environment", "version", "digest", "image", "release", "from", "to")
"""What an address of a team's own may have in braces: names, and the span that is looked at, as Unix times in milliseconds."""

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_SCP = re.compile(r"(?:[\w.+-]+@)?([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+):(?!/)([\w./~+-]+)")
"""``git@host:path``, as ssh takes it."""
_SHA = re.compile(r"[0-9a-f]{7,64}")


def web_link(address: object) -> str | None:
    """An address that may be a link's target, without what signs in with it; None: it is shown as text.

    :param address: whatever somebody has written.
    """
    if not isinstance(address, str) or any(ord(it) <= 32 for it in address):
        return None
    try:
        parts = urlsplit(address)
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            return None
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host).geturl()
    except ValueError:
        return None


def forge_of(repository: object) -> str | None:
    """A repository's page at its forge, without a slash at its end and without what signs in; None: its address tells of none.

    :param repository: an address that Git takes.
    """
    text = repository.strip() if isinstance(repository, str) else ""
    if not text or any(ord(it) < 32 for it in text):
        return None
    if "://" not in text:
        found = _SCP.fullmatch(text)
        return _page("https", found[1], found[2]) if found else None
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


def commit_page(repository: object, commit: object) -> str | None:
    """Where the forge of a repository shows a commit; None where that is not known, as for a folder.

    GitHub, GitLab, Gitea, Forgejo and Azure take ``…/commit/<hash>``; Bitbucket has ``…/commits/<hash>``.

    :param repository: a Git URL, also like ``git@host:path``.
    :param commit: its hash.
    """
    page = forge_of(repository)
    if page is None or not isinstance(commit, str) or not _SHA.fullmatch(commit):
        return None
    host = urlsplit(page).hostname or ""
    return f"{page}/{'commits' if host.startswith('bitbucket.') else 'commit'}/{commit}"


def unknown_placeholders(template: str) -> list[str]:
    """Names in braces that mean nothing."""
    return [it for it in _PLACEHOLDER.findall(template) if it not in PLACEHOLDERS]


def filled(template: str, known: Mapping[str, str]) -> str | None:
    """An address with all placeholders filled in; None where a value is not known yet.

    :param template: with names of :data:`PLACEHOLDERS` in braces.
    :param known: values by these names.
    """
    if any(not known.get(name) for name in _PLACEHOLDER.findall(template)):
        return None
    return web_link(_PLACEHOLDER.sub(lambda it: quote(known[it[1]], safe=""), template))


def graph(prometheus: str, queries: Sequence[str], minutes: int = 60) -> str | None:
    """Prometheus' page with queries, each as a graph.

    :param prometheus: where people reach it.
    :param queries: PromQL.
    :param minutes: how far it looks back.
    """
    fields = []
    for number, it in enumerate(queries):
        fields += [(f"g{number}.expr", it), (f"g{number}.tab", "0"), (f"g{number}.range_input", f"{minutes}m")]
    page = web_link(f"{prometheus.rstrip('/')}/graph")
    return f"{page}?{urlencode(fields)}" if page and fields else None


def run_page(airflow: str, dag_id: str, run_id: str, below: str = "") -> str:
    """The page of a run in Airflow.

    :param airflow: where people reach Airflow.
    :param below: what of it, like ``/plugin/release``.
    """
    return f"{airflow.rstrip('/')}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}{below}"


def release_page(airflow: str, dag_id: str, run_id: str, below: str = "") -> str:
    """The page of a release, in Airflow's navigation: behind the page's own address stands the whole path that its frame shows.

    :param airflow: where people reach Airflow.
    :param below: what of it, like ``/report``.
    """
    return (
        f"{airflow.rstrip('/')}/plugin/releases/releases/runs/{quote(dag_id, safe='')}/{quote(run_id, safe='')}{below}"
    )
