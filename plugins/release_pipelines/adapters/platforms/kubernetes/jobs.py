"""One command in a pod of its own, which is set up like the app's own pods."""

from __future__ import annotations

import asyncio
import copy
import math
import time

from release_pipelines.adapters.kubernetes.annotations import PREFIX
from release_pipelines.adapters.kubernetes.client import DEPLOYMENTS, PODS, SERVICES, Client, Object
from release_pipelines.adapters.kubernetes.router import HASH, TRACK
from release_pipelines.adapters.platforms.kubernetes import manifests, pods
from release_pipelines.adapters.platforms.kubernetes.cluster import Cluster
from release_pipelines.core.errors import CommandEnded, Forbidden, PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.platform import Jobs

LOOK_SECONDS = 0.5
TAIL_LINES = 50
CANNOT_START = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "InvalidImageName"}
RUN = "run"
"""The container of the command; others may be put beside it at admission, and go on when it has ended."""
OF_PODS = (
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostUsers",
    "imagePullSecrets",
    "nodeSelector",
    "os",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccountName",
    "tolerations",
)
"""What the pod has from the app's pods: what admission, nodes and registries ask for."""
COUNTED = ("cpu", "memory", "ephemeral-storage")
"""Resources that quotas ask for; others, like GPUs, are the app's own."""


class KubernetesJobs(Cluster, Jobs):
    """Runs commands."""

    async def run(self, target: Target, image: str, command: list[str], env: dict[str, str], timeout: float) -> str:
        """Run ``command`` in a pod of its own; it is removed afterwards in every case."""
        await self._state_secret(target)
        stable = await self.client.get(DEPLOYMENTS, target.namespace, manifests.stable_name(target))
        pod = job_pod(target, image, command, env, timeout, self.registry_auth is not None, stable)
        pod["metadata"]["labels"] |= await self._labels(target, stable)
        return await run_pod(self.client, target, pod, timeout)

    async def _labels(self, target: Target, stable: Object | None) -> dict[str, str]:
        """The app's labels, but for those by which a Service, or what counts stable's pods, would take the pod for one of them.

        None where Services may not be listed.
        """
        if stable is None:
            return {}
        try:
            found = await self.client.find(SERVICES, target.namespace)
        except Forbidden:
            return {}
        selectors = [it["spec"].get("selector") or {} for it in found]
        selectors.append(stable["spec"]["selector"].get("matchLabels") or {})
        labels = stable["spec"]["template"].get("metadata", {}).get("labels") or {}
        kept = {key: it for key, it in labels.items() if key not in (TRACK, HASH)}
        return manifests.not_selected(kept, selectors, "run")


def job_pod(
    target: Target,
    image: str,
    command: list[str],
    env: dict[str, str],
    timeout: float,
    secret: bool,
    stable: Object | None = None,
) -> Object:
    """A pod that runs one command in the image and ends.

    :param stable: the app's Deployment: its pods' identity, rights, place and limits are the command's, too, and where they can write,
        so can it. Their variables, secrets and probes are not.
    """
    template = (stable or {}).get("spec", {}).get("template", {}).get("spec", {})
    container: Object = {"name": RUN, "image": image, "command": command, "env": pods.with_env([], env)}
    spec = {key: copy.deepcopy(template[key]) for key in OF_PODS if key in template}
    if stable:
        own = pods.container_of(stable["spec"]["template"], manifests.container_name(target, stable))
        if "securityContext" in own:
            container["securityContext"] = copy.deepcopy(own["securityContext"])
        container["resources"] = {
            kind: {key: it for key, it in stated.items() if key in COUNTED}
            for kind in ("limits", "requests")
            if (stated := (own.get("resources") or {}).get(kind))
        }
        scratch = {it["name"]: it for it in template.get("volumes") or [] if "emptyDir" in it}
        mounts = [it for it in own.get("volumeMounts") or [] if it["name"] in scratch]
        if mounts:
            container["volumeMounts"] = copy.deepcopy(mounts)
            spec["volumes"] = [copy.deepcopy(scratch[name]) for name in dict.fromkeys(it["name"] for it in mounts)]
    pulls = spec.get("imagePullSecrets") or []
    if secret and {"name": pods.REGISTRY_SECRET} not in pulls:
        spec["imagePullSecrets"] = [*pulls, {"name": pods.REGISTRY_SECRET}]
    return {
        "metadata": {
            "generateName": f"{manifests.stable_name(target)}-run-",
            "labels": {PREFIX + "run": target.app},
        },
        "spec": {
            **spec,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": max(1, math.ceil(timeout)),
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
        },
    }


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
        output = (await client.log(target.namespace, name, RUN, TAIL_LINES)).strip()
    finally:
        await asyncio.shield(client.delete(PODS, target.namespace, name))
    if phase == "Succeeded":
        return output
    if phase != "Failed":
        ending = f"did not end within {timeout:.0f} s" + (f" ({ending})" if ending else "")
    tail = " | ".join(output.splitlines()[-6:])
    sentence = f"The command in {target.namespace} {ending}." + (
        f" Last lines: {tail}" if tail else " It printed nothing."
    )
    code = _exit_code(pod_now)
    if phase == "Failed" and code is None:
        raise PlatformError(sentence)
    raise CommandEnded(sentence, output, code)


def _exit_code(pod: Object | None) -> int | None:
    """The command's exit code; None: it has not ended, or never began."""
    statuses = (pod or {}).get("status", {}).get("containerStatuses") or []
    own = next((it.get("state") or {} for it in statuses if it["name"] == RUN), {})
    code = (own.get("terminated") or {}).get("exitCode")
    return int(code) if code is not None else None


def _look(pod: Object | None) -> tuple[str, str]:
    """How far the command is, in words of a pod's phase, and how it ended or what it waits for."""
    if pod is None:
        return "Failed", "was removed by somebody else"
    status = pod.get("status", {})
    phase, containers = str(status.get("phase", "Pending")), status.get("containerStatuses") or []
    own = next((it.get("state") or {} for it in containers if it["name"] == RUN), {})
    if "terminated" in own:
        ended = own["terminated"]
        why = f" ({' '.join(ended['message'].split())})" if ended.get("message") else ""
        return "Failed" if ended.get("exitCode") else "Succeeded", f"ended with exit code {ended.get('exitCode')}{why}"
    for it in [*(status.get("initContainerStatuses") or []), *containers]:
        state = it.get("state") or {}
        where = "" if it["name"] == RUN else f"container {it['name']}: "
        if (state.get("terminated") or {}).get("exitCode") and phase == "Failed":
            return phase, f"could not start: {where}exit code {state['terminated']['exitCode']}"
        reason = (state.get("waiting") or {}).get("reason", "")
        message = f"{reason}: {(state.get('waiting') or {}).get('message', '')}".strip(": ")
        if reason in CANNOT_START:
            return "Failed", f"could not start: {where}{message}"
        if reason and reason not in ("ContainerCreating", "PodInitializing"):
            return phase, where + message
    return phase, status.get("message") or ""
