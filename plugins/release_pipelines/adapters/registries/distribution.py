"""The API that almost all image registries have, the OCI distribution's: the digest behind a tag, and all tags."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
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
"""Maximum wait for an answer, in seconds."""
ANSWER_BYTES = 10_000_000
"""Maximum length of an answer, in bytes; a manifest has at most 4 MiB."""
PIECE_BYTES = 65_536
PAGE_TAGS = 1000
MOST_PAGES = 100
"""Tags that are asked for at once, and how often at most."""

MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


class Distribution:
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
        self.login = RegistryLogin(self._server, parts.login, parts.password) if parts.login else None

    @property
    def _url(self) -> str:
        host = "registry-1.docker.io" if self._server == "docker.io" else self._server
        return f"{'http' if self.insecure else 'https'}://{host}"

    def repository(self, image: str) -> str:
        """The image's full name: the registry's host before it, unless it stands there already."""
        if not self.host or image.startswith(f"{self._server}/"):
            return image
        return f"{self._server if self._path and image.startswith(f'{self._path}/') else self.host}/{image}"

    def digest_of(self, image: str, tag: str) -> str | None:
        """The digest that a tag names now: of the index, where the image is one of several architectures."""
        import httpx

        name = self.repository(image).removeprefix(f"{self._server}/")
        url = f"{self._url}/v2/{name}/manifests/{tag}"
        options: dict[str, Any] = {"timeout": TIMEOUT, "follow_redirects": True, "headers": {"Accept": MANIFESTS}}
        with self._errors(), httpx.Client(**options) as client:
            answer = self._ask(client, "HEAD", url)
            if answer.status_code == 200 and "Docker-Content-Digest" not in answer.headers:
                answer = self._ask(client, "GET", url)
        if answer.status_code == 404:
            return None
        self._refuse(answer, name, tag)
        digest = answer.headers.get("Docker-Content-Digest")
        return str(digest) if digest else f"sha256:{hashlib.sha256(answer.content).hexdigest()}"

    def tags(self, image: str) -> list[str]:
        """The names of all tags of an image; none where there is no such image."""
        import httpx

        name = self.repository(image).removeprefix(f"{self._server}/")
        found: list[str] = []
        url = f"{self._url}/v2/{name}/tags/list?n={PAGE_TAGS}"
        with self._errors(), httpx.Client(timeout=TIMEOUT, follow_redirects=True) as client:
            for _ in range(MOST_PAGES):
                answer = self._ask(client, "GET", url)
                if answer.status_code == 404:
                    break
                self._refuse(answer, name, "tags")
                try:
                    found += [it for it in answer.json()["tags"] or [] if isinstance(it, str)]
                except (ValueError, KeyError, TypeError):
                    raise PlatformUnavailable(f"The registry {self.host} gives no list of tags of {name}.") from None
                following = re.match(r"\s*<([^>]+)>", answer.headers.get("Link", ""))
                if not following:
                    break
                there = urlsplit(urljoin(url, following[1]))._replace(scheme="", netloc="")
                url = f"{self._url}{there.geturl()}"  # of this registry, whatever it says
        return found

    def check(self) -> str:
        """Say that the registry answers, or raise."""
        self.digest_of("release-pipelines/connection-test", "none")
        return "The registry answers"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """The one place where the HTTP client's errors become ours."""
        import httpx

        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PlatformUnavailable(f"The registry {self.host} does not answer: {one_line(error)}.") from error

    def _refuse(self, answer: httpx.Response, name: str, tag: str) -> None:
        """Raise unless the answer is a manifest."""
        status = answer.status_code
        if status in (401, 403):
            raise Forbidden(f"The registry {self.host} does not let this connection read {name} ({status}).")
        if status == 429 or status >= 500:
            raise PlatformUnavailable(f"The registry {self.host} answers with status {status}.")
        if status != 200:
            raise PlatformError(f"The registry {self.host} answers with status {status} for {name}:{tag}.")

    def _ask(self, client: httpx.Client, method: str, url: str) -> httpx.Response:
        """The answer to a request, made again with a token where the registry wants one (a "bearer challenge")."""
        basic = (self.login.user, self.login.password) if self.login else None
        answer = self._request(client, method, url, auth=basic)
        challenge = answer.headers.get("WWW-Authenticate", "")
        if answer.status_code != 401 or not challenge.lower().startswith("bearer "):
            return answer
        asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if "realm" not in asked:
            return answer
        response = self._request(client, "GET", asked.pop("realm"), params=asked, auth=basic)
        if response.status_code != 200:
            return response if response.status_code == 429 or response.status_code >= 500 else answer
        try:
            given = response.json()
            token = given.get("token") or given.get("access_token") or ""
        except (ValueError, AttributeError):
            raise PlatformUnavailable(f"The registry {self.host} gives no token: its answer cannot be read.") from None
        return self._request(client, method, url, headers={"Authorization": f"Bearer {token}"})

    def _request(self, client: httpx.Client, method: str, url: str, **options: Any) -> httpx.Response:
        """The answer with its body, of bearable length: what it is sent by may be anything."""
        import httpx

        with client.stream(method, url, **options) as answer:
            body = bytearray()
            for piece in answer.iter_bytes(PIECE_BYTES):
                body += piece
                if len(body) > ANSWER_BYTES:
                    raise httpx.DecodingError(f"its answer is longer than {ANSWER_BYTES:,} bytes")
        headers = [it for it in answer.headers.items() if it[0] not in ("content-encoding", "content-length")]
        return httpx.Response(answer.status_code, headers=headers, content=bytes(body), request=answer.request)


REGISTRY = Distribution
