"""The hold: how long a version is watched."""

from typing import Any

from pydantic import GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.units import (
    Duration,
    parse_duration,
)


class Hold(Value):
    """How long something is watched: at least ``min``, at most ``max`` seconds. One duration stands for both."""

    min: Duration
    max: Duration

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema, which also allows a single duration."""
        both = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [both, {"type": "string"}, {"type": "number"}], "description": both.get("description", "")}

    @model_validator(mode="before")
    @classmethod
    def _one_duration(cls, value: Any) -> Any:
        if isinstance(value, (dict, cls)):
            return value
        seconds = parse_duration(value)
        if seconds == 0:
            raise ValueError("a duration above 0 is expected")
        return {"min": seconds, "max": seconds}

    @model_validator(mode="after")
    def _ordered(self) -> "Hold":
        if not 0 < self.max >= self.min:
            raise ValueError("a `max` above 0 that is not less than `min` is expected")
        return self


def ten_minutes() -> Hold:
    """The default bake."""
    return Hold(min=600, max=600)


RETURN_SECONDS = 15.0
"""Longest time that stable is watched after each weight of its way back, in seconds, where a team says nothing."""


def return_hold(wanted: float | None, bake: Hold) -> float:
    """Seconds that stable is watched after each weight of its way back: as wanted, or as fits the bake before it."""
    return min(RETURN_SECONDS, bake.min / 4) if wanted is None else wanted
