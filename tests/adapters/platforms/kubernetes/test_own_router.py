"""A router of another package splits traffic on Kubernetes like ours, and brings the names of its metrics along."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from release_pipelines.adapters.kubernetes.client import Client, Object
from release_pipelines.adapters.kubernetes.router import Backends, KubernetesRouter, RouteResource
from release_pipelines.adapters.metrics.sources._requests import requests_to
from release_pipelines.core import seams
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Traffic, share_with
from release_pipelines.core.ports.metrics import MetricDialect, RequestMetrics
from release_pipelines.core.ports.router import ROUTERS, Capability
from release_pipelines.spec.loader import SpecError
from release_pipelines.spec.release import load_release
from release_pipelines.spec.schema import schemas
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes, target
from tests.spec.conftest import Project, project  # noqa: F401


class Acme(MetricDialect):
    def requests(self, target: Target, track: Track) -> RequestMetrics:
        return RequestMetrics((f'acme_track="{track}"',), "acme_requests", 'status="5xx"', "acme_seconds")


class AcmeMesh(KubernetesRouter):
    """Shares by Service."""

    capabilities: frozenset[Capability] = frozenset({"mirror"})
    mirror_percentages = (25, 50)
    dialect = Acme()
    resource = RouteResource("mesh.acme.example", ("v2", "v1"), "shares", "Shares")

    def traffic(self, route: Object, backends: Backends, wanted: Traffic | None) -> Traffic:
        shares = {backends.track(name): share for name, share in route["spec"]["shares"].items() if share}
        return Traffic(weights={track: share for track, share in shares.items() if track})

    def spec(self, route: Object, backends: Backends, traffic: Traffic) -> Object:
        tracks: tuple[Track, ...] = ("stable", "canary")
        return {"shares": {backends.service(track): traffic.weight(track) for track in tracks}}

    async def new_route(self, client: Client, target: Target, name: str, backends: Backends) -> Object:
        return {"metadata": {"name": name}, "spec": {"shares": {backends.stable: 100}}}


ROUTER = AcmeMesh()
OLD, NEW = (Artifact(app="web", version=f"1.{n}.0", image="shop/web", digest=f"sha256:{n:064}") for n in (0, 1))


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("acme_mesh", f"{__name__}:ROUTER", ROUTERS.group)
    found = {ROUTERS.group: {entry.name: [seams.Extension(entry, "acme-release")]}}
    monkeypatch.setattr(seams, "extensions", lambda: found)


async def test_the_platform_reads_and_writes_its_object() -> None:
    client, app = MemoryClient(mesh__acme__example=["v1"]), target("acme_mesh")
    platform = kubernetes(client)
    fence = (await platform.take_lease(app, "release", 60)).fence
    await platform.deploy(app, "stable", OLD, 2, fence)
    assert await platform.split(app, ALL_TO_STABLE, RouteNote(), fence)
    await platform.deploy(app, "canary", NEW, 1, fence)
    split = share_with("canary", 20)
    assert await platform.split(app, split, RouteNote(traffic=split, release="1.1.0"), fence)
    assert not await platform.split(app, split, RouteNote(traffic=split, release="1.1.0"), fence)
    route = client.objects["shares", "web"]
    assert (route["apiVersion"], route["kind"]) == ("mesh.acme.example/v1", "Shares")
    assert route["spec"]["shares"] == {"web": 80, "web-canary": 20}
    seen = await platform.observe(app)
    assert seen.route
    assert (seen.route.traffic, seen.route.fence, seen.route.note.release) == (split, fence, "1.1.0")
    assert seen.route.changed_by is None
    with pytest.raises(PlatformError, match=r"still gives it 20 % of the traffic"):
        await platform.retire(app, "canary", fence)
    await platform.split(app, ALL_TO_STABLE, RouteNote(), fence)
    assert await platform.retire(app, "canary", fence)
    assert ("services", "web-canary") not in client.objects


async def test_a_cluster_without_its_object_is_named() -> None:
    with pytest.raises(
        PlatformError, match=r"does not serve Shares \(mesh.acme.example/v2 or v1\), which router `acme_me"
    ):
        await kubernetes(MemoryClient()).observe(target("acme_mesh"))


def test_its_metrics_have_its_names() -> None:
    requests = requests_to(target("acme_mesh"), "canary")
    assert requests
    assert requests.selector(requests.counter) == 'acme_requests{acme_track="canary"}'


def test_files_know_it_and_what_it_can_do(project: Project) -> None:  # noqa: F811
    assert '"acme_mesh"' in schemas()["environment.schema.json"]
    text = "platform: kubernetes\nrouter: {kind: acme_mesh}\napprovers: [bob]\n"
    project.environment("production", text)
    steps = "strategy: {canary: {steps: [{mirror: 25, hold: 1m}, {mirror: 30, hold: 1m}, {match: {header: x, value: y}, hold: 1m}]}}"
    path = project.app(steps)
    with pytest.raises(SpecError) as caught:
        load_release(path, project.config, project.analyses)
    said = " ".join(str(it) for it in (caught.value, *caught.value.also))
    assert "steps[0]" not in said
    assert "steps[1].mirror: found 30, expected 25 or 50: router `acme_mesh` mirrors no other share" in said
    assert "steps[2].match: found `match` with router `acme_mesh`" in said


def test_it_is_refused_where_it_does_not_fit(project: Project) -> None:  # noqa: F811
    project.environment("production", "router: {kind: acme_mesh}")
    with pytest.raises(SpecError, match="found `acme_mesh` with container_host, expected router `traefik`"):
        load_release(project.app(""), project.config, project.analyses)
