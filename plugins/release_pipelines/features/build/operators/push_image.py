"""From an image on a container engine to a digest in a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.hooks.engine import EngineHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.airflow.operator import ReleaseOperator
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.ports.registry import PreparesRepositories
from release_pipelines.core.tags import tags_of
from release_pipelines.features.build.operators._tries import TRY_AGAIN

if TYPE_CHECKING:
    from airflow.sdk import Context


class ImagePushOperator(ReleaseOperator):
    """Push a built image and find out its digest, from the engine and from the registry itself.

    :param app: the app's name.
    :param image: repository in the registry, with or without the registry's host.
    :param version: the version.
    :param commit: the commit that the image must have been built from.
    :param engine_conn_id: the engine that built it.
    :param registry_conn_id: where it goes.
    :param image_tag: template of the image's tag, like ``release-{version}``; None: the version.
    :return: the :class:`~release_pipelines.core.model.artifact.Artifact` as a dict.

    Templated: ``image``, ``version``, ``commit``.
    XCom: return value; ``reason`` when it fails.
    """

    template_fields = ("image", "version", "commit")

    def __init__(
        self,
        *,
        app: str,
        image: str,
        version: str,
        commit: str | None = None,
        engine_conn_id: str,
        registry_conn_id: str,
        image_tag: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**TRY_AGAIN, **kwargs})
        self.app = app
        self.image = image
        self.version = version
        self.commit = commit
        self.engine_conn_id = engine_conn_id
        self.registry_conn_id = registry_conn_id
        self.image_tag = image_tag

    def work(self, context: Context) -> dict[str, Any]:
        registry = RegistryHook(self.registry_conn_id).get_conn()
        name = registry.repository(self.image)
        builder = EngineHook(self.engine_conn_id).builder()
        if isinstance(registry, PreparesRepositories):
            registry.prepare(self.image)
        [tag] = tags_of([self.image_tag or "{version}"], self.version, self.app)
        what = f"Pushing {name}:{tag}"
        pushed = builder.push(name, tag, self.commit, registry.login, what, self.log.info)
        digest = registry.digest_of(self.image, tag)
        if digest is None or (pushed and pushed != digest):
            raise PlatformError(
                f"{name}:{tag} was pushed as {pushed or 'an unknown digest'}, but the registry has "
                f"{digest or 'no such tag'}: does somebody else push this version?"
            )
        self.log.info("Pushed %s:%s as %s.", name, tag, digest)
        return to_json(
            Artifact(app=self.app, version=self.version, image=name, digest=digest, commit=self.commit or None)
        )
