"""What an image's digest stands for: one manifest, or an index of manifests, one for each platform."""

from pydantic import Field

from release_pipelines.core.model.base import Stored

ATTESTATION = "vnd.docker.reference.type"
"""Annotation of what a builder puts beside the images of an index: it is no image."""


class Descriptor(Stored):
    """A thing in a registry, as the OCI image specification describes it."""

    media_type: str
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    size: int = 0
    artifact_type: str | None = None
    annotations: dict[str, str] = Field(default_factory=dict)


class PlatformImage(Descriptor):
    """The image of one platform."""

    platform: str = Field(description="Like linux/amd64, or linux/arm64/v8")


class Image(Stored):
    """A digest and what it is made of."""

    repository: str = Field(description="With the registry's host, without tag or digest")
    digest: str
    media_type: str
    platforms: list[PlatformImage] = Field(description="By platform; one where the digest is no index")
    attestations: list[Descriptor] = Field(
        default_factory=list, description="What a builder put into the index beside them"
    )


def same_images(one: Image, other: Image) -> bool:
    """Whether two digests have the same image for each platform: attestations, which hold timestamps, do not count."""
    return {it.platform: it.digest for it in one.platforms} == {it.platform: it.digest for it in other.platforms}
