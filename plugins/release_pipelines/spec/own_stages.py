"""The keys `stages`, `leave_out` and `move` of an app's file: what a team adds to a release, leaves out, and puts elsewhere."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.units import Duration
from release_pipelines.core.ports.own_stage import OWN_STAGES, OwnStage
from release_pipelines.spec.keys import with_names


class Place(Value):
    """Where something stands: right after, or right before, a task of the release, called as the graph shows it."""

    after: str | None = Field(None, description="Like `staging.smoke_test` or `approval`")
    before: str | None = Field(None, description="Like `staging.deploy`; an environment's name is its first task")

    @model_validator(mode="after")
    def _one_place(self) -> "Place":
        if (self.after is None) == (self.before is None):
            raise ValueError("exactly one of `after` and `before` is expected")
        return self

    @property
    def anchor(self) -> str:
        """What it stands beside."""
        return self.after or self.before or ""


class _OwnStage(Place):
    """A stage of a team's own. One further key names its kind."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="The task's id")]
    environment: str | None = Field(
        None,
        description="Whose platform and address it uses; default: where it stands, before all environments the first",
    )
    timeout: Duration = Field(600, gt=0, description="Of one try")
    retries: int = Field(0, ge=0, le=20, description="How often it is tried again after it has failed")
    stop_after: Duration | None = Field(None, gt=0, description="Of all tries together; then it has failed")
    continue_when: Literal["succeeded", "ended"] = Field(
        "succeeded", description="ended: the release also goes on where it has failed, and people see that it has"
    )
    evidence: str | None = Field(None, description="What the approval calls it; default: its name")
    keep_output: bool = Field(False, description="What it gives is kept with the release as a text, 256 KiB at most")

    @model_validator(mode="after")
    def _one_kind(self) -> "_OwnStage":
        if sum(getattr(self, name, None) is not None for name in _kinds()) != 1:
            raise ValueError(f"exactly one of {', '.join(f'`{name}`' for name in _kinds())} is expected")
        return self

    @property
    def label(self) -> str:
        """What people see beside its result."""
        return self.evidence or self.name.replace("_", " ").capitalize()

    @property
    def kind(self) -> str:
        """The name of its kind."""
        return next(name for name in _kinds() if getattr(self, name, None) is not None)

    @property
    def work(self) -> OwnStage:
        """What it does."""
        return OWN_STAGES.get(self.kind)

    @property
    def options(self) -> Any:
        """What stands under its kind's name."""
        return getattr(self, self.kind)

    @property
    def longest(self) -> float:
        """The longest time that it may take with all its tries, in seconds."""
        tries = self.timeout * (self.retries + 1)
        return min(tries, self.stop_after) if self.stop_after else tries


def _kinds() -> list[str]:
    """Names of kinds; one that is called like another key of a stage is none."""
    return [name for name in OWN_STAGES.names() if name not in _COMMON]


def _models() -> dict[str, type[Value]]:
    # Whoever names another is told why it is not there.
    return {name: kind.options for name, kind in OWN_STAGES.usable() if name not in _COMMON}


_COMMON = frozenset(_OwnStage.model_fields)


if TYPE_CHECKING:

    class OwnStageSpec(_OwnStage):
        """With a key for each kind."""

else:
    _OwnStage.__name__ = "OwnStageSpec"
    OwnStageSpec = with_names(_OwnStage, OWN_STAGES, _models())
