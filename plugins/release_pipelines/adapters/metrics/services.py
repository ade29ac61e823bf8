"""How a workload's tracks are called in the labels of metrics."""

from __future__ import annotations

from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.promql import matcher


def track_service(target: Target, track: Track) -> str:
    """The Service of a track on Kubernetes; stable has the workload's own."""
    name = target.workload.name or target.app
    return name if track == "stable" else f"{name}-{track}"


def track_pods(target: Target, track: Track) -> str:
    """Regular expression of a track's pods: its Deployment's name, the pod template's hash, five letters. The last two have no dash."""
    return f"{track_service(target, track)}-[a-z0-9]+-[a-z0-9]{{5}}"


def pod_labels(target: Target, track: Track) -> list[tuple[str, ...]]:
    """Matchers of a track's pods: as Prometheus finds and scrapes them, and as OpenTelemetry's resource attributes name them."""
    names = (("namespace", "pod"), ("k8s_namespace_name", "k8s_pod_name"))
    return [(matcher(namespace, target.namespace), f'{pod}=~"{track_pods(target, track)}"') for namespace, pod in names]
