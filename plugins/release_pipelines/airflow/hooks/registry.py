"""Airflow connection of kind ``registry`` → the digest behind a tag."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable

if TYPE_CHECKING:
    import httpx

TIMEOUT = 20.0

MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


class RegistryHook(BaseHook):
    """An image registry. Its connection's host is the name in images; extra ``{"insecure": true}`` is plain http.

    :param registry_conn_id: the connection.
    """

    conn_name_attr = "registry_conn_id"
    default_conn_name = "registry"
    conn_type = "registry"
    hook_name = "Image registry"

    def __init__(self, registry_conn_id: str = default_conn_name) -> None:
        super().__init__()
        connection = self.get_connection(registry_conn_id)
        self.host = re.sub(r"^https?://", "", connection.host or "").rstrip("/")
        if connection.port and ":" not in self.host:
            self.host = f"{self.host}:{connection.port}"
        self.insecure = bool(connection.extra_dejson.get("insecure"))
        self.auth = (connection.login, connection.password or "") if connection.login else None

    def repository(self, image: str) -> str:
        """The image's full name: the registry's host before it, unless it stands there already."""
        return image if not self.host or image.startswith(f"{self.host}/") else f"{self.host}/{image}"

    def digest_of(self, image: str, tag: str) -> str | None:
        """The digest that a tag names now; None when there is no such tag.

        :raises PlatformUnavailable: when the registry does not answer.
        :raises Forbidden: when it refuses these credentials.
        """
        import httpx

        name = image.removeprefix(f"{self.host}/")
        host = "registry-1.docker.io" if self.host == "docker.io" else self.host
        url = f"{'http' if self.insecure else 'https'}://{host}/v2/{name}/manifests/{tag}"
        try:
            with httpx.Client(timeout=TIMEOUT, follow_redirects=True, headers={"Accept": MANIFESTS}) as client:
                answer = self._ask(client, "HEAD", url)
                if answer.status_code == 200 and "Docker-Content-Digest" not in answer.headers:
                    answer = self._ask(client, "GET", url)
        except httpx.HTTPError as error:
            raise PlatformUnavailable(f"The registry {self.host} does not answer: {error}.") from error
        if answer.status_code == 404:
            return None
        if answer.status_code in (401, 403):
            raise Forbidden(
                f"The registry {self.host} does not let this connection read {name} ({answer.status_code})."
            )
        if answer.status_code == 429 or answer.status_code >= 500:
            raise PlatformUnavailable(f"The registry {self.host} answers with status {answer.status_code}.")
        if answer.status_code != 200:
            raise PlatformError(f"The registry {self.host} answers with status {answer.status_code} for {name}:{tag}.")
        digest = answer.headers.get("Docker-Content-Digest")
        return str(digest) if digest else f"sha256:{hashlib.sha256(answer.content).hexdigest()}"

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button of Airflow's connection form does."""
        try:
            self.digest_of("release-pipelines/connection-test", "none")
        except PlatformError as error:
            return False, str(error)
        return True, "The registry answers"

    def _ask(self, client: httpx.Client, method: str, url: str) -> httpx.Response:
        answer = client.request(method, url, auth=self.auth)
        challenge = answer.headers.get("WWW-Authenticate", "")
        if answer.status_code != 401 or not challenge.lower().startswith("bearer "):
            return answer
        asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if "realm" not in asked:
            return answer
        given = client.get(asked.pop("realm"), params=asked, auth=self.auth)
        if given.status_code != 200:
            return given if given.status_code == 429 or given.status_code >= 500 else answer
        token = given.json().get("token") or given.json().get("access_token") or ""
        return client.request(method, url, headers={"Authorization": f"Bearer {token}"})
