"""SLSA provenance v1: who built an image, and of what. Written of our own builds, and read of anyone's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from release_pipelines.core.attestations.reading import Unreadable
from release_pipelines.core.model.source import without_login

BUILD_TYPE = "urn:release-pipelines:build:dockerfile:v1"
"""An image made of a Dockerfile in a commit: docs/signing.md says what its parameters mean."""


@dataclass(frozen=True)
class Build:
    """A build of ours.

    :param builder: the id of who built it.
    :param invocation: the release's id.
    :param ref: which tag or branch the commit was found by, like ``refs/tags/v1.2.0``.
    :param base_images: images that the Dockerfile begins with, where their digests are known: names to digests.
    """

    builder: str
    repository: str
    commit: str
    ref: str = ""
    context: str = "."
    dockerfile: str = "Dockerfile"
    target: str | None = None
    args: Mapping[str, str] | None = None
    base_images: Mapping[str, str] | None = None
    invocation: str = ""
    finished_at: float | None = None


@dataclass(frozen=True)
class Provenance:
    """What provenance says, as far as it is asked."""

    builder: str
    repository: str | None
    commits: frozenset[str]
    refs: frozenset[str]


def predicate(build: Build) -> dict[str, Any]:
    """The predicate of a build of ours. Logins in the repository's address are left out."""
    repository = without_login(build.repository)
    ref = build.ref if build.ref.startswith("refs/") else ""  # else the commit was asked for by its hash
    source = {"repository": repository, "commit": build.commit, **({"ref": ref} if ref else {})}
    parameters: dict[str, Any] = {"source": source, "context": build.context, "dockerfile": build.dockerfile}
    if build.target:
        parameters["target"] = build.target
    if build.args:
        parameters["args"] = dict(build.args)
    at = f"@{ref}" if ref else ""
    materials = [{"uri": f"git+{repository}{at}", "digest": {"gitCommit": build.commit}}]
    for name, digest in sorted((build.base_images or {}).items()):
        algorithm, _, value = digest.partition(":")
        materials.append({"uri": f"oci://{name}", "digest": {algorithm: value}})
    metadata: dict[str, Any] = {"invocationId": build.invocation} if build.invocation else {}
    if build.finished_at is not None:
        finished = datetime.fromtimestamp(build.finished_at, timezone.utc)
        metadata["finishedOn"] = finished.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": parameters,
            "internalParameters": {},
            "resolvedDependencies": materials,
        },
        "runDetails": {"builder": {"id": build.builder}, "metadata": metadata},
    }


def read_provenance(said: Any) -> Provenance:
    """What a predicate says.

    :raises Unreadable: where it does not name who built the image.
    """
    definition, details = _object(said, "buildDefinition"), _object(said, "runDetails")
    builder = _object(details, "builder").get("id")
    if not isinstance(builder, str) or not builder:
        raise Unreadable("its provenance names no builder")
    parameters = _object(definition, "externalParameters")
    materials = list(_git_materials(definition.get("resolvedDependencies")))
    repository, ref, commit = _source(parameters)
    if repository is None and materials:
        repository = materials[0][0]
    # Of several repositories (submodules, say) the source is the one that was asked to be built.
    own = [it for it in materials if repository is None or same_repository(it[0], repository)]
    commits = {it[2] for it in own} | ({commit} if commit else set())
    refs = {it[1] for it in own if it[1]} | ({ref} if ref else set())
    return Provenance(builder, repository, frozenset(commits), frozenset(refs))


def same_repository(one: str, other: str) -> bool:
    """Whether two addresses name one repository, by whatever protocol it is fetched."""
    return _bare(one) == _bare(other)


def _bare(address: str) -> str:
    address = without_login(address.strip()).removeprefix("git+").partition("#")[0].partition("?")[0]
    scp = re.fullmatch(r"(?:[^/@:\s]+@)?([^/:\s]+):(?!//)(.+)", address)
    if scp:
        address = f"ssh://{scp[1]}/{scp[2].lstrip('/')}"
    _, found, rest = address.partition("://")
    if not found:
        return address.rstrip("/").removesuffix(".git")
    host, slash, path = rest.partition("/")
    path = re.sub(r"(\.git)?@[^/].*$", "", path) if "@" in path else path
    return f"{host.lower()}{slash}{path.rstrip('/').removesuffix('.git')}"


def _source(parameters: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Repository, ref and commit that a build was asked for, as builders are used to write them."""
    for name in ("source", "workflow", "sourceToBuild"):
        it = parameters.get(name)
        if isinstance(it, str):
            return _split(it)[0], _split(it)[1], None
        if isinstance(it, Mapping):
            repository = _text(it.get("repository")) or _text(it.get("uri"))
            commit = _text(it.get("commit")) or None
            return repository, _text(it.get("ref")), commit.lower() if commit else None
    return None, None, None


def _git_materials(materials: Any) -> Iterator[tuple[str, str | None, str]]:
    """Repository, ref and commit of each material that is a commit."""
    for it in materials if isinstance(materials, list) else ():
        uri = it.get("uri") if isinstance(it, Mapping) else None
        digest = it.get("digest") if isinstance(it, Mapping) else None
        if not isinstance(digest, Mapping):
            continue
        git = isinstance(uri, str) and uri.startswith("git+")
        commit = _text(digest.get("gitCommit")) or (_text(digest.get("sha1")) if git else None)
        if isinstance(uri, str) and commit:
            repository, ref = _split(uri)
            yield repository, ref, commit.lower()


def _split(uri: str) -> tuple[str, str | None]:
    """The address and what is asked of it, like ``refs/heads/main``."""
    address, found, ref = uri.partition("@refs/")
    return address, f"refs/{ref}" if found else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _object(said: Any, name: str) -> Mapping[str, Any]:
    found = said.get(name) if isinstance(said, Mapping) else None
    return found if isinstance(found, Mapping) else {}
