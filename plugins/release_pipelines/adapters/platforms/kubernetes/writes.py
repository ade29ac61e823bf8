"""Writes that nobody can overtake: each is valid only for the object as it was read, and only under the newest fence."""

from __future__ import annotations

from contextlib import suppress

from release_pipelines.adapters.kubernetes.annotations import FENCE, fence_of
from release_pipelines.adapters.kubernetes.client import LEASES, MERGE, Client, Conflict, Object, Resource
from release_pipelines.adapters.platforms.kubernetes import leases
from release_pipelines.core.errors import FenceLost
from release_pipelines.core.model.target import Target


class Writer:
    """Changes objects of one app for one holder of its lease.

    Between the look at the lease and the write somebody else may take the lease. Who takes it puts the new fence on all objects
    of the app (:meth:`KubernetesLeases.take_lease`) before anything else, so their ``resourceVersion`` is another one, and the
    write of who was overtaken is a :class:`Conflict`; tried again, it finds the newer fence. What is not there yet cannot be
    marked: who made it looks at the lease again, and removes it.

    :param fence: that of the holder; it stands on what is written.
    """

    def __init__(self, client: Client, target: Target, fence: int) -> None:
        self.client = client
        self.target = target
        self.fence = fence

    async def create(self, kind: Resource, body: Object, *, keep: bool = False) -> Object:
        """Make it.

        :param keep: it stays also when the lease was lost meanwhile: stable is never removed.
        :raises FenceLost: when it was made too late.
        """
        made = await self.client.create(kind, self.target.namespace, self._stated(body))
        try:
            leases.refuse_others(await self._lease(), self.target, self.fence)
        except FenceLost:
            if not keep:
                await self._take_back(kind, made)
            raise
        return made

    async def patch(self, kind: Resource, found: Object, body: Object, content_type: str = MERGE) -> Object:
        """Change what was read, unless it has changed since."""
        name = str(found["metadata"]["name"])
        body = self._stated(body, found)
        return await self.client.patch(kind, self.target.namespace, name, body, content_type)

    async def replace(self, kind: Resource, found: Object, body: Object) -> Object:
        """Put another one in the place of what was read, unless it has changed since."""
        name = str(found["metadata"]["name"])
        return await self.client.replace(kind, self.target.namespace, name, self._stated(body, found))

    async def delete(self, kind: Resource, found: Object | None) -> bool:
        """Remove what was read, unless it has changed since; returns whether there was anything."""
        if found is None:
            return False
        leases.refuse_older(found, self.target, self.fence)
        return await self.client.delete(kind, self.target.namespace, str(found["metadata"]["name"]), found=found)

    def _stated(self, body: Object, found: Object | None = None) -> Object:
        leases.refuse_older(found, self.target, self.fence)
        metadata = body.get("metadata") or {}
        annotations = {**(metadata.get("annotations") or {}), FENCE: str(self.fence)}
        metadata = {**metadata, "annotations": annotations}
        if found is not None:
            metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
        return {**body, "metadata": metadata}

    async def _lease(self) -> Object | None:
        return await self.client.get(LEASES, self.target.namespace, leases.lease_name(self.target))

    async def _take_back(self, kind: Resource, made: Object) -> None:
        """Remove what was made too late, unless the new holder has it already."""
        current: Object | None = made
        while current and fence_of(current) == self.fence and current["metadata"]["uid"] == made["metadata"]["uid"]:
            with suppress(Conflict):  # a controller has written its status
                await self.client.delete(kind, self.target.namespace, str(made["metadata"]["name"]), found=current)
                return
            current = await self.client.get(kind, self.target.namespace, str(made["metadata"]["name"]))
