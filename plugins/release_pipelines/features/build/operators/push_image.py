"""From an image on a container engine to a digest in a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.hooks.engine import EngineHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.airflow.operator import ReleaseOperator, is_blank
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.tags import tags_of
from release_pipelines.features.build.operators._publication import prepared
from release_pipelines.features.build.operators._tries import TRY_AGAIN

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.core.ports.registry import Images, Registry


class ImagePushOperator(ReleaseOperator):
    """Push a built image, or name one that its builder has pushed, and find out its digest, from the builder and from the registry itself.

    Both must be the same, and the image must be of the commit, as its label says where the registry can be asked.

    :param app: the app's name.
    :param image: repository in the registry, with or without the registry's host.
    :param version: the version.
    :param commit: the commit that the image must have been built from.
    :param engine_conn_id: the engine that built it; not needed with ``digest``.
    :param registry_conn_id: where it goes.
    :param image_tag: template of the image's tag, like ``release-{version}``; None: the version.
    :param digest: what its builder has pushed already, without a tag; empty: the image is on the engine.
    :param tagged: whether the builder of ``digest`` has tagged it, too.
    :param tags: further tags, which move: ``commit`` (the commit's hash), ``latest``.
    :return: the :class:`~release_pipelines.core.model.artifact.Artifact` as a dict.

    Templated: ``image``, ``version``, ``commit``, ``digest``.
    XCom: return value; ``reason`` when it fails.
    """

    template_fields = ("image", "version", "commit", "digest")

    def __init__(
        self,
        *,
        app: str,
        image: str,
        version: str,
        commit: str | None = None,
        engine_conn_id: str = "",
        registry_conn_id: str,
        image_tag: str | None = None,
        digest: str = "",
        tagged: bool = False,
        tags: list[str] | None = None,
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
        self.digest = digest
        self.tagged = tagged
        self.tags = tags or []

    def work(self, context: Context) -> dict[str, Any]:
        from release_pipelines.core.built import check_built

        registry = RegistryHook(self.registry_conn_id).get_conn()
        name = registry.repository(self.image)
        [tag] = tags_of([self.image_tag or "{version}"], self.version, self.app)
        moving = self._moving(registry, name)
        prepared(registry, self.image)
        commit = self.commit or None
        if is_blank(self.digest):
            pushed, labelled = self._push(registry, name, tag), False
        else:
            pushed, labelled = self.digest, True
            if not self.tagged:
                self._name(registry, name, tag, pushed, commit)
        digest = check_built(registry, self.image, tag, pushed, commit, labelled=labelled or not pushed)
        for it in moving:
            self._tagging(registry, name).tag(self.image, digest, it)
        self.log.info("Pushed %s:%s as %s.", name, ", ".join([tag, *moving]), digest)
        return to_json(Artifact(app=self.app, version=self.version, image=name, digest=digest, commit=commit))

    def _push(self, registry: Registry, name: str, tag: str) -> str | None:
        """Push from the engine, and return the digest that it says."""
        builder = EngineHook(self.engine_conn_id).builder()
        return builder.push(name, tag, self.commit, registry.login, f"Pushing {name}:{tag}", self.log.info)

    def _name(self, registry: Registry, name: str, tag: str, digest: str, commit: str | None) -> None:
        """Tag what was pushed without a tag, but nothing that is of another commit."""
        from release_pipelines.core.built import check_commit

        images = self._tagging(registry, name)
        if registry.digest_of(self.image, digest) != digest:
            raise PlatformError(f"{name}@{digest}, which was built, is not in the registry any more: build it again.")
        if commit:
            check_commit(images, self.image, digest, commit, f"{name}@{digest}")
        if registry.digest_of(self.image, tag) != digest:
            images.tag(self.image, digest, tag)

    def _moving(self, registry: Registry, name: str) -> list[str]:
        """The tags beside the version's; asked for before anything is pushed."""
        if self.tags:
            self._tagging(registry, name)
        if "commit" in self.tags and not self.commit:
            raise PlatformError(f"{name} is to be tagged with its commit, but it is not known which one it is.")
        return [self.commit or "" if it == "commit" else it for it in self.tags]

    @staticmethod
    def _tagging(registry: Registry, name: str) -> Images:
        from release_pipelines.core.ports.registry import Images

        if not isinstance(registry, Images):
            raise PlatformError(f"{name} cannot be tagged by its digest: this kind of registry is not able to.")
        return registry
