"""From one registry to another, by digest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.airflow.operator import ReleaseOperator
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.base import to_json
from release_pipelines.features.build.operators._tries import TRY_AGAIN

if TYPE_CHECKING:
    from airflow.sdk import Context


class ImageCopyOperator(ReleaseOperator):
    """Copy an image to another registry, or to another repository of the same one, with all that belongs to it.

    The digest stays the same. The images of all platforms come along, attestations, and what is attached to any of them: SBOMs, provenance, signatures. What
    is there already is not sent again.

    :param image: its repository, with or without the registry's host.
    :param reference: a digest, or a tag: then the digest that it names now.
    :param registry_conn_id: the registry that it is in.
    :param to_registry_conn_id: the registry that it goes to.
    :param to_image: its repository there; None: as ``image``, without the registry's host.
    :param tag: a tag that names it there, when it is whole; None: it is known by its digest.
    :return: a :class:`~release_pipelines.core.model.image.Copied` as a dict: ``repository``, ``digest``, ``manifests``, ``attached``,
        ``blobs``, and ``size`` in bytes. Fails where something of it is gone, or a registry cannot do it.

    Templated: ``image``, ``reference``, ``to_image``, ``tag``.
    XCom: return value; ``reason`` when it fails.
    """

    template_fields = ("image", "reference", "to_image", "tag")

    def __init__(
        self,
        *,
        image: str,
        reference: str,
        registry_conn_id: str,
        to_registry_conn_id: str,
        to_image: str | None = None,
        tag: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**TRY_AGAIN, **kwargs})
        self.image = image
        self.reference = reference
        self.registry_conn_id = registry_conn_id
        self.to_registry_conn_id = to_registry_conn_id
        self.to_image = to_image
        self.tag = tag

    def work(self, context: Context) -> dict[str, Any]:
        from release_pipelines.core.ports.registry import Images, PreparesRepositories, TakesCopies

        origin = RegistryHook(self.registry_conn_id).get_conn()
        target = RegistryHook(self.to_registry_conn_id).get_conn()
        if not isinstance(target, TakesCopies):
            raise PlatformError(f"The registry {target.host} takes no copies: its adapter cannot do it.")
        name = origin.repository(self.image)
        into = self.to_image or name.removeprefix(f"{origin.host}/")
        digest = self.reference
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            found = origin.digest_of(self.image, self.reference)
            if found is None:
                raise PlatformError(f"The registry has no image {name}:{self.reference}: nothing can be copied.")
            digest = found
        if isinstance(target, PreparesRepositories):
            target.prepare(into)
        copied = target.take(into, digest, origin, self.image)
        if self.tag and isinstance(target, Images):
            target.tag(into, digest, self.tag)
        self.log.info(
            "%s@%s is in %s now: %d manifests and %d blobs (%d bytes) were sent, %d documents came along.",
            name, digest, copied.repository, copied.manifests, copied.blobs, copied.size, copied.attached,
        )  # fmt: skip
        return to_json(copied)
