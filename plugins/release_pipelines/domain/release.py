"""From what a team wrote to what a release works with; versions and their order (R17)."""

from __future__ import annotations

import re
from datetime import date

from release_pipelines.domain.replicas import pods_for_weight
from release_pipelines.domain.values import Target, Update
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.strategy import BlueGreenSpec, RollingSpec

_NUMBER = r"(?:0|[1-9][0-9]*)"
_SEMVER = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-((?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
    rf"(?:\.(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
)
_DATE = re.compile(r"([0-9]{4})(\.?)([0-9]{2})\2([0-9]{2})(?:\.([0-9]+))?")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")


def target(spec: ReleaseSpec, environment: str) -> Target:
    """One app in one environment: names filled in, replicas and variables of the environment merged.

    :param environment: name of one of the release's environments.
    :raises KeyError: when the app does not go there.
    """
    app, where = spec.app, spec.environment(environment)
    differs = next(it for it in app.environments if it.name == environment)
    workload = app.workloads[0]
    workload = workload.model_copy(
        update={
            "name": workload.name or app.name,
            "replicas": differs.replicas or workload.replicas,
            "env": {**workload.env, **differs.env},
        }
    )

    chosen = app.strategy.chosen
    rolling = chosen if isinstance(chosen, RollingSpec) else None
    router = where.router
    if isinstance(chosen, BlueGreenSpec) and chosen.switch == "selector":
        router = router.model_copy(update={"kind": "replicas"})

    def filled(text: str | None) -> str | None:
        return text and text.replace("{app}", app.name).replace("{namespace}", where.namespace)

    return Target(
        app=app.name,
        environment=environment,
        platform=where.platform,
        platform_connection=where.connections.platform,
        registry_connection=where.connections.registry,
        prometheus_connection=where.connections.prometheus,
        namespace=where.namespace,
        workload=workload,
        router=router.model_copy(update={"route": filled(router.route) or app.name}),
        url=filled(where.address.url) or "",
        host=filled(where.address.host),
        preview=isinstance(chosen, BlueGreenSpec),
        preview_host=filled(where.address.preview or (where.address.host and f"preview.{where.address.host}")),
        update=Update(max_surge=rolling.max_surge, max_unavailable=rolling.max_unavailable) if rolling else None,
        version_header=app.version_header,
    )


def canary_replicas(stable_replicas: int, weight: int) -> int:
    """Replicas that carry ``weight`` percent of what ``stable_replicas`` carry; at least one (R5)."""
    return max(1, -(-stable_replicas * weight // 100))


def capacity(target: Target, stable_replicas: int, weight: int) -> int:
    """Replicas that the canary needs at ``weight`` percent; where pods alone split the traffic, so many as make the weight.

    :raises ValueError: when whole pods cannot make the weight.
    """
    if target.router.kind == "replicas":
        return pods_for_weight(stable_replicas, weight)
    return canary_replicas(stable_replicas, weight)


def version_fits(scheme: str, version: str) -> str | None:
    """Why the version does not fit its scheme (``semver``, ``date`` or ``commit``), in a sentence; None: it fits."""
    if scheme == "semver":
        if _SEMVER.fullmatch(version) and len(version) <= 128:
            return None
        if "+" in version:
            return f"Version `{version}` has build metadata after `+`, which an image tag cannot carry: use `-`."
        return f"Version `{version}` is no semantic version: 1.4.0 or 2.0.0-rc.1 is expected, without a leading v."
    if scheme == "date":
        return None if _day(version) else f"Version `{version}` is no date: 2026.11.23 or 20261123 is expected."
    if _COMMIT.fullmatch(version):
        return None
    return f"Version `{version}` is no commit: 7 to 40 hexadecimal digits in lower case are expected."


def goes_backward(scheme: str, old: str, new: str) -> bool:
    """Whether ``new`` is older than ``old`` by the scheme's order. Commits and versions that don't fit have none."""
    if scheme == "semver":
        before, after = _precedence(old), _precedence(new)
    elif scheme == "date":
        before, after = _day(old), _day(new)
    else:
        return False
    return before is not None and after is not None and after < before


def _precedence(version: str) -> tuple[object, ...] | None:
    """Semantic versioning's order: pre-release before release, numbers before words, fewer parts before more."""
    match = _SEMVER.fullmatch(version)
    if not match:
        return None
    parts = match[4].split(".") if match[4] else []
    before = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
    return int(match[1]), int(match[2]), int(match[3]), not parts, before


def _day(version: str) -> tuple[object, ...] | None:
    match = _DATE.fullmatch(version)
    if not match:
        return None
    try:
        return date(int(match[1]), int(match[3]), int(match[4])), int(match[5] or 0)
    except ValueError:
        return None
