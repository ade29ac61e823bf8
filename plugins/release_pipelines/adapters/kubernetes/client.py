"""A thin JSON client: any resource, one way to say what went wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from release_pipelines.adapters.outbound import excerpt, whole
from release_pipelines.core.errors import CredentialsRefused, Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.text import clean, one_line

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

log = logging.getLogger(__name__)

Object = dict[str, Any]

MANAGER = "release-pipelines"
"""Field manager of every write, so that others can see who it was, and we can see that it was not us."""
TIMEOUT = 10.0
LOG_BYTES = 1_000_000
"""Maximum length of the answer to a question for a log, in bytes."""
LOG_LIMIT = 100_000
"""Maximum length of a container's log that is read, in characters."""
RENEWAL_PAUSES = (0.0, 1.0, 2.0, 4.0)
"""Pauses before credentials that were refused are read anew, in seconds: a token that is exchanged needs a moment."""
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class Conflict(Exception):
    """The object changed since it was read, or somebody else was first to create it: look again, then try again."""


class Unreachable(PlatformError):
    """Nobody answers the API server behind a Service; the message says why, in its words."""


@dataclass(frozen=True)
class Resource:
    """A kind of object: its API, its name in paths, and its kind."""

    api: str
    plural: str
    kind: str

    @property
    def group(self) -> str:
        """The API group; empty for the core."""
        return self.api.rpartition("/")[0]

    def path(self, namespace: str | None, name: str | None = None, sub: str | None = None) -> str:
        """Path on the API server."""
        root = f"/apis/{self.api}" if self.group else f"/api/{self.api}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return root + scope + f"/{self.plural}" + (f"/{name}" if name else "") + (f"/{sub}" if sub else "")

    def named(self, body: Object) -> Object:
        """``body`` with its API version and kind."""
        return {"apiVersion": self.api, "kind": self.kind, **body}


DEPLOYMENTS = Resource("apps/v1", "deployments", "Deployment")
REPLICA_SETS = Resource("apps/v1", "replicasets", "ReplicaSet")
JOBS = Resource("batch/v1", "jobs", "Job")
PODS = Resource("v1", "pods", "Pod")
SERVICES = Resource("v1", "services", "Service")
EVENTS = Resource("v1", "events", "Event")
SECRETS = Resource("v1", "secrets", "Secret")
NAMESPACES = Resource("v1", "namespaces", "Namespace")
LEASES = Resource("coordination.k8s.io/v1", "leases", "Lease")
ACCESS_REVIEWS = Resource("authorization.k8s.io/v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview")


