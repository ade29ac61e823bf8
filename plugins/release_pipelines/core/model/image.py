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
    return bool(one.platforms) and _images(one) == _images(other)


def _images(image: Image) -> set[tuple[str, str]]:
    return {(it.platform, it.digest) for it in image.platforms}


def platform_name(os: str, architecture: str, variant: str = "", os_version: str = "") -> str:
    """A platform's name, the same for all ways to write it: ``linux/arm64/v8`` is ``linux/arm64``."""
    os, architecture, variant = os.lower(), architecture.lower(), variant.lower()
    architecture = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}.get(architecture, architecture)
    if (architecture, variant) in (("arm64", "v8"), ("arm64", "8"), ("amd64", "v1")):
        variant = ""
    if architecture == "arm" and not variant:
        variant = "v7"
    name = f"{os}({os_version})" if os == "windows" and os_version else os
    return "/".join(it for it in (name, architecture, variant) if it)


class Copied(Stored):
    """An image that was copied to another repository."""

    repository: str = Field(description="Where it is now, with the registry's host")
    digest: str
    manifests: int = Field(description="Manifests that were not there")
    attached: int = Field(description="Documents and signatures that came along")
    blobs: int = Field(description="Blobs that were sent; the others were there, or the registry took them over")
    size: int = Field(description="Bytes of these blobs")
