"""What a release makes of a pod template that stands, as pure functions: all else in it stays as its team wrote it."""

from __future__ import annotations

import copy
import json
import math
from decimal import Decimal

from release_pipelines.adapters.kubernetes.annotations import PREFIX, annotation
from release_pipelines.adapters.kubernetes.client import Object
from release_pipelines.adapters.platforms.kubernetes.readiness import DIGEST, VERSION
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.target import Target, Workload

ENV = PREFIX + "env"
"""Annotation of a pod template: the variables that come from the app's file, each with what stood in its place before; null
where nothing did."""
REGISTRY_SECRET = "release-pipelines-registry"  # noqa: S105 - its name

NOT_TO_COPY = (
    PREFIX,
    "kubectl.kubernetes.io/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "helm.sh/",
    "objectset.rio.cattle.io/",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/instance",
    "external-dns.alpha.kubernetes.io/",
    "dns.alpha.kubernetes.io/",
    "getambassador.io/",
    "tailscale.com/",
    "metallb.io/",
    "metallb.universe.tf/",
    "service.beta.kubernetes.io/",
    "cloud.google.com/neg-status",
)
"""Beginnings of labels and annotations that say whose an object is, or under which name or address people come to it."""
UNITS = {
    "": Decimal(1),
    **{name: Decimal(1024) ** power for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
    **{name: Decimal(1000) ** power for power, name in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{name: Decimal(1000) ** -power for power, name in enumerate(("m", "u", "n"), 1)},
}


def released(template: Object, name: str, target: Target, artifact: Artifact, secret: bool) -> Object:
    """The template with the artifact: its image, and what the app's file says of variables and limits.

    Containers that run the very image of the one that is named belong to the app, too, and get the new one as well.

    :param name: the container that the app's file is about.
    :param secret: the registry asks who pulls: the pods need our credentials beside those that they have.
    """
    template = copy.deepcopy(template)
    pod = template["spec"]
    container = container_of(template, name)
    image, variables, before = container.get("image"), container.get("env") or [], _from_file(template)
    for it in [*(pod.get("initContainers") or []), *pod["containers"]]:
        if it is container or (image and it.get("image") == image):
            it["image"] = artifact.reference
    container["env"] = with_env(variables, target.workload.env, before)
    if resources := limited(container.get("resources") or {}, target.workload):
        container["resources"] = resources
    pulls = pod.get("imagePullSecrets") or []
    if secret and {"name": REGISTRY_SECRET} not in pulls:
        pod["imagePullSecrets"] = [*pulls, {"name": REGISTRY_SECRET}]
    meta = template.setdefault("metadata", {})
    kept = {key: it for key, it in (meta.get("annotations") or {}).items() if key != ENV}
    meta["annotations"] = {**kept, **marks(artifact), **env_mark(variables, target.workload.env, before)}
    return template


def patch_of(template: Object, wanted: Object, name: str) -> Object:
    """Strategic merge patch from a template to what :func:`released` made of it; empty where its containers are as they shall be."""
    old, new = template["spec"], wanted["spec"]
    containers: Object = {
        key: changed
        for key in ("containers", "initContainers")
        if (changed := [
            _container_patch(was, it, name)
            for was, it in zip(old.get(key) or [], new.get(key) or [], strict=True)
            if {"env": [], **was} != {"env": [], **it}
        ])
    }  # fmt: skip
    if not containers:
        return {}
    pulls = [it for it in new.get("imagePullSecrets") or [] if it not in (old.get("imagePullSecrets") or [])]
    own = {key: it for key, it in wanted["metadata"]["annotations"].items() if key in (DIGEST, VERSION, ENV)}
    gone = {ENV: None} if annotation(template, ENV) and ENV not in own else {}
    return {
        "metadata": {"annotations": {**own, **gone}},
        "spec": {**containers, **({"imagePullSecrets": pulls} if pulls else {})},
    }


def copied(labels: dict[str, str] | None) -> dict[str, str]:
    """Labels or annotations of stable's object that another one can have as well."""
    return {key: it for key, it in (labels or {}).items() if not key.startswith(NOT_TO_COPY)}


def container_of(template: Object, name: str) -> Object:
    """The container of that name."""
    return next(it for it in template["spec"]["containers"] if it["name"] == name)


def marks(artifact: Artifact) -> dict[str, str]:
    """Annotations that tell which artifact a template runs."""
    return {DIGEST: artifact.digest, VERSION: artifact.version}


def env_mark(variables: list[Object], wanted: dict[str, str], before: dict[str, Object | None]) -> dict[str, str]:
    """The annotation :data:`ENV` of a container that had ``variables``; empty where the file names none."""
    there = {it["name"]: it for it in variables}

    def replaced(name: str) -> Object | None:
        current = there.get(name)
        return before[name] if name in before and not (current and "valueFrom" in current) else current

    return {ENV: json.dumps({name: replaced(name) for name in sorted(wanted)})} if wanted else {}


def with_env(
    variables: list[Object], wanted: dict[str, str], before: dict[str, Object | None] | None = None
) -> list[Object]:
    """The variables with those of the app's file.

    One that an earlier release took from the file, and that has left it, goes, or is what it was before; what is taken from a Secret
    or the like by now is its team's again, and stays.
    """
    before, result = before or {}, []
    for it in variables:
        name, ours = it["name"], "valueFrom" not in it
        if name in wanted:
            # An empty value is no value to the API server.
            same = ours and it.get("value", "") == wanted[name]
            result.append(it if same else {"name": name, "value": wanted[name]})
        elif name not in before or not ours:
            result.append(it)
        elif (original := before[name]) is not None:
            result.append(original)
    there = {it["name"] for it in variables}
    return result + [{"name": key, "value": value} for key, value in wanted.items() if key not in there]


def limited(resources: Object, workload: Workload) -> Object:
    """A container's resources with the limits of the app's file; as they are where it has none."""
    wanted = {"memory": workload.memory} if workload.memory else {}
    wanted |= {"cpu": f"{math.ceil(workload.cpu * 1000)}m"} if workload.cpu else {}
    limits, requests = {**(resources.get("limits") or {})}, {**(resources.get("requests") or {})}
    for key, limit in wanted.items():
        if key not in limits or quantity(limits[key]) != quantity(limit):
            limits[key] = limit
        if key in requests and quantity(requests[key]) > quantity(limit):
            requests[key] = limit
    if workload.cpu and "cpu" not in requests:
        # Asked for less CPU than the limit: stable and canary stand side by side, and a limit is for bursts.
        requests["cpu"] = f"{math.ceil(workload.cpu * 250)}m"
    stated = {"limits": limits, "requests": requests}
    return {**resources, **{key: it for key, it in stated.items() if it}}


def as_admitted(template: Object, stable: Object, pods: list[Object]) -> Object:
    """A template with as much CPU and memory as stable's pods have, where admission gave them more than their own template says.

    A VerticalPodAutoscaler, for one, knows stable by its name, and would leave a copy of its template with too little.

    :param template: a copy of stable's pod template.
    :param stable: stable's own.
    """
    template = copy.deepcopy(template)
    for container in template["spec"]["containers"]:
        own: Object = next((it for it in stable["spec"]["containers"] if it["name"] == container["name"]), {})
        admitted = [it for pod in pods for it in pod["spec"]["containers"] if it["name"] == container["name"]]
        for kind in ("requests", "limits"):
            base = (own.get("resources") or {}).get(kind) or {}
            for values in ((it.get("resources") or {}).get(kind) or {} for it in admitted):
                stated = container.get("resources", {}).get(kind) or {}
                more = {
                    key: value
                    for key, value in values.items()
                    if quantity(value) > max(quantity(base.get(key, 0)), quantity(stated.get(key, 0)))
                }
                if more:
                    container.setdefault("resources", {})[kind] = {**stated, **more}
        resources = container.get("resources") or {}
        for key, limit in (resources.get("limits") or {}).items():
            request = (resources.get("requests") or {}).get(key, 0)
            if quantity(request) > quantity(limit):
                resources["limits"][key] = request
    return template


def quantity(value: object) -> Decimal:
    """A quantity of Kubernetes, like ``250m`` or ``1.5Gi``, as a number."""
    text = str(value).strip()
    digits = text.rstrip("KMGTPEikmun")
    try:
        return Decimal(digits) * UNITS[text[len(digits) :]]
    except (ArithmeticError, KeyError):
        return Decimal(0)


def _container_patch(was: Object, it: Object, name: str) -> Object:
    patch = {"name": it["name"], "image": it["image"]}
    if it["name"] == name:
        there = {entry["name"]: entry for entry in was.get("env") or []}
        # Lists are merged by name: what else an entry had, and entries that are gone, have to be named.
        patch["env"] = [
            {**{key: None for key in there.get(entry["name"], {}) if key not in entry}, **entry} for entry in it["env"]
        ]
        kept = {entry["name"] for entry in it["env"]}
        patch["env"] += [{"name": gone, "$patch": "delete"} for gone in there if gone not in kept]
    if it.get("resources") != was.get("resources"):
        patch["resources"] = it["resources"]
    return patch


def _from_file(template: Object) -> dict[str, Object | None]:
    try:
        found = json.loads(annotation(template, ENV) or "{}")
    except ValueError:  # somebody else's hand: nothing is known to be ours
        return {}
    return found if isinstance(found, dict) else {}
