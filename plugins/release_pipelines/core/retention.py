"""Which images may leave the registry: never what may be rolled back to, nor what belongs to it (R8). Pure.

A tag that carries no version which the history knows, or names another digest than it recorded, is somebody else's: it stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from release_pipelines.core.model.records import Stability


@dataclass(frozen=True)
class Tagged:
    """A tag in the registry.

    :param belongs: digests of all that goes with it: the images of its platforms, attestations, what is attached to any of them.
    """

    tag: str
    digest: str
    belongs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Going:
    """An image that may be deleted.

    :param tags: the tags that name it.
    :param digests: what is deleted, first the digest that the tags name: whoever stops half-way leaves nothing that looks whole.
    """

    version: str
    tags: list[str]
    digests: list[str]


@dataclass(frozen=True)
class Retention:
    """What goes, and what stays with its reason by tag."""

    goes: list[Going] = field(default_factory=list)
    stays: dict[str, str] = field(default_factory=dict)


def needed(apps: Mapping[str, Sequence[Stability]], keep: int) -> dict[str, str]:
    """Digests that have to stay, and why.

    :param apps: how stable each version of every app is, newest first: repositories may be shared.
    :param keep: so many versions of each app that held stay, newest first. One that went wrong later counts too: a person may lift that.
    """
    reasons: dict[str, str] = {}
    for app, versions in apps.items():
        held = [it for it in versions if it.held]
        for number, it in enumerate(held[:keep], 1):
            reasons.setdefault(it.digest, f"{app} {it.version} may be rolled back to ({number} of {keep})")
        for it in versions:
            if it.last_outcome is None:
                reasons.setdefault(it.digest, f"{app} {it.version} is being released")
        for it in versions[:keep]:  # a version keeps its image: without it nobody could release it again
            reasons.setdefault(it.digest, f"{app} {it.version} is one of the {keep} that were released last")
        if held:
            good = next((it for it in held if it.good), held[0])
            reasons.setdefault(good.digest, f"{app} {good.version} is the last good version")
    return reasons


def decide(found: Iterable[Tagged], recorded: Mapping[str, tuple[str, str]], reasons: Mapping[str, str]) -> Retention:
    """What may go.

    :param found: all tags of a repository.
    :param recorded: tags to the version and the digest that the history has for it.
    :param reasons: digests that have to stay, and why.
    """
    tagged, stays = list(found), dict[str, str]()
    for it in tagged:
        version, digest = recorded.get(it.tag, ("", ""))
        if why := reasons.get(it.digest):
            stays[it.tag] = why
        elif not version:
            stays[it.tag] = "the history knows no such version"
        elif digest != it.digest:
            stays[it.tag] = f"it names another digest than {version} was released by"
    held_by = {it.digest: it.tag for it in tagged if it.tag in stays}
    for it in tagged:
        if it.tag not in stays and it.digest in held_by:
            stays[it.tag] = f"it is the image of {held_by[it.digest]}"
    safe = {digest for it in tagged if it.tag in stays for digest in (it.digest, *it.belongs)} | set(reasons)
    goes: dict[str, Going] = {}
    for it in tagged:
        if it.tag in stays:
            continue
        if it.digest in safe:  # as a part of something else
            stays[it.tag] = "it is part of what stays"
            continue
        parts = [it.digest, *sorted(it.belongs - safe - {it.digest})]
        before = goes.get(it.digest)
        goes[it.digest] = Going(recorded[it.tag][0], [*(before.tags if before else []), it.tag], parts)
    return Retention(list(goes.values()), stays)
