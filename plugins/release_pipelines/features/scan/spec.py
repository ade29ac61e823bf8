"""The key `scan` of an app's file."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator
from typing_extensions import Self

from release_pipelines.core.findings.rules import Rules
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.choice import Choice
from release_pipelines.core.model.limits import Limits
from release_pipelines.core.model.units import DnsName, Duration, Inside
from release_pipelines.core.ports.scanner import IMAGE_SCANNERS, SCANNERS

ECR = "ecr"
"""What Amazon ECR's own scan is called among the others."""


class SarifSpec(Value):
    """A command that looks at the source and writes SARIF."""

    name: DnsName = Field(description="What it is called in tasks and sentences")
    command: list[Annotated[str, Field(min_length=1)]] = Field(
        min_length=1, description="The command and its arguments; it runs in `build.context`, without a shell"
    )
    report: Inside = Field(min_length=1, description="The file that it writes, seen from `build.context`")


class EcrSpec(Value):
    """Amazon ECR's own scan of the image."""

    connection: str | None = Field("aws_default", description="Airflow connection of AWS")
    region: str | None = Field(None, description="Default: the image's, or the connection's")
    wait: Duration = Field(1800.0, gt=0, description="How long findings are waited for")


def _file_name(raw: str) -> str:
    if not raw.endswith(".json") or "/" in raw or "\\" in raw:
        raise ValueError("the name of a file in the folder of VEX documents that ends with .json is expected")
    return raw


DocumentName = Annotated[str, AfterValidator(_file_name)]
"""A file of a folder."""


class ScanSpec(Rules):
    """What is scanned before anything is deployed, and what of it stops a release."""

    later: ClassVar[frozenset[str]] = Rules.later | {
        "exclude",
        "vex",
        "image_scanners",
        "sarif",
        "limits",
        "ecr",
        "containers",
    }

    scanners: list[Annotated[str, Choice(SCANNERS)]] = ["hadolint", "bandit"]
    exclude: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="What is not scanned, by patterns as in `.gitignore`, seen from `build.context`",
    )
    sarif: list[SarifSpec] = Field(default_factory=list, description="Commands that look at the source and write SARIF")
    image_scanners: list[Annotated[str, Choice(IMAGE_SCANNERS)]] = Field(
        default_factory=list, description="What looks at the image that is released, of each platform, in the registry"
    )
    ecr: EcrSpec | None = Field(None, description="Wait for Amazon ECR's own scan of the image")
    limits: dict[str, Limits] = Field(
        default_factory=dict, description="What scanners may use, by their names: `timeout` and `memory`"
    )
    containers: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        default_factory=dict,
        description="Images in whose containers scanners run on the build's engine, by the scanners' names; the others run on the worker",
    )
    vex: list[DocumentName] = Field(
        default_factory=list, description="OpenVEX and CycloneDX documents in `include/vex`, as JSON"
    )

    @model_validator(mode="after")
    def _names(self) -> Self:
        for name, all_names in (
            ("scanners", [*self.scanners, *(it.name for it in self.sarif)]),
            ("image_scanners", self.image_scanners),
        ):
            twice = sorted({it for it in all_names if all_names.count(it) > 1})
            if twice:
                raise ValueError(f"each of `{name}` and `sarif` once is expected, found `{twice[0]}` twice")
        known = {*self.scanners, *self.image_scanners, *(it.name for it in self.sarif)}
        for what, names in (("limits", self.limits), ("containers", self.containers)):
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"{what} of scanners that run are expected ({', '.join(sorted(known))}), found `{name}`"
                    )
        return self

    @property
    def of_image(self) -> list[str]:
        """Names of all that look at the image."""
        return [*self.image_scanners, *([ECR] if self.ecr else [])]

    @property
    def gated(self) -> bool:
        """Whether all that scanners find is judged together, before anything is deployed."""
        return bool(self.vex or self.of_image) or self.ask_for_more

    @property
    def rules(self) -> Rules:
        """The rules alone."""
        return Rules.model_validate({name: getattr(self, name) for name in Rules.model_fields})
