"""The keys `build` and `image_tag` of an app's file."""

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.choice import Choice
from release_pipelines.core.model.source import Source
from release_pipelines.core.model.units import Duration
from release_pipelines.core.platforms import PLATFORM
from release_pipelines.core.ports.remote_builder import REMOTE_BUILDERS

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def _fits(template: str) -> str:
    from release_pipelines.core.tags import image_misfit

    if misfit := image_misfit(template):
        raise ValueError(misfit)
    return template


ImageTag = Annotated[str, AfterValidator(_fits)]


class SecretSource(Value):
    """Where a secret of the build comes from: one of these. The file says its name, never the secret itself."""

    connection: str | None = Field(None, description="Airflow connection whose password it is")
    variable: str | None = Field(None, description="Airflow variable that holds it")
    file: str | None = Field(None, description="Absolute path of a file on the worker")

    @model_validator(mode="after")
    def _is_one(self) -> "SecretSource":
        if sum(it is not None for it in (self.connection, self.variable, self.file)) != 1:
            raise ValueError("one of `connection`, `variable` and `file` is expected")
        if self.file is not None and not self.file.startswith("/"):
            raise ValueError("an absolute path is expected for `file`")
        return self


def _ids(secrets: dict[str, SecretSource]) -> dict[str, SecretSource]:
    for name in secrets:
        if not _ID.fullmatch(name):
            raise ValueError(f"an id of letters, digits, `_`, `.` and `-` is expected, found {name!r}")
    return secrets


def _platforms(names: list[str]) -> list[str]:
    for name in names:
        if not PLATFORM.fullmatch(name):
            raise ValueError(f"platforms like linux/amd64 or linux/arm64 are expected, found {name!r}")
    if len(set(names)) != len(names):
        raise ValueError("each platform once is expected")
    return names


class BuilderSpec(Value):
    """A builder elsewhere, which fetches the commit, builds and pushes by itself."""

    kind: Annotated[str, Choice(REMOTE_BUILDERS)]
    connection: str | None = Field(
        None, description="Airflow connection that leads there; default: the first environment's `connections.engine`"
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="What this kind of builder has to know")


class BuildSpec(Source):
    """How the image is made. An app without ``build`` has its image built elsewhere: a tag is resolved to a digest."""

    later: ClassVar[frozenset[str]] = Source.later | {
        "secrets", "platforms", "cache", "provenance", "reproducible", "tags", "builder",
    }  # fmt: skip

    target: str | None = Field(None, description="Stage of the Dockerfile that is released")
    test_target: str | None = Field(None, description="Stage whose build runs the app's tests")
    args: dict[str, str] = Field(default_factory=dict)
    secrets: Annotated[dict[str, SecretSource], AfterValidator(_ids)] = Field(
        default_factory=dict,
        description="Ids to where each secret comes from; the Dockerfile reads it by `RUN --mount=type=secret,id=…`",
    )
    timeout: Duration = 1800
    platforms: Annotated[list[str], AfterValidator(_platforms)] = Field(
        default_factory=list,
        description="Like linux/amd64 and linux/arm64: the image is an index of one image for each; default: the builder's own",
    )
    cache: Literal["registry"] | None = Field(
        None,
        description="Where steps are kept for later builds, beside the builder: `registry`, as the image's tag `buildcache`",
    )
    provenance: bool = Field(False, description="Whether BuildKit attests, inside the image's index, how it was built")
    reproducible: bool = Field(
        False,
        description="Whether the commit's time stands for all times in the image, so that a commit has one digest",
    )
    tags: list[Literal["commit", "latest"]] = Field(
        default_factory=list, description="Tags that each build moves to its image, beside the version's"
    )
    builder: BuilderSpec | None = Field(
        None, description="A builder elsewhere; default: what `connections.engine` leads to"
    )
