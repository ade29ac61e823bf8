"""The key ``way_back`` of an environment."""

from typing import Any, Literal

from pydantic import Field, model_validator

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.image import platform_name


class WayBackSpec(Value):
    """What is asked of the registry before a release. A word alone is ``missing``."""

    missing: Literal["warn", "demand"] = Field(
        "warn", description="Whether a release goes on that could not be taken back, because the image is gone"
    )
    platforms: list[str] = Field(
        default_factory=list,
        description="Those of the machines, like linux/amd64: others may be gone. Default: all that the image has",
    )

    @model_validator(mode="before")
    @classmethod
    def _word(cls, given: Any) -> Any:
        return {"missing": given} if isinstance(given, str) else given

    def names(self) -> list[str]:
        """The platforms by the names that images have."""
        return [platform_name(*[*it.split("/"), ""][:3]) for it in self.platforms]
