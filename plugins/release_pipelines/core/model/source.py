"""Where source code is."""

from pydantic import Field

from release_pipelines.core.model.base import Stored


class Source(Stored):
    """A folder of a Git repository, with its Dockerfile."""

    repository: str = Field(description="Git URL, or a folder that is a Git repository (relative to the project)")
    git_connection: str | None = Field(None, description="Airflow connection with a private repository's credentials")
    branch: str = Field("main", description="Built when the version has no tag of its own (`v1.2.3` or `1.2.3`)")
    context: str = Field(".", description="Folder inside the repository: a monorepo's subfolder")
    dockerfile: str = "Dockerfile"
