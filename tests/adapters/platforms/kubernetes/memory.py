"""A cluster in memory: objects by kind and name, and controllers that are done at once."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any, cast

from release_pipelines.adapters.kubernetes.client import DEPLOYMENTS, Client, Conflict, Object, Resource
from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
from release_pipelines.core.model.target import RouterSettings, Target, Workload


def target(router: str = "gateway_api", **workload: Any) -> Target:
    """The app ``web`` in production, behind the route ``web``."""
    return Target(
        app="web",
        environment="production",
        platform="kubernetes",
        platform_connection="a",
        registry_connection="b",
        prometheus_connection="c",
        workload=Workload(**{"name": "web", **workload}),
        router=RouterSettings(kind=router, route="web"),
        url="http://127.0.0.1",
    )


class MemoryClient:
    """What the platform needs of its client.

    :param served: versions of the API groups that the cluster has.
    """

    def __init__(self, **served: list[str]) -> None:
        self.served = {group.replace("__", "."): versions for group, versions in served.items()}
        self.objects: dict[tuple[str, str], Object] = {}
        self.changes = 0

    async def versions(self, group: str) -> list[str]:
        return self.served.get(group, [])

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        return copy.deepcopy(self.objects.get((resource.plural, name)))

    async def find(self, resource: Resource, namespace: str | None, labels: str = "", fields: str = "") -> list[Object]:
        wanted = dict(part.partition("=")[::2] for part in labels.split(",") if part)
        return [
            copy.deepcopy(it)
            for (plural, _), it in self.objects.items()
            if plural == resource.plural and wanted.items() <= (it["metadata"].get("labels") or {}).items()
        ]

    async def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        if (resource.plural, body["metadata"]["name"]) in self.objects:
            raise Conflict("it exists")
        return self._keep(resource, resource.named(copy.deepcopy(body)))

    async def patch(self, resource: Resource, namespace: str, name: str, body: Object, *_: Any) -> Object:
        current = copy.deepcopy(self.objects[resource.plural, name])
        self._expect(resource, name, body)
        _merge(current, body)
        return self._keep(resource, current)

    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        self._expect(resource, name, body)
        return self._keep(resource, resource.named(copy.deepcopy(body)))

    async def delete(self, resource: Resource, namespace: str, name: str, *, found: Object | None = None) -> bool:
        if found is not None and (resource.plural, name) in self.objects:
            self._expect(resource, name, found)
        return self.objects.pop((resource.plural, name), None) is not None

    def add(self, resource: Resource, body: Object) -> Object:
        """Somebody else makes an object."""
        return self._keep(resource, resource.named(copy.deepcopy(body)))

    def _expect(self, resource: Resource, name: str, body: Object) -> None:
        current = self.objects[resource.plural, name]["metadata"]["resourceVersion"]
        if body.get("metadata", {}).get("resourceVersion", current) != current:
            raise Conflict("it changed")

    def _keep(self, resource: Resource, body: Object) -> Object:
        self.changes += 1
        body["metadata"] |= {
            "resourceVersion": str(self.changes),
            "uid": f"{resource.plural}/{body['metadata']['name']}",
        }
        if resource == DEPLOYMENTS:
            replicas = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
            body["status"] = dict.fromkeys(replicas, body["spec"]["replicas"])
        self.objects[resource.plural, body["metadata"]["name"]] = body
        return copy.deepcopy(body)


def _merge(into: Object, patch: Object) -> None:
    for key, value in patch.items():
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        elif value is None:
            into.pop(key, None)
        else:
            into[key] = value


def kubernetes(client: MemoryClient) -> Kubernetes:
    """The platform of that cluster."""
    platform = Kubernetes(lambda: nullcontext(cast("Any", None)))
    platform.client = cast("Client", client)
    return platform