class Client:
    """Reads and writes JSON objects of one cluster.

    All methods raise :class:`Forbidden` (naming verb, resource and namespace), :class:`PlatformUnavailable` (no answer,
    too many requests, server errors), :class:`Conflict`, or :class:`PlatformError` with what the server said.

    :param api: a connection to the cluster.
    :param reconnect: opens another one with the credentials of that moment: those of a connection expire. None: there are
        no others.
    """

    def __init__(self, api: ApiClient, reconnect: Callable[[], Awaitable[ApiClient]] | None = None) -> None:
        self.api = api
        self._reconnect = reconnect
        self._reconnecting = asyncio.Lock()
        self._versions: dict[str, list[str]] = {}

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """The object, or None where there is none."""
        return await self._json("GET", "get", resource, namespace, name)

    async def find(self, resource: Resource, namespace: str | None, labels: str = "", fields: str = "") -> list[Object]:
        """All objects that fit the label and field selectors."""
        query = [("labelSelector", labels)] * bool(labels) + [("fieldSelector", fields)] * bool(fields)
        answer = await self._json("GET", "list", resource, namespace, query=query)
        return (answer or {}).get("items") or []

    async def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        """The object as it was created; :class:`Conflict` if it exists."""
        answer = await self._json("POST", "create", resource, namespace, body=resource.named(body))
        if answer is None:
            raise PlatformError(f"Namespace {namespace} or resource {resource.plural} ({resource.api}) does not exist.")
        return answer

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: Object, content_type: str = MERGE
    ) -> Object:
        """The object as it was patched; with ``metadata.resourceVersion`` in the body it must not have changed."""
        answer = await self._json("PATCH", "patch", resource, namespace, name, body=body, content_type=content_type)
        if answer is None:
            raise Conflict(f"{resource.kind} {name} is gone")
        return answer

    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        """The object as it was replaced."""
        answer = await self._json("PUT", "update", resource, namespace, name, body=resource.named(body))
        if answer is None:
            raise Conflict(f"{resource.kind} {name} is gone")
        return answer

    async def delete(self, resource: Resource, namespace: str, name: str, *, found: Object | None = None) -> bool:
        """Delete it; returns whether there was anything.

        :param found: the object as it was read: :class:`Conflict` if it has changed since, or is another one by now.
        """
        query = [("propagationPolicy", "Background")]
        body: Object | None = None
        if found is not None:
            body = {"preconditions": {key: found["metadata"][key] for key in ("uid", "resourceVersion")}}
        return await self._json("DELETE", "delete", resource, namespace, name, query=query, body=body) is not None

    async def log(self, namespace: str, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        """The end of a container's log; empty where it has none, or it cannot be read: it explains, and decides nothing."""
        query = [("container", container), ("tailLines", str(lines)), ("limitBytes", str(LOG_BYTES))]
        try:
            status, text = await self._send(
                "GET", PODS.path(namespace, pod, "log"), query=query + [("previous", "true")] * previous
            )
        except PlatformError as error:
            log.info("The log of %s in %s cannot be read: %s", pod, namespace, error)
            return ""
        if status != 200:
            return ""
        return clean(text, LOG_LIMIT, "end")

    async def ask(
        self, namespace: str, service: str, port: int, path: str, header: str, scheme: str = "http"
    ) -> tuple[int, str | None]:
        """GET a path of a Service through the API server: status, and one header of the answer.

        :param scheme: how the pods are spoken to; certificates are not checked.
        :raises Unreachable: when the API server gets no answer from there.
        """
        import aiohttp

        proxied = f"{SERVICES.path(namespace, f'{scheme}:{service}:{port}', 'proxy')}{path}"
        try:
            status, text, headers = await self._sent("GET", proxied)
        except PlatformUnavailable as error:
            if isinstance(error.__cause__, (asyncio.TimeoutError, aiohttp.ServerTimeoutError)):
                raise Unreachable(f"no answer within {TIMEOUT:.0f} s") from error
            raise
        own = '"kind":"Status"' in text.replace(" ", "")[:200]
        if status in (401, 403) and own:
            raise _denied(status, _forbidden("get", "services/proxy", "", namespace, service), text)
        if own and status >= 500:
            raise Unreachable(_message(text))
        return status, headers.get(header)

    async def versions(self, group: str) -> list[str]:
        """Versions of an API group that the server has, its preferred one first; empty if it has none."""
        if group not in self._versions:
            status, text = await self._send("GET", f"/apis/{group}")
            if status == 404:
                return []
            if status in (401, 403):
                raise _denied(status, _forbidden("get", f"/apis/{group}", "", None, None), text)
            answer = self._object(text)
            served = [it["version"] for it in answer.get("versions", [])]
            preferred = answer.get("preferredVersion", {}).get("version")
            self._versions[group] = sorted(served, key=lambda version: version != preferred)
        return self._versions[group]

    async def _json(
        self,
        method: str,
        verb: str,
        resource: Resource,
        namespace: str | None,
        name: str | None = None,
        *,
        body: Object | None = None,
        query: list[tuple[str, str]] | None = None,
        content_type: str = "application/json",
    ) -> Object | None:
        query = list(query or [])
        if method in ("POST", "PUT", "PATCH"):
            query.append(("fieldManager", MANAGER))
        status, text = await self._send(
            method, resource.path(namespace, name), body=body, query=query, content_type=content_type
        )
        if status < 300:
            return self._object(text)
        if status == 404:
            return None
        what = f"{resource.kind} {name}" if name else resource.plural
        if status == 401 or (status == 403 and _lacks_a_right(text)):
            raise _denied(status, _forbidden(verb, resource.plural, resource.group, namespace, name), text)
        if status == 409:
            raise Conflict(_message(text))
        where = f" in namespace {namespace}" if namespace else ""
        raise PlatformError(f"Kubernetes refused to {verb} {what}{where}: {_message(text)}")

    def _object(self, text: str) -> Object:
        """An answer's object; what stands before a cluster may answer in its place."""
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise PlatformUnavailable(
                f"Kubernetes at {self.api.configuration.host} answers with something that is no object: {one_line(text, 100)}."
            )
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: list[tuple[str, str]] | None = None,
        content_type: str = "application/json",
    ) -> tuple[int, str]:
        status, text, _ = await self._sent(method, path, body=body, query=query, content_type=content_type)
        if status == 429 or status >= 500:
            raise PlatformUnavailable(f"Kubernetes at {self.api.configuration.host}: status {status}, {_message(text)}")
        return status, text

    async def _sent(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: list[tuple[str, str]] | None = None,
        content_type: str = "application/json",
    ) -> tuple[int, str, Mapping[str, str]]:
        """The answer; credentials that are refused are read anew, and only a refusal that stays is the answer."""
        options = {"query_params": query or [], "body": body}
        headers = {"Accept": "application/json", "Content-Type": content_type}
        used, answer = self.api, await self._ask(method, path, headers, options)
        for pause in RENEWAL_PAUSES if self._reconnect else ():
            if not _refused(answer, path):
                break
            await asyncio.sleep(pause)
            await self._renew(used)
            used, answer = self.api, await self._ask(method, path, headers, options)
        return answer

    async def _renew(self, used: ApiClient) -> None:
        """Open a connection with fresh credentials, unless another request has done so since."""
        async with self._reconnecting:
            if self.api is used and self._reconnect is not None:
                self.api = await self._reconnect()

    async def _ask(
        self, method: str, path: str, headers: Mapping[str, str], options: Mapping[str, Any]
    ) -> tuple[int, str, Mapping[str, str]]:
        import aiohttp

        used = self.api
        try:
            response = await used.call_api(
                path,
                method,
                header_params=dict(headers),
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=TIMEOUT,
                **options,
            )
            async with response:
                # What stands behind the API server's proxy may send anything: of that only the beginning can be the server's own.
                body = await (excerpt if "/proxy/" in path else whole)(response)
                return response.status, body.decode(errors="replace"), response.headers
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            if isinstance(
                error, (aiohttp.ClientSSLError, ssl.SSLError)
            ):  # a certificate that was exchanged, here or there
                await self._renew(used)
            raise PlatformUnavailable(
                f"Kubernetes at {used.configuration.host} does not answer: {one_line(error) or type(error).__name__}."
            ) from error


