"""The key `build` of an app's file."""

from pydantic import Field

from release_pipelines.core.model.source import Source
from release_pipelines.core.model.units import Duration


class BuildSpec(Source):
    """How the image is made. An app without ``build`` has its image built elsewhere: a tag is resolved to a digest."""

    target: str | None = Field(None, description="Stage of the Dockerfile that is released")
    test_target: str | None = Field(None, description="Stage whose build runs the app's tests")
    args: dict[str, str] = Field(default_factory=dict)
    timeout: Duration = 1800
