"""What stands in the way of a build, asked before anything is built."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Callable, Iterator

from release_pipelines.airflow.hooks.engine import EngineHook
from release_pipelines.airflow.hooks.git import GitHook
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.ports.builder import Builder, Publisher
from release_pipelines.features.build.operators._publication import publication_of
from release_pipelines.features.build.operators._secrets import read_secrets
from release_pipelines.features.build.spec import BuildSpec
from release_pipelines.spec.release import ReleaseSpec

log = logging.getLogger(__name__)


def obstacles(spec: ReleaseSpec, build: BuildSpec, version: str) -> Iterator[str]:
    """Sentences. A repository or an engine that does not answer is none: the tasks that need it ask again, and more often."""
    app, git = spec.app, GitHook(build.repository, build.git_connection).get_conn()
    try:
        tags = [build.tag] if build.tag else []
        revision = git.resolve(version, build.branch, tags=tags, app=app.name, scheme=app.version_scheme)
        log.info("%s is built from %s.", version, revision.source)
        read_secrets({name: it.model_dump(exclude_none=True) for name, it in build.secrets.items()})
        if build.builder:
            return  # what it can do was looked at with the file, and it is asked by the task that needs it
        builder = EngineHook(spec.environments[0].connections.engine or "").builder()
        obstacle = getattr(builder, "obstacle", None)
        path = posixpath.join(build.context, build.dockerfile)

        def dockerfile() -> str | None:
            return git.file(revision.commit, path)

        sentence = obstacle(dockerfile, bool(build.secrets)) if obstacle else None
        if sentence := sentence or _cannot_publish(builder, build, dockerfile):
            yield sentence
    except PlatformUnavailable as error:
        log.warning("Whether %s can be built could not be looked at: %s", version, error)
    except PlatformError as error:
        yield str(error)


def _cannot_publish(builder: Builder, build: BuildSpec, dockerfile: Callable[[], str | None]) -> str | None:
    """Why the builder cannot push what it builds at once, where the file asks for what needs that."""
    asked = publication_of(
        "image",
        None,
        platforms=build.platforms,
        cache=build.cache,
        provenance=build.provenance,
        epoch=0 if build.reproducible else None,
    )
    if not asked.shown():
        return None
    if not isinstance(builder, Publisher):
        return f"The builder cannot push what it builds at once, which {' and '.join(asked.shown())} need."
    return builder.cannot_publish(asked, dockerfile, build.target)
