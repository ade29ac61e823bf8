"""What is kept with Kubernetes objects: a release's note, its fence, and the traffic as it was written.

A route may be several apps': their state stands beside each other, under keys with the app's name. The same keys without a name are
those of earlier versions, and belong to one app. They are read where they are this app's, and are written as well, so that the
versions on both sides of an upgrade see each other's state in the middle of a release.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from release_pipelines.core.model.base import EARLIER, Stored
from release_pipelines.core.model.release_id import is_apps_release, is_release_of
from release_pipelines.core.model.route import RouteNote, read_stored
from release_pipelines.core.model.traffic import Traffic

if TYPE_CHECKING:
    from release_pipelines.adapters.kubernetes.client import Object

PREFIX = "release-pipelines/"
"""What the keys of all our labels and annotations begin with; on a route after the app's name and a dot."""
NOTE, FENCE, TRAFFIC = PREFIX + "note", PREFIX + "fence", PREFIX + "traffic"
APP = PREFIX + "app"
"""Whose the keys without a name are."""
WEIGHT = PREFIX + "weight"
"""What an earlier version kept instead of :data:`TRAFFIC`."""

S = TypeVar("S", bound=Stored)


class Keys(NamedTuple):
    """The annotations of one app on a route."""

    note: str
    fence: str
    traffic: str


SHARED = Keys(NOTE, FENCE, TRAFFIC)


def name_of(app: str) -> str:
    """The app's name as the beginning of a key or of a rule's name; where it cannot be one, a hash."""
    fits = len(app) <= 200 and re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", app)
    return app if fits else "app-" + hashlib.sha256(app.encode()).hexdigest()[:32]


def keys_of(app: str) -> Keys:
    """The app's own annotations; those without a name for no app."""
    return Keys(*(f"{name_of(app)}.{key}" for key in SHARED)) if app else SHARED


def apps_on(route: Object) -> list[str]:
    """Whose releases have kept something with the route, as :func:`name_of` has their names."""
    keys = route.get("metadata", {}).get("annotations") or {}
    return sorted(key.removesuffix(f".{NOTE}") for key in keys if key.endswith(f".{NOTE}"))


def annotation(obj: Object | None, key: str) -> str | None:
    """One annotation of an object, if both exist."""
    value = ((obj or {}).get("metadata", {}).get("annotations") or {}).get(key)
    return None if value is None else str(value)


@dataclass(frozen=True)
class Noted:
    """What is kept of one app with its route."""

    note: RouteNote
    fence: int
    traffic: Traffic | None
    """The split as it was written last."""


def marks(
    traffic: Traffic,
    note: RouteNote,
    fence: int,
    app: str = "",
    route: Object | None = None,
    lease: Object | None = None,
) -> dict[str, str]:
    """The annotations that are kept with a route.

    :param route: as it was read; None: it is made.
    :param lease: the app's Lease, by which the keys without a name are known where they name nobody.
    """
    options: dict[str, Any] = {"exclude_defaults": True}
    stated = {}
    for keys in _written(route, app, lease):
        context = EARLIER if keys == SHARED else None
        stated[keys.note] = note.model_dump_json(exclude_none=True, context=context)
        stated[keys.traffic] = traffic.model_dump_json(**options, context=context)
    return {**stated, **fence_marks(fence, app, route, lease)}


def fence_marks(fence: int, app: str = "", route: Object | None = None, lease: Object | None = None) -> dict[str, str]:
    """The annotations of :func:`marks` that a new holder of the lease writes."""
    written = _written(route, app, lease)
    stated = {keys.fence: str(fence) for keys in written}
    return {**stated, APP: app} if app and SHARED in written else stated


def _written(route: Object | None, app: str, lease: Object | None) -> list[Keys]:
    """The keys that the app writes: its own, and those without a name, unless they are another app's."""
    free = all(annotation(route, key) is None for key in (*SHARED, APP))
    own = [keys_of(app)] if app else []
    return [*own, SHARED] if free or _shared_is_of(route, app, lease) else own


def noted(route: Object, app: str = "", lease: Object | None = None) -> Noted:
    """What is kept of the app with its route.

    :raises PlatformError: when it is there and cannot be read: nobody knows what a release has decided then.
    """
    own, shared = _kept(route, app, lease)
    note = _read(RouteNote, route, app, _newest(route, own.note, shared.note))
    note = note or RouteNote()
    return Noted(
        note.of(app) if app else note,
        max(_number(route, own.fence), _number(route, shared.fence)),
        traffic_of(route, app, lease),
    )


def traffic_of(route: Object, app: str = "", lease: Object | None = None) -> Traffic | None:
    """The split as it was written last, for the app."""
    own, shared = _kept(route, app, lease)
    return _read(Traffic, route, app, _newest(route, own.traffic, shared.traffic))


