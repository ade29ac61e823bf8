"""From a commit to an image on a container engine; and the app's tests, which are a stage of its Dockerfile."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowTaskTimeout

from release_pipelines.airflow.hooks.engine import EngineHook
from release_pipelines.airflow.hooks.git import GitHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.airflow.operator import ReleaseOperator
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.tags import tags_of
from release_pipelines.features.build.operators._publication import epoch_of, prepared, publication_of
from release_pipelines.features.build.operators._secrets import read_secrets
from release_pipelines.features.build.operators._tries import TRY_AGAIN

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.core.ports.builder import Publication
    from release_pipelines.core.ports.registry import Registry


class ImageBuildOperator(ReleaseOperator):
    """Build an image from a commit on a container engine; its log lines are the task's.

    BuildKit builds where a Docker Engine has it and the worker has Docker's buildx; else the engine's classic builder. Layers that the engine has are used again, but by Podman only where ``args`` is empty. Labels name the commit, the version, and when the commit was made.

    :param repository: a Git URL, or a folder that is a Git repository.
    :param commit: full hash of what is built.
    :param image: repository in the registry, with or without the registry's host.
    :param version: becomes the image's tag, unless ``image_tag`` says otherwise.
    :param engine_conn_id: the engine; extra ``build_args`` of its connection go into every build.
    :param registry_conn_id: the registry whose host the image's name begins with; also where base images come from.
    :param context: folder inside the repository.
    :param dockerfile: path inside ``context``.
    :param target: stage to build; None: the last one.
    :param args: build arguments, over those of the connection.
    :param labels: further labels.
    :param secrets: ids to where each secret of the build comes from: ``{"connection": …}`` (its password), ``{"variable": …}`` or
        ``{"file": …}``. The Dockerfile reads one by ``RUN --mount=type=secret,id=…``; it needs BuildKit.
    :param image_tag: template of the image's tag, like ``release-{version}``; None: the version.
    :param app: the app's name, for ``image_tag``.
    :param timeout: seconds that the build may take.
    :param git_conn_id: connection with the credentials of a private repository.
    :param platforms: like ``linux/arm64``: the image is an index of one image for each; none: the builder's own.
    :param cache: ``registry``: steps are kept in the registry, as the image's tag ``buildcache``; None: where the builder is.
    :param provenance: whether BuildKit attests how the image was built.
    :param reproducible: whether the commit's time stands for all times in the image.
    :return: ``{"image", "tag", "id"}``. With one of the last four, and by a builder that keeps no images, the image is pushed at once,
        without a tag, and ``"digest"`` is what the build itself says that it is: ``ImagePushOperator`` names it.

    Templated: ``repository``, ``commit``, ``image``, ``version``, ``args``.
    XCom: return value; ``reason`` when it fails.
    """

    template_fields = ("repository", "commit", "image", "version", "args")
    keeps = True

    def __init__(
        self,
        *,
        repository: str,
        commit: str,
        image: str,
        version: str,
        engine_conn_id: str,
        registry_conn_id: str | None = None,
        context: str = ".",
        dockerfile: str = "Dockerfile",
        target: str | None = None,
        args: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
        timeout: float = 1800,
        git_conn_id: str | None = None,
        secrets: dict[str, dict[str, str]] | None = None,
        image_tag: str | None = None,
        app: str | None = None,
        platforms: list[str] | None = None,
        cache: str | None = None,
        provenance: bool = False,
        reproducible: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**TRY_AGAIN, "execution_timeout": timedelta(seconds=timeout), **kwargs})
        self.repository = repository
        self.commit = commit
        self.image = image
        self.version = version
        self.engine_conn_id = engine_conn_id
        self.registry_conn_id = registry_conn_id
        self.context = context
        self.dockerfile = dockerfile
        self.target = target
        self.args = args or {}
        self.labels = labels or {}
        self.timeout = timeout
        self.git_conn_id = git_conn_id
        self.secrets = secrets or {}
        self.image_tag = image_tag
        self.app = app
        self.platforms = platforms or []
        self.cache = cache
        self.provenance = provenance
        self.reproducible = reproducible

    def work(self, context: Context) -> dict[str, str]:
        from release_pipelines.adapters.git import folder_inside

        registry = RegistryHook(self.registry_conn_id).get_conn() if self.registry_conn_id else None
        name = registry.repository(self.image) if registry else self.image
        git = GitHook(self.repository, self.git_conn_id).get_conn()
        try:
            with git.checkout(self.commit, self.context) as source:
                folder = folder_inside(source, self.context, self.dockerfile)
                built = self._build(name, folder, git.commit_time(source), registry)
        except AirflowTaskTimeout:
            raise PlatformError(
                f"{self._what(name)} took longer than {self.timeout:g} s: see the last lines of its log, "
                "or give it more time with `build.timeout`."
            ) from None
        self.log.info("Built %s:%s, %s.", name, self._tag, built.get("digest") or built["id"])
        return {"image": name, "tag": self._tag, **built}

    def on_kill(self) -> None:
        """End the build with the task."""
        stop = getattr(self._builder, "stop", None)
        if stop:
            stop()

    _builder: Any = None
    """What builds now."""

    @property
    def _tag(self) -> str:
        return tags_of([self.image_tag or "{version}"], self.version, self.app)[0]

    def _what(self, name: str) -> str:
        return f"Building {name}:{self.version}"

    def _build(self, name: str, folder: Path, created: str, registry: Registry | None) -> dict[str, str]:
        from release_pipelines.core.ports.builder import CREATED, REVISION, VERSION, Publisher, Recipe

        labels = {REVISION: self.commit, VERSION: self.version, CREATED: created, **self.labels}
        recipe = Recipe(folder, self.dockerfile, self.target, self.args, labels, read_secrets(self.secrets))
        builder = self._builder = EngineHook(self.engine_conn_id).builder()
        what, login = self._what(name), registry.login if registry else None
        publication = self._publication(name, created, registry)
        publisher = builder if isinstance(builder, Publisher) else None
        if self.keeps and (publication.shown() or (publisher and not publisher.keeps)):
            if publisher is None:
                raise PlatformError(
                    f"{what}: this builder cannot push what it builds at once, which {' and '.join(publication.shown())} need."
                )
            if registry is not None:
                prepared(registry, self.image)
            digest = publisher.publish(recipe, publication, login, what, self.timeout, self.log.info)
            return {"id": digest, "digest": digest}
        tag = f"{name}:{self._tag}" if self.keeps else None
        return {"id": builder.build(recipe, tag, login, what, self.timeout, self.log.info)}

    def _publication(self, name: str, created: str, registry: Registry | None) -> Publication:
        return publication_of(
            name,
            registry,
            platforms=self.platforms,
            cache=self.cache,
            provenance=self.provenance,
            epoch=epoch_of(created) if self.reproducible else None,
        )


class ImageTestOperator(ImageBuildOperator):
    """Run an app's tests by building the stage that runs them; nothing is kept but the layers.

    Takes the arguments of :class:`ImageBuildOperator`; ``target`` is the stage of the tests.

    Templated: ``repository``, ``commit``, ``image``, ``version``, ``args``.
    XCom: return value; ``reason`` when it fails.
    """

    keeps = False

    def _what(self, name: str) -> str:
        return f"The tests of {name}:{self.version} (stage {self.target})"
