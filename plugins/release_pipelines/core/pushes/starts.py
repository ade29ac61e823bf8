"""The key `starts` of an app's file."""

from pydantic import Field

from release_pipelines.core.model.base import Value


class Starts(Value):
    """What starts a release of the app without a person: any of these."""

    branch: str | None = Field(None, min_length=1, description="Branch of which every push is released, as a commit")
    tags: bool = Field(False, description="true: a pushed tag of Git that names a version is released")
    registry: bool = Field(False, description="true: an image whose tag names a version is released")
    asset: str | None = Field(
        None,
        pattern=r"^[!-~]{1,1500}$",
        description="Address of the Airflow asset whose events name a version and a digest",
    )
    ignore_accounts: list[str] = Field(
        default_factory=list,
        description="Logins whose pushes start nothing, like that of a robot that releases write with",
    )
    ignore_files: list[str] = Field(
        default_factory=list,
        description="Patterns like `deploy/*`: a push that changes nothing else starts nothing",
    )
