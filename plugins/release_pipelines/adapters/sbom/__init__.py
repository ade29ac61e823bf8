"""SBOMs: lists of the components that software is made of, in CycloneDX and SPDX JSON."""

from release_pipelines.adapters.sbom.reading import NoSbom, components_in
from release_pipelines.adapters.sbom.syft import NotIdentified, Sbom, missing, of_image, of_source

__all__ = ["NoSbom", "NotIdentified", "Sbom", "components_in", "missing", "of_image", "of_source"]
