"""The key `scan` of an app's file."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from release_pipelines.core.findings.rules import Rules
from release_pipelines.core.model.choice import Choice
from release_pipelines.core.ports.scanner import SCANNERS


def _file_name(raw: str) -> str:
    if not raw.endswith(".json") or "/" in raw or "\\" in raw:
        raise ValueError("the name of a file in include/vex/ that ends with .json is expected")
    return raw


DocumentName = Annotated[str, AfterValidator(_file_name)]
"""A file of a folder."""


class ScanSpec(Rules):
    """What is scanned before anything is deployed, and what of it stops a release."""

    later: ClassVar[frozenset[str]] = Rules.later | {"exclude", "vex"}

    scanners: list[Annotated[str, Choice(SCANNERS)]] = ["hadolint", "bandit"]
    exclude: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="What is not scanned, by patterns as in `.gitignore`, seen from `build.context`",
    )
    vex: list[DocumentName] = Field(
        default_factory=list, description="OpenVEX and CycloneDX documents in `include/vex`, as JSON"
    )

    @property
    def gated(self) -> bool:
        """Whether all that scanners find is judged together, before anything is deployed."""
        return bool(self.vex) or self.ask_for_more

    @property
    def rules(self) -> Rules:
        """The rules alone."""
        return Rules.model_validate({name: getattr(self, name) for name in Rules.model_fields})
