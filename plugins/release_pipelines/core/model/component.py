"""What software is made of, as an SBOM lists it."""

from pydantic import Field

from release_pipelines.core.model.base import Stored


class Component(Stored):
    """One package in an image, or in source code."""

    name: str
    version: str | None = None
    purl: str | None = Field(None, description="Package URL with version and qualifiers; None: the SBOM names none")
    licences: list[str] = Field(
        default_factory=list, description="SPDX expressions, ids, or names as they stand; empty: the SBOM names none"
    )
    source: str | None = Field(
        None, description="Source package that a distribution built it from; None: of its own name"
    )
    source_version: str | None = Field(None, description="The source package's version; None: of the same version")
    distro: str | None = Field(None, description="The distribution's release, like debian-13")
