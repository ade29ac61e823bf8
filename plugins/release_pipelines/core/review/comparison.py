"""Two releases side by side: what differs between them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from release_pipelines.core.model.component import Component
from release_pipelines.core.model.records import ReleaseDetail
from release_pipelines.core.review.stages import Measured, Step, measured, steps

T = TypeVar("T")
DEPLOYED = "deployed"
"""Kind of the events that tell how a version was deployed."""
OF_THE_VERSION = (
    "digest",
    "version",
    "previous_digest",
    "previous_version",
    "previous_image",
    "good",
    "first",
    "changed",
)
"""What an event of a deployment says of the versions, and not of how they run."""


@dataclass(frozen=True)
class Pair(Generic[T]):
    """The same thing in both releases; None: it is not in that one."""

    left: T | None
    right: T | None


@dataclass(frozen=True)
class Changed:
    """Components of the same name whose versions differ.

    :param name: of the component, as its package URL has it without a version.
    """

    name: str
    left: tuple[str, ...]
    right: tuple[str, ...]


@dataclass(frozen=True)
class Components:
    """How what the right release is made of differs from the left one."""

    added: list[Changed]
    removed: list[Changed]
    changed: list[Changed]


def components(left: Iterable[Component], right: Iterable[Component]) -> Components:
    """What came, what went, and what has another version."""
    before, after = _versions(left), _versions(right)
    pairs = [
        Changed(name, before.get(name, ()), after.get(name, ())) for name in sorted({*before, *after}, key=str.lower)
    ]
    return Components(
        added=[it for it in pairs if not it.left],
        removed=[it for it in pairs if not it.right],
        changed=[it for it in pairs if it.left and it.right and it.left != it.right],
    )


def _versions(found: Iterable[Component]) -> dict[str, tuple[str, ...]]:
    """Names to versions; one component may be there in several."""
    versions: dict[str, set[str]] = {}
    for it in found:
        versions.setdefault(_name(it), set()).add(it.version or "no version")
    return {name: tuple(sorted(it)) for name, it in versions.items()}


def _name(it: Component) -> str:
    """A component's name with its kind: `pkg:npm/left-pad` is another one than `pkg:pypi/left-pad`."""
    if not it.purl:
        return it.name
    return it.purl.partition("?")[0].partition("#")[0].rpartition("@")[0] or it.purl.partition("?")[0]


def stages(left: ReleaseDetail, right: ReleaseDetail) -> list[Pair[Step]]:
    """The stages of both, by environment and name."""
    return _pairs(steps(left), steps(right), lambda it: (it.environment, it.name))


def measurements(left: ReleaseDetail, right: ReleaseDetail) -> list[Pair[Measured]]:
    """What was measured in both, by environment, stage and metric."""
    return _pairs(measured(left), measured(right), lambda it: (it.environment, it.step, it.metric))


def _pairs(left: Iterable[T], right: Iterable[T], key: Callable[[T], Hashable]) -> list[Pair[T]]:
    before, after = {key(it): it for it in left}, {key(it): it for it in right}
    return [Pair(before.get(it), after.get(it)) for it in dict.fromkeys((*before, *after))]


def settings(
    left: ReleaseDetail,
    right: ReleaseDetail,
    frozen: Pair[Mapping[str, Any]] = Pair(None, None),
) -> list[tuple[str, Pair[str]]]:
    """Settings that differ, by name.

    :param frozen: the specifications that they began with, where both are kept; else what their records tell.
    """
    if frozen.left is not None and frozen.right is not None:
        before, after = dict(_flat(frozen.left)), dict(_flat(frozen.right))
    else:
        before, after = dict(_told(left)), dict(_told(right))
    names = sorted({*before, *after})
    return [
        (it, _not_shown(before.get(it), after.get(it)) if _is_env(it) else Pair(before.get(it), after.get(it)))
        for it in names
        if before.get(it) != after.get(it)
    ]


def _is_env(name: str) -> bool:
    """Whether a setting is a variable of a container, in which a team may have written what is for nobody else."""
    return "env" in name.split(".")[:-1]


def _not_shown(before: str | None, after: str | None) -> Pair[str]:
    return Pair(before and "set", after and ("set" if before is None else "set, to something else"))


def _told(release: ReleaseDetail) -> Iterator[tuple[str, str]]:
    """What the records of a release tell of its settings: its stages, their limits, and how it was deployed."""
    for step in steps(release):
        yield f"{step.environment}: traffic in {step.name}", f"{step.weight} %"
    for it in measured(release):
        if it.limit is not None:
            yield f"{it.environment}: limit of {it.metric} in {it.step}", f"{it.limit:g}"
    for event in release.events:
        if event.kind == DEPLOYED and event.data:
            told = {name: value for name, value in event.data.items() if name not in OF_THE_VERSION}
            for name, value in _flat(told):
                yield f"{event.environment}: {name}", value


def _flat(value: object, before: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as names with dots."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{before}.{name}" if before else str(name))
    elif isinstance(value, (list, tuple)) and value:
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{before}[{number}]")
    elif before:
        yield before, "not set" if value is None else str(value)
