"""From a version to the digest of an image that was built elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.airflow.operator import ReleaseOperator
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.tags import IMAGE_TAGS, tags_of
from release_pipelines.features.build.operators._tries import TRY_AGAIN

if TYPE_CHECKING:
    from airflow.sdk import Context


class ResolveDigestOperator(ReleaseOperator):
    """Find the digest of an image that was built elsewhere.

    :param app: the app's name.
    :param image: repository in the registry, with or without the registry's host.
    :param version: the version.
    :param registry_conn_id: the registry.
    :param image_tag: template of the version's tag, like ``release-{version}``; None: ``{version}``, else ``v{version}``.
    :return: the :class:`~release_pipelines.core.model.artifact.Artifact` as a dict.

    Templated: ``image``, ``version``.
    XCom: return value; ``source``, which tag was taken; ``reason`` when it fails.
    """

    template_fields = ("image", "version")

    def __init__(
        self,
        *,
        app: str,
        image: str,
        version: str,
        registry_conn_id: str,
        image_tag: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**TRY_AGAIN, **kwargs})
        self.app = app
        self.image = image
        self.version = version
        self.registry_conn_id = registry_conn_id
        self.image_tag = image_tag

    def work(self, context: Context) -> dict[str, Any]:
        registry = RegistryHook(self.registry_conn_id).get_conn()
        name = registry.repository(self.image)
        tags = tags_of([self.image_tag] if self.image_tag else IMAGE_TAGS, self.version, self.app)
        for tag in tags:
            if digest := registry.digest_of(self.image, tag):
                self.log.info("%s:%s is %s.", name, tag, digest)
                context["ti"].xcom_push("source", f"tag {tag}")
                return to_json(Artifact(app=self.app, version=self.version, image=name, digest=digest))
        raise PlatformError(f"The registry has no image {name}:{tags[0]}: push it, or name another version.")
