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
    :param digest: the digest that is meant, where a push has told it; another one is no match.
    :return: the :class:`~release_pipelines.core.model.artifact.Artifact` as a dict.

    Templated: ``image``, ``version``, ``digest``.
    XCom: return value; ``source``, which tag was taken; ``reason`` when it fails.
    """

    template_fields = ("image", "version", "digest")

    def __init__(
        self,
        *,
        app: str,
        image: str,
        version: str,
        registry_conn_id: str,
        image_tag: str | None = None,
        digest: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**TRY_AGAIN, **kwargs})
        self.app = app
        self.image = image
        self.version = version
        self.registry_conn_id = registry_conn_id
        self.image_tag = image_tag
        self.digest = digest

    def work(self, context: Context) -> dict[str, Any]:
        registry = RegistryHook(self.registry_conn_id).get_conn()
        name = registry.repository(self.image)
        tags = tags_of([self.image_tag] if self.image_tag else IMAGE_TAGS, self.version, self.app)
        for tag in tags:
            digest = registry.digest_of(self.image, tag)
            if digest and self.digest in ("", digest):
                return self._found(context, name, digest, f"tag {tag}")
        if self.digest:  # a tag may follow its push late
            if registry.digest_of(self.image, self.digest) == self.digest:
                return self._found(context, name, self.digest, "the digest that was pushed, which no tag names yet")
            raise PlatformError(f"The registry has no image {name}@{self.digest}: push it again.")
        raise PlatformError(f"The registry has no image {name}:{tags[0]}: push it, or name another version.")

    def _found(self, context: Context, name: str, digest: str, source: str) -> dict[str, Any]:
        self.log.info("%s %s is %s (%s).", name, self.version, digest, source)
        context["ti"].xcom_push("source", source)
        return to_json(Artifact(app=self.app, version=self.version, image=name, digest=digest))
