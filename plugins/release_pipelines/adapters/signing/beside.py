"""What hangs on an image in a registry: bundles by referrers, and the tags in which cosign 2 keeps signatures and attestations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from release_pipelines.core.attestations.envelope import BUNDLE, BUNDLES, ENVELOPE, SIMPLE_SIGNING, written
from release_pipelines.core.attestations.looking import Document
from release_pipelines.core.attestations.reading import Unreadable, json_object
from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.image import Image
from release_pipelines.core.ports.registry import Images, Registry, WritesManifests

Suffix = Literal["sig", "att"]
SIGNATURE_OF_LAYER = "dev.cosignproject.cosign/signature"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
MOST_DOCUMENTS = 500
"""So many documents beside one image are read at most."""
TRIES = 5
"""So often a tag is written that others write, too."""


class Beside:
    """What belongs to images of one repository.

    :param registry: where it is.
    :param repository: without tag or digest.
    :raises PlatformError: where the registry cannot tell what belongs to a digest.
    """

    def __init__(self, registry: Registry, repository: str) -> None:
        if not isinstance(registry, Images):
            raise PlatformError(f"The registry {registry.host} cannot tell what is attached to an image.")
        self.repository = registry.repository(repository)
        self._registry = registry
        self._images: Images = registry

    def image(self, digest: str) -> Image:
        """What a digest is made of.

        :raises PlatformError: where it is gone.
        """
        image = self._images.image(self.repository, digest)
        if image is None:
            raise PlatformError(f"{self.repository}@{digest} is gone from the registry.")
        return image

    def documents(self, image: Image) -> list[Document]:
        """Everything that may be a signature or an attestation, of the digest and of each of its platforms.

        :raises PlatformError: where there is more than anybody reads.
        """
        found: list[Document] = []
        seen: set[str] = set()
        for digest in dict.fromkeys([image.digest, *(it.digest for it in image.platforms)]):
            for manifest in self._manifests(digest):
                if manifest in seen:
                    continue
                seen.add(manifest)
                found += self._documents(manifest)
                if len(seen) > MOST_DOCUMENTS or len(found) > MOST_DOCUMENTS:
                    raise PlatformError(
                        f"More than {MOST_DOCUMENTS} documents hang on {image.repository}@{image.digest}: not all can be read."
                    )
        return found

    def attach(self, digest: str, bundle: Mapping[str, Any], predicate_type: str) -> str:
        """Attach a bundle to a digest, as cosign 3 does it, and return the digest of its manifest."""
        annotations = {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": predicate_type,
        }
        return self._images.attach(self.repository, digest, BUNDLE, BUNDLE, written(bundle), annotations)

    def add(self, digest: str, suffix: Suffix, content: bytes, annotations: Mapping[str, str]) -> None:
        """Add a document to the tag in which cosign 2 keeps all of them, without losing any: read, written, and read back.

        A registry that cannot be written so has the bundle alone.

        :raises PlatformError: where the tag cannot be changed.
        """
        if not isinstance(self._registry, WritesManifests):
            return
        layer = {
            "mediaType": SIMPLE_SIGNING if suffix == "sig" else ENVELOPE,
            "digest": _digest(content),
            "size": len(content),
            "annotations": dict(annotations),
        }
        tag = tag_of(digest, suffix)
        for _ in range(TRIES):
            layers = self._layers_of(tag)
            if layer in layers:
                return
            config, manifest = _manifest([*layers, layer])
            self._registry.put(self.repository, manifest, MANIFEST, tag, [content, config])
        if layer not in self._layers_of(tag):
            raise PlatformUnavailable(f"{self.repository}:{tag} is written by others all the time: nothing was added.")

    def _manifests(self, digest: str) -> Iterator[str]:
        """Digests of manifests beside a digest."""
        yield from (it.digest for it in self._images.referrers(self.repository, digest))
        for suffix in ("sig", "att"):
            if named := self._registry.digest_of(self.repository, tag_of(digest, suffix)):
                yield named

    def _layers_of(self, tag: str) -> list[dict[str, Any]]:
        named = self._registry.digest_of(self.repository, tag)
        return list(_layers(self._images.read(self.repository, named))) if named else []

    def _documents(self, manifest: str) -> Iterator[Document]:
        """What a manifest holds, if that is anything of ours; what cannot be read is an envelope without a content."""
        try:
            layers = list(_layers(self._images.read(self.repository, manifest)))
        except (PlatformUnavailable, Forbidden):
            raise
        except (PlatformError, Unreadable):
            yield Document(manifest, "envelope", b"")
            return
        for layer in layers:
            if (form := _form(layer.get("mediaType"))) is None:
                continue
            try:
                content = self._images.read(self.repository, str(layer.get("digest")))
            except (PlatformUnavailable, Forbidden):
                raise
            except PlatformError:
                content = b""
            annotations = layer.get("annotations")
            signature = annotations.get(SIGNATURE_OF_LAYER) if isinstance(annotations, dict) else None
            yield Document(manifest, form, content, signature if isinstance(signature, str) else "")


def tag_of(digest: str, suffix: str) -> str:
    """The tag in which cosign 2 keeps what belongs to a digest."""
    return f"{digest.replace(':', '-')}.{suffix}"


def _form(media_type: Any) -> Literal["bundle", "envelope", "simple_signing"] | None:
    if media_type in BUNDLES:
        return "bundle"
    return {ENVELOPE: "envelope", SIMPLE_SIGNING: "simple_signing"}.get(str(media_type))  # type: ignore[return-value]


def _layers(manifest: bytes) -> Iterable[dict[str, Any]]:
    """The layers of a manifest; of what is none, like an index, nothing."""
    layers = json_object(manifest, "manifest").get("layers")
    return [it for it in layers if isinstance(it, dict)] if isinstance(layers, list) else []


def _manifest(layers: list[dict[str, Any]]) -> tuple[bytes, bytes]:
    """Configuration and manifest of these layers, as an image that holds nothing else."""
    rootfs = {"type": "layers", "diff_ids": [it["digest"] for it in layers]}
    config = written({"architecture": "", "config": {}, "os": "", "rootfs": rootfs})
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": _digest(config), "size": len(config)},
        "layers": layers,
    }
    return config, written(manifest)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
