"""A BuildKit daemon of its own, by its address: it builds for several platforms, and pushes what it builds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from release_pipelines.adapters.builders._abilities import foreign
from release_pipelines.adapters.builders._buildkit import BuildFailed, BuildKit, program
from release_pipelines.adapters.builders.engine import engine_failure
from release_pipelines.core.address import engine_address, json_in
from release_pipelines.core.errors import AddressUnclear, PlatformError, PlatformUnavailable
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.ports.builder import Log, Publication, Recipe, RegistryLogin

NO_BUILDX = "BuildKit is asked by docker-buildx, which this worker does not have: install Docker's buildx plugin there."


class BuildKitDaemon:
    """The daemon at one address. It keeps steps, and no images: all that it builds is pushed at once.

    :param connection: its host is the address (``tcp://…``, ``unix:///…``); its extra may hold ``build_args`` for every build and, for
        TLS, ``tls``: paths of ``ca``, ``cert`` and ``key``.
    """

    keeps = False

    def __init__(self, connection: Connection) -> None:
        self.host = engine_address(connection)
        if not self.host:
            raise PlatformError(
                f"The connection {connection.name or 'of the builder'} names no BuildKit: an address like tcp://host:1234 is expected as its host."
            )
        self.build_args = {key: str(value) for key, value in self._given(connection, "build_args").items()}
        self._buildkit = BuildKit(self.host, self._given(connection, "tls"), daemon=True)

    @staticmethod
    def _given(connection: Connection, key: str) -> Mapping[str, Any]:
        try:
            return json_in(connection, key)
        except AddressUnclear as error:
            raise PlatformError(str(error)) from None

    def check(self) -> str:
        """Say that the daemon answers, or raise."""
        try:
            return f"BuildKit answers: it builds for {', '.join(self._buildkit.platforms(_program()))}"
        except BuildFailed as error:
            raise PlatformUnavailable(
                f"BuildKit does not answer ({self.host}): {' '.join(error.log) or error.explanation}."
            ) from None

    def obstacle(self, dockerfile: Callable[[], str | None], secrets: bool) -> str | None:
        """Why it cannot build a Dockerfile: BuildKit reads all that there is."""
        return None if program() else NO_BUILDX

    def cannot_publish(
        self, publication: Publication, dockerfile: Callable[[], str | None], target: str | None
    ) -> str | None:
        """Why it cannot build for these platforms, in a sentence; None: it can, as far as can be told."""
        if not program():
            return NO_BUILDX
        return foreign(self._buildkit, f"BuildKit at {self.host}", publication.platforms, dockerfile, target)

    def build(
        self, recipe: Recipe, tag: str | None, login: RegistryLogin | None, what: str, timeout: float, log: Log
    ) -> str:
        """Run a build of which nothing is kept but its steps: tests."""
        if tag:
            raise PlatformError(f"{what}: BuildKit keeps no images, it can only push what it builds at once.")
        args = {**self.build_args, **recipe.args}
        try:
            return self._buildkit.build(_program(), recipe, args, None, login, log)
        except BuildFailed as error:
            raise engine_failure(what, error.explanation, error.log) from None

    def publish(
        self, recipe: Recipe, publication: Publication, login: RegistryLogin | None, what: str, timeout: float, log: Log
    ) -> str:
        """Build an image, push it without a tag, and return its digest, from BuildKit's own metadata."""
        args = {**self.build_args, **recipe.args}
        try:
            return self._buildkit.publish(_program(), recipe, args, publication, login, log)
        except BuildFailed as error:
            raise engine_failure(what, error.explanation, error.log) from None

    def push(
        self, name: str, tag: str, commit: str | None, login: RegistryLogin | None, what: str, log: Log
    ) -> str | None:
        """It has nothing that could be pushed later."""
        raise PlatformError(f"{what}: BuildKit keeps no images, it can only push what it builds at once.")

    def stop(self) -> None:
        """End the build that runs."""
        self._buildkit.stop()


BUILDER = BuildKitDaemon


def _program() -> str:
    found = program()
    if found is None:
        raise PlatformError(NO_BUILDX)
    return found
