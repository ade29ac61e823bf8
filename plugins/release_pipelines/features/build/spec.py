"""The key `build` of an app's file."""

from __future__ import annotations

from pydantic import Field

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.units import (
    Duration,
)


class BuildSpec(Value):
    """How the image is made. An app without ``build`` has its image built elsewhere: a tag is resolved to a digest."""

    repository: str = Field(description="Git URL, or a folder that is a Git repository (relative to the project)")
    git_connection: str | None = Field(None, description="Airflow connection with a private repository's credentials")
    branch: str = Field("main", description="Built when the version has no tag of its own (`v1.2.3` or `1.2.3`)")
    context: str = Field(".", description="Folder inside the repository: a monorepo's subfolder")
    dockerfile: str = "Dockerfile"
    target: str | None = Field(None, description="Stage of the Dockerfile that is released")
    test_target: str | None = Field(None, description="Stage whose build runs the app's tests")
    args: dict[str, str] = Field(default_factory=dict)
    timeout: Duration = 1800
