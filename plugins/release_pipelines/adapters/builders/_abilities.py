"""What a container engine can build, and what is said of a Dockerfile that needs more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from release_pipelines.adapters.builders._buildkit import BuildFailed, BuildKit, program
from release_pipelines.core.dockerfile import Need, needs, run_for_target
from release_pipelines.core.platforms import fits

PODMAN_CAN = {
    "heredoc": (4, 8),
    "COPY --exclude": (5, 3), "ADD --exclude": (5, 3), "COPY --parents": (5, 5), "COPY --link": (5, 6), "ADD --link": (5, 6),
    "ADD --checksum": (5, 1),
}  # fmt: skip
"""From which version on Podman can what it could not always; what is not named it can, or ignores."""


@dataclass(frozen=True)
class Abilities:
    """What an engine is.

    :param name: like ``Podman 4.3.1``.
    :param podman: Podman's version; None: it is none.
    :param buildkit: whether it has BuildKit.
    :param buildx: whether this worker has what BuildKit is asked by.
    """

    name: str
    podman: tuple[int, ...] | None
    buildkit: bool
    buildx: bool

    @property
    def by_buildkit(self) -> bool:
        """Whether BuildKit builds here."""
        return self.buildkit and self.buildx

    def obstacle(self, dockerfile: Callable[[], str | None], secrets: bool) -> str | None:
        """Why the engine cannot build, in a sentence; None: it can, as far as can be told.

        :param dockerfile: gives the Dockerfile's text, or None; called only where it matters.
        :param secrets: whether the build has secrets.
        """
        if self.by_buildkit:
            return None
        lacking = [f"{need.shown} in line {need.line}" for need in needs(dockerfile() or "") if self._lacks(need)]
        if secrets:
            lacking.append("`build.secrets`")
        if not lacking:
            return None
        wanted = " and ".join([*([", ".join(lacking[:-1])] if lacking[:-1] else []), lacking[-1]])
        if self.buildkit:
            return (
                f"The engine, {self.name}, has BuildKit, which the build needs for {wanted}, but this worker has no docker-buildx "
                "to ask it by: install Docker's buildx plugin there."
            )
        return (
            f"The engine, {self.name}, cannot build this Dockerfile, which needs BuildKit for {wanted}: a Docker Engine with BuildKit "
            "is expected as `connections.engine`, or a Dockerfile without it."
        )

    def cannot_publish(self, asked: list[str], by_containerd: bool) -> str | None:
        """Why the engine cannot push what it builds at once, in a sentence; None: it can.

        :param asked: the keys that ask for it, as people write them.
        :param by_containerd: whether it keeps its images by containerd.
        """
        wanted = " and ".join([*([", ".join(asked[:-1])] if asked[:-1] else []), *asked[-1:]])
        if self.buildkit and not self.buildx:
            return (
                f"The engine, {self.name}, has BuildKit, which the build needs for {wanted}, but this worker has no docker-buildx "
                "to ask it by: install Docker's buildx plugin there."
            )
        if not self.buildkit or not by_containerd:
            lacks = "keeps its images without containerd" if self.buildkit else "has no BuildKit"
            return (
                f"The engine, {self.name}, {lacks}, which the build needs for {wanted}: a Docker Engine with BuildKit and the containerd "
                "image store, or a connection of type `buildkit`, is expected as `connections.engine`."
            )
        return None

    def _lacks(self, need: Need) -> bool:
        if self.podman is None:
            return True
        return need.name == "frontend" or self.podman < PODMAN_CAN.get(need.name, (0,))


def foreign(
    buildkit: BuildKit,
    name: str,
    platforms: Iterable[str],
    dockerfile: Callable[[], str | None],
    target: str | None,
) -> str | None:
    """Why steps of a build cannot be run for some of its platforms, in a sentence; None: they can, or there are none.

    A Dockerfile that compiles for other platforms on the builder's own (``FROM --platform=$BUILDPLATFORM``) needs nothing.

    :param name: the builder, for people.
    """
    buildx = program()
    wanted = list(platforms)
    if not wanted or buildx is None:
        return None
    try:
        there = buildkit.platforms(buildx)
    except BuildFailed:
        return None  # the build itself says it better
    missing = [it for it in wanted if not any(fits(it, known) for known in there)]
    line = run_for_target(dockerfile() or "", target) if missing else None
    if line is None:
        return None
    return (
        f"{name} runs programs of {', '.join(there)} only, and line {line} of the Dockerfile runs one of {' and '.join(missing)}: install "
        "emulation there (QEMU by binfmt_misc), or compile in a stage `FROM --platform=$BUILDPLATFORM`."
    )