def _kept(route: Object, app: str, lease: Object | None) -> tuple[Keys, Keys]:
    own = keys_of(app)
    return own, SHARED if _shared_is_of(route, app, lease) else own


def note_of(route: Object, app: str = "", lease: Object | None = None) -> RouteNote:
    """The app's note on a route; an empty one where there is none."""
    return noted(route, app, lease).note


def fence_of(obj: Object | None, app: str = "", lease: Object | None = None) -> int:
    """The app's fence on an object; 0 where there is none. Only on a route it has the app's name."""
    shared = _number(obj, FENCE) if _shared_is_of(obj, app, lease) else 0
    return max(_number(obj, keys_of(app).fence), shared)


def _number(obj: Object | None, key: str) -> int:
    text = annotation(obj, key) or "0"
    return int(text) if text.isdecimal() else 0


def _shared_is_of(route: Object | None, app: str, lease: Object | None) -> bool:
    """Whether the keys without a name are this app's.

    They say so themselves, since this version writes :data:`APP`; an earlier one has only noted the release, the last good
    version and the fence of its app.
    """
    if not app:
        return True
    owner, note = annotation(route, APP), _json(annotation(route, NOTE) or "{}")
    if not isinstance(note, dict):
        return owner in (None, app)
    release = str(note.get("release") or "")
    spec = (lease or {}).get("spec") or {}
    if is_release_of(release, app) or (release and release == spec.get("holderIdentity")):
        return True
    if owner is not None:
        return owner == app and not is_apps_release(release)
    if lease is not None and annotation(lease, FENCE) == annotation(route, FENCE):
        return True
    good = note.get("last_good")
    return not is_apps_release(release) and (not isinstance(good, dict) or good.get("app") == app)


def _newest(route: Object, own: str, shared: str) -> str:
    """The key whose value counts. This version writes both, so a value without a name that differs was written later, by another."""
    if annotation(route, own) is None:
        return shared
    written, later = _json(annotation(route, own)), _json(annotation(route, shared))
    return own if annotation(route, shared) is None or _within(later, written) else shared


def _within(part: Any, whole: Any) -> bool:
    """Whether all that one value says stands in the other, too."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and _within(value, whole[key]) for key, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(_within, part, whole))
    return bool(part == whole) and part is not None


def _json(text: str | None) -> Any:
    """None for what is no JSON."""
    try:
        return json.loads(text or "")
    except ValueError:
        return None


def _read(model: type[S], route: Object, app: str, key: str) -> S | None:
    text = annotation(route, key)
    if text is None:
        return None
    name = route.get("metadata", {}).get("name", "")
    return read_stored(
        model, text, f"what a release{f' of {app}' if app else ''} has noted in annotation {key} of {name}"
    )


AUTOSCALER = "kube-controller-manager"
"""Who writes numbers of replicas for a HorizontalPodAutoscaler."""


def image_changed_by(deployment: Object, container: str) -> str | None:
    """Who wrote the container's image last, when it was not this package (R14); None: it was, or that is not known."""
    return _written_by(
        deployment, "f:spec", "f:template", "f:spec", "f:containers", f'k:{{"name":"{container}"}}', "f:image"
    )


def scaled_by(deployment: Object) -> str | None:
    """Who wrote the number of replicas last, when it was neither this package nor an autoscaler; None: it was, or that is not known."""
    writer = _written_by(deployment, "f:spec", "f:replicas")
    return None if writer == AUTOSCALER else writer


def _written_by(deployment: Object, *path: str) -> str | None:
    writers = [it for it in deployment["metadata"].get("managedFields") or [] if _has(it.get("fieldsV1") or {}, path)]
    newest = max(writers, key=lambda it: str(it.get("time") or ""), default=None)
    from release_pipelines.adapters.kubernetes.client import MANAGER  # not where a DAG file is loaded

    return None if newest is None or newest.get("manager") in (None, MANAGER) else str(newest["manager"])


def _has(fields: Object, path: tuple[str, ...]) -> bool:
    return not path or (path[0] in fields and _has(fields[path[0]], path[1:]))


def changed_by(route: Object, current: Traffic, app: str = "", lease: Object | None = None) -> str | None:
    """Who wrote the route last, when its traffic is not what we wrote (R14).

    :param current: the traffic as the route says it now.
    """
    written = traffic_of(route, app, lease)
    if written is None or current.same(written):
        return None
    from release_pipelines.adapters.kubernetes.client import MANAGER  # routers of other platforms load this module, too

    fields = route["metadata"].get("managedFields") or []
    others = [it for it in fields if it.get("manager") not in (None, MANAGER)]
    others.sort(key=lambda it: it.get("time") or datetime.min.replace(tzinfo=timezone.utc).isoformat())
    return str(others[-1]["manager"]) if others else "somebody"
