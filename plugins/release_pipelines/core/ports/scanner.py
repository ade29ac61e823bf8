"""Scanners: they check source code and images before anything is deployed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from typing_extensions import Self

from release_pipelines.core.model.finding import ScanResult
from release_pipelines.core.model.image import PlatformImage
from release_pipelines.core.model.limits import Limits
from release_pipelines.core.seams import Seam


@runtime_checkable
class Limited(Protocol):
    """What a scanner can do in addition: keep to limits."""

    def within(self, limits: Limits) -> Self:
        """The same scanner, with these limits."""


@runtime_checkable
class Contained(Protocol):
    """What a scanner can do in addition: run its program in a container, instead of on the worker.

    :ivar contained: whether all that it needs is that program.
    """

    contained: bool


@runtime_checkable
class Scanner(Protocol):
    """Scans a folder of source code.

    A scanner that could not look says ``unknown``, which blocks the release: it is never ``clean``.
    """

    name: str

    def missing(self) -> str | None:
        """What the scanner needs and this worker does not have, in a sentence; None: it can look."""

    def scan(self, directory: Path, dockerfile: str) -> ScanResult:
        """Scan a build context. Never raises.

        :param directory: the build context.
        :param dockerfile: path of the Dockerfile inside it.
        """


@runtime_checkable
class ImageScanner(Protocol):
    """Scans the image of one platform.

    What it looks at lies in a folder, as an OCI image layout with that one manifest: fetched by its digest, and verified. So no scanner
    asks a registry, holds credentials, or takes an older image of the same tag.
    """

    name: str

    def missing(self) -> str | None:
        """What the scanner needs and this worker does not have, in a sentence; None: it can look."""

    def scan_image(self, layout: Path, image: PlatformImage) -> ScanResult:
        """Scan an image. Never raises. The result's ``subject`` is the digest that the scanner says it looked at.

        :param layout: the folder of the OCI image layout.
        :param image: whose manifest it is.
        """


@runtime_checkable
class Configured(Protocol):
    """What a scanner can have in addition: options. They stand in the environment's file, under the key that is called like the scanner."""

    def configured(self, options: Mapping[str, Any]) -> Any:
        """The same scanner with these options: plain values, as JSON has them.

        :raises ValueError: one sentence, when they do not fit.
        """


SCANNERS: Seam[Scanner] = Seam("scanner", "release_pipelines.adapters.scanners", Scanner, ("hadolint", "bandit"))

IMAGE_SCANNERS: Seam[ImageScanner] = Seam(
    "image_scanner",
    "release_pipelines.adapters.image_scanners",
    ImageScanner,
    ("trivy", "grype", "secrets", "advisories"),
)


def image_scanner(name: str, options: Mapping[str, Any] | None = None) -> ImageScanner:
    """The scanner of images of that name, with its options where it takes any.

    :raises ExtensionError: when there is none.
    :raises ValueError: when the options do not fit.
    """
    scanner = IMAGE_SCANNERS.get(name)
    if options and isinstance(scanner, Configured):
        configured: ImageScanner = scanner.configured(options)
        return configured
    return scanner
