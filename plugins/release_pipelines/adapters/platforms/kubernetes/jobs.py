"""One command in a pod of its own."""

from __future__ import annotations

import asyncio
import time

from release_pipelines.adapters.kubernetes.client import PODS, Client, Object
from release_pipelines.adapters.platforms.kubernetes import manifests
from release_pipelines.adapters.platforms.kubernetes.cluster import Cluster
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.platform import Jobs

LOOK_SECONDS = 0.5
TAIL_LINES = 50
CANNOT_START = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "InvalidImageName"}


class KubernetesJobs(Cluster, Jobs):
    """Runs commands."""

    async def run(self, target: Target, image: str, command: list[str], env: dict[str, str], timeout: float) -> str:
        """Run ``command`` in a pod of its own; it is removed afterwards in every case."""
        await self._state_secret(target)
        pod = manifests.job_pod(target, image, command, env, timeout, self.registry_auth is not None)
        return await run_pod(self.client, target, pod, timeout)


async def run_pod(client: Client, target: Target, pod: Object, timeout: float) -> str:
    """Create the pod, wait for its end, return its output's end, and remove it.

    :param timeout: seconds from its creation on, pulling the image included.
    :raises PlatformError: with the last lines when it ends with anything but 0, or not in time.
    """
    created = await client.create(PODS, target.namespace, pod)
    name, deadline = str(created["metadata"]["name"]), time.time() + timeout
    try:
        while True:
            pod_now = await client.get(PODS, target.namespace, name)
            phase, ending = _look(pod_now)
            if phase in ("Succeeded", "Failed") or time.time() > deadline:
                break
            await asyncio.sleep(LOOK_SECONDS)
        output = (await client.log(target.namespace, name, "run", TAIL_LINES)).strip()
    finally:
        await asyncio.shield(client.delete(PODS, target.namespace, name))
    if phase == "Succeeded":
        return output
    if phase != "Failed":
        ending = f"did not end within {timeout:.0f} s" + (f" ({ending})" if ending else "")
    tail = " | ".join(output.splitlines()[-6:])
    raise PlatformError(
        f"The command in {target.namespace} {ending}." + (f" Last lines: {tail}" if tail else " It printed nothing.")
    )


def _look(pod: Object | None) -> tuple[str, str]:
    """The pod's phase, and how it ended or what it waits for."""
    if pod is None:
        return "Failed", "was removed by somebody else"
    status = pod.get("status", {})
    for it in status.get("containerStatuses") or []:
        state = it.get("state") or {}
        if "terminated" in state:
            ended = state["terminated"]
            why = f" ({' '.join(ended['message'].split())})" if ended.get("message") else ""
            return status.get("phase", "Pending"), f"ended with exit code {ended.get('exitCode')}{why}"
        reason = (state.get("waiting") or {}).get("reason", "")
        message = f"{reason}: {(state.get('waiting') or {}).get('message', '')}".strip(": ")
        if reason in CANNOT_START:
            return "Failed", f"could not start: {message}"
        if reason and reason != "ContainerCreating":
            return status.get("phase", "Pending"), message
    return status.get("phase", "Pending"), status.get("message") or ""
