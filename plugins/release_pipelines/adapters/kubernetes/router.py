"""What a router does on Kubernetes: an object says who gets which requests, and a patch of it states another split."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

from release_pipelines.adapters.kubernetes.annotations import APP, FENCE, NOTE, PREFIX, TRAFFIC, WEIGHT, marks
from release_pipelines.adapters.kubernetes.client import Client, Object, Resource
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import Traffic
from release_pipelines.core.ports.router import Reserved, Router

TRACK = PREFIX + "track"
"""Label of every pod of a release: its track."""
HASH = "pod-template-hash"
"""Label by which Kubernetes itself tells a Deployment's pods of different templates apart."""


@dataclass(frozen=True)
class Backends:
    """What a router chooses between."""

    stable: str
    """Name of stable's Service."""
    namespace: str
    port: int
    stable_pods: int = 0
    beside: dict[Track, int] = field(default_factory=dict)
    """Pods of each track beside stable that has a Deployment."""
    stable_pin: tuple[str, str] | None = None
    """A label that all of stable's pods have and the others' do not."""
    named: Collection[Track] = ()
    """Tracks that the object names also while they get nothing, see :meth:`KubernetesRouter.names_ahead`."""
    app: str = ""
    """The app: a route may be several apps', and keeps the state of each under its name."""

    def service(self, track: Track) -> str:
        """Name of a track's Service."""
        return self.stable if track == "stable" else f"{self.stable}-{track}"

    def track(self, service: str) -> Track | None:
        """The track that a Service belongs to, if any."""
        return next((it for it in ("stable", *BESIDE) if self.service(it) == service), None)


@dataclass(frozen=True)
class Acceptance:
    """Whether somebody follows a route as it stands now."""

    accepted: bool
    sentence: str = ""
    """Why not; empty where nobody has said anything of this state of the route, or ever does."""
    reason: str = ""
    """The same, in the controller's one word."""
    silent: bool = False
    """Nobody has ever said anything of the route."""


@dataclass(frozen=True)
class RouteResource:
    """The kind of object that splits the traffic."""

    group: str
    """API group; empty for the core."""
    versions: tuple[str, ...]
    """Versions that the router knows, the one that it likes best first."""
    plural: str
    kind: str

    async def served(self, client: Client, router: str) -> Resource:
        """The resource in the best version that the cluster serves.

        :param router: name of the router, for the sentence.
        :raises PlatformError: when the cluster does not serve any.
        """
        if not self.group:
            return Resource(self.versions[0], self.plural, self.kind)
        served = await client.versions(self.group)
        version = next((it for it in self.versions if it in served), None)
        if version is None:
            raise PlatformError(
                f"The cluster does not serve {self.kind} ({self.group}/{' or '.join(self.versions)}), which router "
                f"`{router}` needs; it has {', '.join(served) or 'no version of it'}."
            )
        return Resource(f"{self.group}/{version}", self.plural, self.kind)


class KubernetesRouter(Router, Protocol):
    """A router on Kubernetes; a class that subclasses this has the defaults.

    :meth:`traffic` and :meth:`spec` are pure: the object as it was read, and what it chooses between, are all they know.
    """

    platforms: Collection[str] = ("kubernetes",)
    reserved: Reserved = Reserved(labels=(TRACK,), annotations=(NOTE, FENCE, TRAFFIC, APP))
    resource: RouteResource
    also: tuple[RouteResource, ...] = ()
    """Other kinds of objects that it reads and writes in the same way, where there is one of the route's name."""
    new_routes_let_in: bool = False
    """A route that is made lets people in from outside."""
    previews_have_route: bool = False
    """A preview gets a route of its own, with another host: :meth:`preview_route`."""

    def traffic(self, route: Object, backends: Backends, wanted: Traffic | None) -> Traffic:
        """The split as the object says it. Where its rules differ, the one that is farthest from ``wanted``."""

    def spec(self, route: Object, backends: Backends, traffic: Traffic) -> Object:
        """Merge patch of the object's ``spec`` that states the traffic.

        :raises PlatformError: when this router cannot do it.
        """

    def names_ahead(self, route: Object) -> bool:
        """Whether who follows the object may do so before it knows a Service that is new in it, and answers with an error then.

        A track is named there, without weight, before it gets requests, and as long as it runs.
        """
        return False

    def without(self, route: Object, backends: Backends, track: Track) -> Object | None:
        """Merge patch of the object's ``spec`` that no longer names a track, which gets nothing; None: it does not name it."""
        return None

    def ports(self, route: Object, backends: Backends) -> list[int]:
        """The ports of stable's Service that the object names; none where it names none."""
        return []

    async def new_route(self, client: Client, target: Target, name: str, backends: Backends) -> Object:
        """An object that sends everything to stable, for an app that has none yet.

        :raises PlatformError: when somebody else has to make it.
        """

    def preview_route(self, name: str, route: Object, backends: Backends, host: str | None) -> Object:
        """A second object, that sends requests for ``host`` to the preview, beside the app's own ``route``."""
        raise PlatformError(f"Previews get no route `{name}` of their own from this router.")

    async def refuse_unsupported(self, client: Client, target: Target, route: Object, traffic: Traffic) -> None:
        """Raise PlatformError when the controller behind the object is not known to do what ``traffic`` asks for."""
        return

    def acceptance(self, route: Object) -> Acceptance:
        """Whether somebody follows the object as it stands now."""
        return Acceptance(True)

    def needs_stable_pin(self, backends: Backends, traffic: Traffic) -> bool:
        """Whether :meth:`spec` needs :attr:`Backends.stable_pin` to state the traffic."""
        return False

    def withdraws_before_deploy(self, service: Object) -> bool:
        """Whether tracks beside stable have to end before stable's pods are replaced: its Service would not pick the new ones."""
        return False


def route_patch(
    route: Object,
    router: KubernetesRouter,
    backends: Backends,
    traffic: Traffic,
    note: RouteNote,
    fence: int,
    lease: Object | None = None,
) -> Object:
    """The one write of a split: traffic, note and fence, valid only for the object that it was made from."""
    return {
        "metadata": {
            "resourceVersion": route["metadata"]["resourceVersion"],
            "annotations": {**marks(traffic, note, fence, backends.app, route, lease), WEIGHT: None},
        },
        "spec": router.spec(route, backends, traffic),
    }


def applies(patch: Any, current: Any) -> bool:
    """Whether a merge patch would change nothing."""
    if isinstance(patch, dict):
        return isinstance(current, dict) and all(
            key not in current if value is None else key in current and applies(value, current[key])
            for key, value in patch.items()
        )
    return bool(json.dumps(patch, sort_keys=True) == json.dumps(current, sort_keys=True))
