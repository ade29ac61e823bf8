"""What is a release's own: an object's name alone says nothing of whose it is, its marks do."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from release_pipelines.adapters.kubernetes.client import (
    DEPLOYMENTS,
    MANAGER,
    SECRETS,
    SERVICES,
    Client,
    Object,
    Resource,
)
from release_pipelines.adapters.kubernetes.router import TRACK
from release_pipelines.adapters.platforms.kubernetes import manifests
from release_pipelines.adapters.platforms.kubernetes.routing import find_route, router_of
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track


class Found(NamedTuple):
    """An object as it was read."""

    kind: Resource
    body: Object

    @property
    def words(self) -> str:
        """Kind and name, for sentences."""
        return f"{self.kind.kind} {self.body['metadata']['name']}"


def is_track(obj: Object, target: Target, track: Track) -> bool:
    """Whether a Deployment, Service or route was made for this track of this app."""
    marks = manifests.track_labels(target, track)
    return marks.items() <= (obj["metadata"].get("labels") or {}).items()


def is_preview_route(route: Object, target: Target) -> bool:
    """Whether a route was made for the app's preview. Earlier versions put no mark on it: then by who wrote it, and for what."""
    if is_track(route, target, "preview"):
        return True
    rules = route.get("spec", {}).get("rules") or []
    sent_to = {ref.get("name") for rule in rules for ref in rule.get("backendRefs") or []}
    return made_here(route, "f:spec", "f:parentRefs") and sent_to == {manifests.deployment_name(target, "preview")}


def is_registry_secret(secret: Object) -> bool:
    """Whether a release made the Secret. Earlier versions put no mark on it: then by who wrote it."""
    return manifests.MANAGED.items() <= (secret["metadata"].get("labels") or {}).items() or made_here(secret, "f:type")


def made_here(obj: Object, *field: str) -> bool:
    """Whether this package wrote a field that whoever makes such an object writes, and others leave alone."""

    def has(fields: Object, path: tuple[str, ...]) -> bool:
        return not path or (path[0] in fields and has(fields[path[0]], path[1:]))

    entries = obj["metadata"].get("managedFields") or []
    return any(it.get("manager") == MANAGER and has(it.get("fieldsV1") or {}, field) for it in entries)


async def find_tracks(client: Client, target: Target, tracks: tuple[Track, ...] = BESIDE) -> list[tuple[Track, Found]]:
    """All objects that have the name of a track beside stable: Deployments, Services, and the preview's route."""
    router = router_of(target)
    wanted = [(track, DEPLOYMENTS, manifests.deployment_name(target, track)) for track in tracks]
    wanted += [
        (track, SERVICES, manifests.deployment_name(target, track))
        for track in tracks
        if track == "preview" or not router.pods_make_weight
    ]
    if "preview" in tracks and router.previews_have_route:
        kind, _ = await find_route(client, target)
        wanted.append(("preview", kind, manifests.preview_route(target)))
    found = await asyncio.gather(*(client.get(kind, target.namespace, name) for _, kind, name in wanted))
    return [(track, Found(kind, it)) for (track, kind, _), it in zip(wanted, found, strict=True) if it is not None]


async def marked(client: Client, target: Target) -> list[Found]:
    """What there is of the app that a release writes: stable's Deployment, what was made for tracks, and at last the route."""
    kind, route = await find_route(client, target)
    stable, beside = await asyncio.gather(
        client.get(DEPLOYMENTS, target.namespace, manifests.stable_name(target)), find_tracks(client, target)
    )
    found = [Found(DEPLOYMENTS, stable)] if stable else []
    found += [it for track, it in beside if is_own(it, target, track)]
    return [*found, Found(kind, route)] if route else found


def release_tracks(target: Target) -> tuple[Track, ...]:
    """Tracks beside stable that a release of the app may make."""
    if target.preview:
        return ("preview",)
    if target.update is not None:  # a rolling release is on stable itself
        return ()
    return ("canary", "baseline") if "baseline" in router_of(target).capabilities else ("canary",)


def is_own(found: Found, target: Target, track: Track) -> bool:
    """Whether what bears a track's name was made for it."""
    if found.kind in (DEPLOYMENTS, SERVICES):
        return is_track(found.body, target, track)
    return is_preview_route(found.body, target)


async def refuse_strangers(client: Client, target: Target, tracks: tuple[Track, ...], *, secret: bool) -> None:
    """Raise when what a release would make under a fixed name stands there already, and is not a release's.

    :param tracks: those beside stable that the release may make.
    :param secret: pods need the registry's Secret.
    """
    strangers = [it.words for track, it in await find_tracks(client, target, tracks) if not is_own(it, target, track)]
    if secret:
        found = await client.get(SECRETS, target.namespace, manifests.REGISTRY_SECRET)
        if found is not None and not is_registry_secret(found):
            strangers.append(Found(SECRETS, found).words)
    refuse(target, strangers)


def refuse(target: Target, strangers: list[str]) -> None:
    """Raise when there are any."""
    if strangers:
        listed = " and ".join(filter(None, (", ".join(strangers[:-1]), strangers[-1])))
        it, them = ("is", "it") if len(strangers) == 1 else ("are", "them")
        raise PlatformError(
            f"{listed} in namespace {target.namespace} {it} not this package's, and a release of {target.app} needs the name: "
            f"nothing was changed, rename or remove {them}."
        )


def refuse_other_track(obj: Object | None, target: Target) -> None:
    """Raise when what is named as stable is a track of another app's release."""
    labels = (obj or {}).get("metadata", {}).get("labels") or {}
    owner, track = labels.get(manifests.WORKLOAD), labels.get(TRACK)
    if track in BESIDE and manifests.MANAGED.items() <= labels.items():
        raise PlatformError(
            f"{manifests.stable_name(target)} in namespace {target.namespace} is the {track} of {owner}, which a release "
            "made and will remove: `workloads[].name` is expected to name a Deployment of the team's own."
        )
