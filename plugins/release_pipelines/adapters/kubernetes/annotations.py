"""What is kept with Kubernetes objects: a release's note, its fence, and the traffic as it was written."""

from __future__ import annotations

from datetime import datetime, timezone

from release_pipelines.adapters.kubernetes.client import MANAGER, Object
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.traffic import Traffic

PREFIX = "release-pipelines/"
"""What the keys of all our labels and annotations begin with."""
NOTE, FENCE, TRAFFIC = PREFIX + "note", PREFIX + "fence", PREFIX + "traffic"
WEIGHT = PREFIX + "weight"
"""What an earlier version kept instead of :data:`TRAFFIC`."""


def annotation(obj: Object | None, key: str) -> str | None:
    """One annotation of an object, if both exist."""
    value = ((obj or {}).get("metadata", {}).get("annotations") or {}).get(key)
    return None if value is None else str(value)


def marks(traffic: Traffic, note: RouteNote, fence: int) -> dict[str, str]:
    """The annotations that are kept with a route."""
    written = traffic.model_dump_json(exclude_defaults=True)
    return {NOTE: note.model_dump_json(exclude_none=True), FENCE: str(fence), TRAFFIC: written}


def fence_of(obj: Object | None) -> int:
    """The fence on an object; 0 where there is none."""
    text = annotation(obj, FENCE) or "0"
    return int(text) if text.isdecimal() else 0


def note_of(route: Object) -> RouteNote:
    """The note on a route; an empty one where there is none that can be read."""
    try:
        return RouteNote.model_validate_json(annotation(route, NOTE) or "{}")
    except ValueError:
        return RouteNote()


def changed_by(route: Object, current: Traffic) -> str | None:
    """Who wrote the route last, when its traffic is not what we wrote (R14).

    :param current: the traffic as the route says it now.
    """
    written = annotation(route, TRAFFIC)
    if written is None or current.same(Traffic.model_validate_json(written)):
        return None
    fields = route["metadata"].get("managedFields") or []
    others = [it for it in fields if it.get("manager") not in (None, MANAGER)]
    others.sort(key=lambda it: it.get("time") or datetime.min.replace(tzinfo=timezone.utc).isoformat())
    return str(others[-1]["manager"]) if others else "somebody"