def _refused(answer: tuple[int, str, Mapping[str, str]], path: str) -> bool:
    """Whether Kubernetes does not accept the credentials; what stands behind its proxy may say so of its own."""
    status, text, _ = answer
    return status == 401 and ("/proxy/" not in path or '"Status"' in text)


def _forbidden(verb: str, plural: str, group: str, namespace: str | None, name: str | None) -> str:
    what = f"{plural}.{group}" if group else plural
    where = f"in namespace {namespace}" if namespace else "in the cluster"
    return f"The connection's account may not {verb} {what} {where}" + (f" ({name})." if name else ".")


def _denied(status: int, what: str, text: str) -> Forbidden:
    """The error behind a 401 or a 403."""
    if status == 401:
        return CredentialsRefused(f"{what} Its credentials are not accepted.")
    return Forbidden(f"{what} Kubernetes says: {_message(text)}")


def _lacks_a_right(text: str) -> bool:
    """Whether a 403 is about the account, not about what it wants to write: admission (quotas, Pod Security) answers so, too."""
    return '"Status"' not in text or " cannot " in text


def _message(text: str) -> str:
    """What the server said, in one line of bearable length."""
    try:
        message = json.loads(text).get("message") or text
    except (ValueError, AttributeError):
        message = text
    return " ".join(clean(message, 500).split())
