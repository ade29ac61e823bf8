"""What the Gateway API says of who lets a route in, and whether anybody follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from release_pipelines.adapters.kubernetes.client import NAMESPACES, Client, Object, Resource
from release_pipelines.adapters.kubernetes.router import Acceptance
from release_pipelines.core.errors import Forbidden, PlatformError

if TYPE_CHECKING:
    from release_pipelines.core.model.target import Target

GROUP = "gateway.networking.k8s.io"
ROUTES = (("httproutes", "HTTPRoute"), ("grpcroutes", "GRPCRoute"))


def acceptance(route: Object) -> Acceptance:
    """Whether a parent has accepted the route as it stands now, by ``status.parents``."""
    parents = route.get("status", {}).get("parents") or []
    refused = Acceptance(False, silent=not parents)
    for parent in parents:
        now = {it["type"]: it for it in parent.get("conditions") or [] if _is_current(it, route)}
        if "Accepted" not in now:
            continue
        wrong = next((it for it in now.values() if _is_wrong(it)), None)
        if wrong is None:
            return Acceptance(True)
        why = ": ".join(filter(None, (wrong.get("reason"), wrong.get("message")))).rstrip(".")
        name, parent_name = route["metadata"]["name"], _parent(parent.get("parentRef") or {}, route)
        said = f"{route.get('kind', 'HTTPRoute')} {name} does not lead anywhere by {parent_name}: {why}."
        refused = Acceptance(False, said, str(wrong.get("reason", "")))
    return refused


def _is_current(condition: Object, route: Object) -> bool:
    """Whether a condition is about the object as it stands; one that does not say what it is about is."""
    generation = int(route["metadata"].get("generation", 0))
    return int(condition.get("observedGeneration") or generation) >= generation


def _is_wrong(condition: Object) -> bool:
    kind, status = condition["type"], condition.get("status")
    return (kind in ("Accepted", "ResolvedRefs") and status == "False") or (
        kind == "PartiallyInvalid" and status == "True"
    )


def _parent(ref: Object, route: Object) -> str:
    space = ref.get("namespace") or route["metadata"].get("namespace")
    return f"{ref.get('kind', 'Gateway')} " + (f"{space}/" if space else "") + str(ref.get("name"))


async def single_gateway(client: Client, target: Target, api: str, kind: str) -> Object:
    """The Gateway that a new route is for: of those of the namespace, else of the cluster, the only one that lets it in.

    :raises PlatformError: when there is none, or more than one, or another route has the host there already.
    """
    gateways = Resource(api, "gateways", "Gateway")
    candidates = await client.find(gateways, target.namespace) or await client.find(gateways, None)
    try:
        namespace = await client.get(NAMESPACES, None, target.namespace) if candidates else None
    except Forbidden:  # an account of one namespace need not see namespaces: the route's conditions will tell
        namespace = None
    labels = None if namespace is None else namespace["metadata"].get("labels") or {}
    closed = [(it, _why_closed(it, target, labels, kind)) for it in candidates]
    fitting = [it for it, why in closed if why is None]
    if len(fitting) != 1:
        listed = fitting or [it for it, _ in closed]
        found = ", ".join(_name(it) for it in listed) or "none"
        reasons = "" if fitting else "".join(f"; {_name(it)} {why}" for it, why in closed)
        raise PlatformError(
            f"{kind} {target.router.route or target.app} does not exist, and one Gateway is expected to make it for; "
            f"found {found}{reasons}. Make the {kind}, with the Gateway as its parent."
        )
    await _refuse_second(client, target, api, fitting[0])
    return fitting[0]


def _name(gateway: Object) -> str:
    return f"{gateway['metadata'].get('namespace')}/{gateway['metadata']['name']}"


def _why_closed(gateway: Object, target: Target, labels: dict[str, str] | None, kind: str) -> str | None:
    """Why no listener lets the route in; None where one does."""
    why = "has no listener for HTTP"
    for listener in gateway.get("spec", {}).get("listeners") or []:
        allowed = listener.get("allowedRoutes") or {}
        space = allowed.get("namespaces") or {}
        if listener.get("protocol", "HTTP") not in ("HTTP", "HTTPS"):
            continue
        if space.get("from", "Same") == "Same" and gateway["metadata"].get("namespace") != target.namespace:
            why = "lets in routes of its own namespace only"
        elif space.get("from") == "Selector" and labels is not None and not _fits(space.get("selector") or {}, labels):
            why = f"lets in routes of other namespaces than {target.namespace} only"
        elif space.get("from") == "None":
            why = "lets in no routes"
        elif allowed.get("kinds") and kind not in [it.get("kind") for it in allowed["kinds"]]:
            why = f"lets in no {kind}"
        elif not _covers(listener.get("hostname"), target.host):
            why = f"is for host {listener['hostname']}, not for {target.host}"
        else:
            return None
    return why


def _covers(hostname: str | None, host: str | None) -> bool:
    if not hostname or not host:
        return True
    host = host.partition(":")[0]
    return host.endswith(hostname[1:]) if hostname.startswith("*.") else host == hostname


def _fits(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector picks what has these labels."""

    def holds(it: Any) -> bool:
        value, values = labels.get(it["key"]), it.get("values") or []
        return bool(
            {
                "In": value in values,
                "NotIn": value not in values,
                "Exists": value is not None,
                "DoesNotExist": value is None,
            }.get(it.get("operator"))
        )

    wanted = (selector.get("matchLabels") or {}).items()
    return wanted <= labels.items() and all(map(holds, selector.get("matchExpressions") or []))


async def _refuse_second(client: Client, target: Target, api: str, gateway: Object) -> None:
    """Raise when a route on the Gateway has the host already: one of the two would take the other's requests."""
    host = target.host.partition(":")[0] if target.host else None
    for plural, kind in ROUTES:
        resource = Resource(api, plural, kind)
        try:
            routes = await client.find(resource, None)
        except Forbidden:
            routes = await client.find(resource, target.namespace) if plural == "httproutes" else []
        for route in routes:
            space = route["metadata"].get("namespace", target.namespace)
            hosts = route["spec"].get("hostnames") or []
            parents = [
                (it.get("namespace", space), it.get("name"))
                for it in route["spec"].get("parentRefs") or []
                if it.get("kind", "Gateway") == "Gateway"
            ]
            here = (gateway["metadata"].get("namespace", target.namespace), gateway["metadata"]["name"]) in parents
            if here and (host in hosts if host else not hosts):
                raise PlatformError(
                    f"{kind} {space}/{route['metadata']['name']} has {f'host {host}' if host else 'all hosts'} on Gateway "
                    f"{_name(gateway)} already: no second route was made; `router.route` is expected to name the one that "
                    "people come by."
                )
