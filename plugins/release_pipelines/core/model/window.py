"""What a release keeps to: calendars, and what happens when they close in mid-release."""

from typing import Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from release_pipelines.core.model.base import Stored, Value
from release_pipelines.core.model.units import Duration, lasting

ClosePolicy = Literal["finish", "pause", "rollback"]
"""What a release does whose window closes: go on to its end, keep its traffic as it is, or give it back."""
WhenClosed = Literal["wait", "refuse"]
PAUSE_LIMIT = 4 * 3600.0
"""Longest time that a window may stay closed in mid-release where a team says nothing, in seconds."""


class OnClose(Value):
    """What happens when the window closes in mid-release. One word stands for all stages."""

    policy: ClosePolicy = "finish"
    limit: Duration = Field(
        PAUSE_LIMIT, gt=0, description="`pause`: so long the traffic stays as it is, then it goes back"
    )
    stages: dict[str, ClosePolicy] = Field(
        default_factory=dict, description="Stages that differ, by name, like step_50 or bake"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_word(cls, value: Any) -> Any:
        return {"policy": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema, which also allows a single word."""
        whole = handler.resolve_ref_schema(handler(core))
        words = whole["properties"]["policy"]["enum"]
        return {"anyOf": [whole, {"enum": words}], "description": whole.get("description", "")}

    def of(self, stage: str) -> ClosePolicy:
        """What happens in a stage."""
        return self.stages.get(stage, self.policy)

    def in_words(self) -> str:
        """What happens when the window closes in mid-release, in a sentence without its full stop."""
        limit = lasting(self.limit)
        words = {
            "finish": "the release goes on to its end",
            "pause": f"the traffic stays as it is for at most {limit}, then it goes back",
            "rollback": "the traffic goes back at once",
        }
        differ = "".join(f"; in {stage} {words[policy]}" for stage, policy in self.stages.items())
        return f"if it closes in mid-release {words[self.policy]}{differ}"


class WindowRule(Stored):
    """The calendars that a release keeps to in one environment, by name: what they say is always read anew."""

    calendars: list[str]
    app: str
    environment: str
    tags: list[str] = Field(default_factory=list)
    time_zone: str = "UTC"
    when_closed: WhenClosed = "wait"
    latest_start: float | None = Field(
        None, description="Seconds before the window closes after which nothing is begun; None: up to its end"
    )
    on_close: OnClose = Field(default_factory=OnClose)
