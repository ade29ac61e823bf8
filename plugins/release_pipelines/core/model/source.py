"""Where source code is."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from release_pipelines.core.model.base import Stored


def _fits(template: str) -> str:
    from release_pipelines.core.tags import git_misfit

    if misfit := git_misfit(template):
        raise ValueError(misfit)
    return template


class Source(Stored):
    """A folder of a Git repository, with its Dockerfile."""

    later: ClassVar[frozenset[str]] = frozenset({"tag", "branch"})

    repository: str = Field(description="Git URL, or a folder that is a Git repository (relative to the project)")
    git_connection: str | None = Field(None, description="Airflow connection with a private repository's credentials")
    tag: Annotated[str, AfterValidator(_fits)] | None = Field(
        None,
        description="How versions are tagged, like `release/{version}` or `{app}-v{version}`; default: the usual ways",
    )
    branch: str | None = Field(
        None,
        description="Its newest commit is built where no tag carries the version. Without it such a version is refused, but for "
        "dates and where no version has a tag: there it is `main`",
    )
    context: str = Field(".", description="Folder inside the repository: a monorepo's subfolder")
    dockerfile: str = "Dockerfile"
