"""What is released: an image digest with its names."""

from pydantic import Field

from release_pipelines.core.model.base import Stored


class Artifact(Stored):
    """What is released: an image digest with its name tags."""

    app: str
    version: str
    image: str = Field(description="Repository without tag or digest, like registry.example/storefront")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    commit: str | None = None
    evidence: dict[str, str] = Field(default_factory=dict, description="Names of checks to their result in words")

    @property
    def reference(self) -> str:
        """The image as it is deployed: by digest, never by tag."""
        return f"{self.image}@{self.digest}"


UNKNOWN_VERSION = "unknown"
"""Version of what ran before any release put it there, named by nothing but its digest."""
