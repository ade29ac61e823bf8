"""A command in a container: on the environment's engine, or as a pod of its own on Kubernetes."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.ports.own_stage import OwnStage, OwnStagePlace, texts_in

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SecretName(Value):
    """Where a secret comes from: one of these. The file says its name, never the secret itself."""

    connection: str | None = Field(None, description="Airflow connection whose password it is")
    variable: str | None = Field(None, description="Airflow variable that holds it")

    @model_validator(mode="after")
    def _is_one(self) -> "SecretName":
        if (self.connection is None) == (self.variable is None):
            raise ValueError("one of `connection` and `variable` is expected")
        return self


def _variables(named: dict[str, Any]) -> dict[str, Any]:
    for name in named:
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"names of variables (letters, digits and `_`) are expected, found {name!r}")
    return named


class ContainerOptions(Value):
    """A command that passes when it ends with 0."""

    image: str | None = Field(
        None,
        min_length=1,
        description="`name:tag` in the environment's registry, or with another registry's host before it; a tag is resolved to its "
        "digest, which is recorded. Default: the image that is released",
    )
    command: list[str] = Field(min_length=1, description="The command and its arguments; no shell reads them")
    env: Annotated[dict[str, str], AfterValidator(_variables)] = Field(default_factory=dict)
    secrets: Annotated[dict[str, SecretName], AfterValidator(_variables)] = Field(
        default_factory=dict, description="Variables to where their values come from"
    )
    exit_codes: list[Annotated[int, Field(ge=0, le=255)]] = Field(
        default_factory=lambda: [0], min_length=1, description="Those that are no failure"
    )

    @model_validator(mode="after")
    def _each_once(self) -> "ContainerOptions":
        if twice := sorted(self.env.keys() & self.secrets.keys()):
            raise ValueError(f"each variable once is expected, found `{twice[0]}` in `env` and in `secrets`")
        return self


class Container(OwnStage):
    """``container: {image: k6:1.0, command: [k6, run, load.js]}``."""

    options = ContainerOptions

    def mistakes(self, where: str, options: ContainerOptions, place: OwnStagePlace) -> Iterator[Mistake]:
        if options.image is None and not place.image:
            yield (
                where,
                "no `image`",
                "`image`, or a place after `artifact`: the image that is released is not known before",
            )

    def texts(self, options: ContainerOptions) -> Iterator[str]:
        yield from texts_in([options.image or "", options.command, options.env])

    def operator(self, task_id: str, options: ContainerOptions, given: Mapping[str, Any]) -> Any:
        from release_pipelines.features.own_stages.operators.container import ContainerStageOperator

        return ContainerStageOperator(task_id=task_id, options=options, **given)


OWN_STAGE = Container()
