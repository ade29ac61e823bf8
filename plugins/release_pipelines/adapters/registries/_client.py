"""Requests to a registry: its address, credentials, and the tokens that it wants instead of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from release_pipelines.core.address import is_on, parts_of, registry_host
from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.ports.builder import RegistryLogin
from release_pipelines.core.text import one_line

if TYPE_CHECKING:
    import httpx

TIMEOUT = 20.0
"""Maximum wait for an answer, or for the next piece of one, in seconds."""
ANSWER_BYTES = 10_000_000
"""Maximum length of an answer, in bytes; a manifest has at most 4 MiB."""
PIECE_BYTES = 65_536
MESSAGE_LENGTH = 300
"""So much of a registry's own words is handed on, in characters."""
BEARERS = ("00000000-0000-0000-0000-000000000000", "<token>")
"""Users whose password is no password but a refresh token: Azure's, and Docker's for identity tokens."""

Body = bytes | Callable[[], Iterable[bytes]]
"""What is sent: bytes, or what gives them anew each time, as a request may have to be made twice."""


class Client:
    """A registry at one address.

    :param connection: its host is the name in images, with a path that all of them have, if there is one; extra ``insecure``, or
        ``http://`` before the host: plain http.
    """

    def __init__(self, connection: Connection) -> None:
        parts = parts_of(connection)
        self.host = registry_host(connection)
        self._server, _, self._path = self.host.partition("/")
        insecure = connection.extra.get("insecure")
        self.insecure = parts.schemes == {"http"} if insecure is None else is_on(insecure)
        self._login = RegistryLogin(self._server, parts.login, parts.password) if parts.login else None
        self._tokens: dict[str, str] = {}

    @property
    def login(self) -> RegistryLogin | None:
        """Credentials of the connection; None: anybody may read."""
        return self._login

    @property
    def _url(self) -> str:
        host = "registry-1.docker.io" if self._server == "docker.io" else self._server
        return f"{'http' if self.insecure else 'https'}://{host}"

    def repository(self, image: str) -> str:
        """The image's full name: the registry's host before it, unless it stands there already."""
        if not self.host or image.startswith(f"{self._server}/"):
            return image
        return f"{self._server if self._path and image.startswith(f'{self._path}/') else self.host}/{image}"

    def name(self, image: str) -> str:
        """The image's name inside of the registry, as its API wants it."""
        return self.repository(image).removeprefix(f"{self._server}/")

    @contextmanager
    def session(self) -> Iterator[httpx.Client]:
        """Connections for a few requests; and the one place where the HTTP client's errors become ours."""
        import httpx

        try:
            with httpx.Client(timeout=TIMEOUT, follow_redirects=True) as client:
                yield client
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PlatformUnavailable(f"The registry {self.host} does not answer: {one_line(error)}.") from error

    def ask(
        self,
        client: httpx.Client,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        most: int = ANSWER_BYTES,
    ) -> httpx.Response:
        """The answer with its body, of bearable length: what it is sent by may be anything."""
        with self.open(client, method, path, headers, body) as answer:
            return _whole(answer, most)

    @contextmanager
    def open(
        self,
        client: httpx.Client,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Iterator[httpx.Response]:
        """The answer before its body, to a request made again with a new token where the registry wants one (a "bearer challenge").

        Tokens run out in long releases: the registry says so in the same way, and gets a new one.
        """
        url = urljoin(f"{self._url}/", path)
        ours = (
            urlsplit(url).netloc == urlsplit(self._url).netloc
        )  # uploads may go elsewhere: there nobody is to know us
        if ours:
            url = urlsplit(url)._replace(scheme=urlsplit(self._url).scheme).geturl()
        purpose = _purpose(method, url)

        def request() -> Any:
            options: dict[str, Any] = {"headers": dict(headers or {})}
            if ours and purpose in self._tokens:
                options["headers"]["Authorization"] = f"Bearer {self._tokens[purpose]}"
            elif ours and (login := self.login):
                options["auth"] = (login.user, login.password)
            if body is not None:
                options["content"] = body if isinstance(body, bytes) else body()
            return client.stream(method, url, **options)

        with request() as answer:
            challenge = answer.headers.get("WWW-Authenticate", "")
            if not ours or answer.status_code != 401 or not self._renew(client, purpose, challenge):
                yield answer
                return
        with request() as answer:
            yield answer

    def _renew(self, client: httpx.Client, purpose: str, challenge: str) -> bool:
        """Get what a request that was refused lacks; False: there is nothing to get."""
        self._tokens.pop(purpose, None)
        asked: dict[str, Any] = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if not challenge.lower().startswith("bearer ") or "realm" not in asked:
            return False
        realm = asked.pop("realm")
        if not self.insecure and not realm.startswith("https://") and self.login:
            raise PlatformError(
                f"The registry {self.host} wants its credentials sent unencrypted to {one_line(realm)}: https:// is expected."
            )
        asked.pop("error", None)
        login = self.login
        if login and login.user in BEARERS:
            grant = {"grant_type": "refresh_token", "refresh_token": login.password, "client_id": "release-pipelines"}
            request = client.stream("POST", realm, data={**asked, **grant})
        else:
            asked["scope"] = asked.get("scope", "").split()
            auth = (login.user, login.password) if login else None
            request = client.stream("GET", realm, params=asked, auth=auth)
        with request as answer:
            response = _whole(answer, ANSWER_BYTES)
        if response.status_code == 429 or response.status_code >= 500:
            raise PlatformUnavailable(f"The registry {self.host} answers with status {response.status_code}.")
        if response.status_code != 200:
            return False
        try:
            given = response.json()
            token = given.get("token") or given.get("access_token") or ""
        except (ValueError, AttributeError):
            token = ""
        if not token or not isinstance(token, str):
            raise PlatformUnavailable(f"The registry {self.host} gives no token: its answer cannot be read.")
        self._tokens[purpose] = token
        return True

    def refuse(self, answer: httpx.Response, what: str, verb: str = "read", *good: int) -> None:
        """Raise unless the answer has one of the good statuses, without which 200 is the only one.

        :param what: what was asked for: a repository, with a tag or digest if there was one.
        """
        status = answer.status_code
        if status in (good or (200,)):
            return
        if status in (401, 403):
            repository = what.partition("@")[0].partition(":")[0]
            raise Forbidden(
                f"The registry {self.host} does not let this connection {verb} {repository} ({status}){said(answer)}."
            )
        if status == 429 or status >= 500:
            raise PlatformUnavailable(f"The registry {self.host} answers with status {status}.")
        raise PlatformError(f"The registry {self.host} answers with status {status} for {what}{said(answer)}.")


def said(answer: httpx.Response) -> str:
    """The registry's own words about what it refuses, behind a colon; empty where it has none."""
    try:
        error = answer.json()["errors"][0]
        words = [str(it) for it in (error.get("code"), error.get("message")) if it]
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return f": {one_line(' '.join(words))[:MESSAGE_LENGTH].rstrip(' .')}" if words else ""


def _whole(answer: httpx.Response, most: int) -> httpx.Response:
    import httpx

    read = bytearray()
    for piece in answer.iter_bytes(PIECE_BYTES):
        read += piece
        if len(read) > most:
            raise httpx.DecodingError(f"its answer is longer than {most:,} bytes")
    kept = [it for it in answer.headers.items() if it[0] not in ("content-encoding", "content-length")]
    return httpx.Response(answer.status_code, headers=kept, content=bytes(read), request=answer.request)


def _purpose(method: str, url: str) -> str:
    """What a token is for: a repository, read or written; two of them where a blob comes over from the other."""
    parts = urlsplit(url)
    name = re.split(r"/(?:manifests|blobs|tags|referrers)/", parts.path.partition("/v2/")[2])[0]
    come_over = re.search(r"(?:^|&)from=([^&]+)", parts.query)
    return f"{'read' if method in ('GET', 'HEAD') else method} {name} {come_over[1] if come_over else ''}"
