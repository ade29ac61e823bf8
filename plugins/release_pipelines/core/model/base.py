"""What every value of a release is made of: frozen, and JSON both ways."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from release_pipelines.core.text import storable


class Value(BaseModel):
    """Base: frozen, unknown keys are errors, JSON in and out by ``model_dump(mode="json")`` and ``model_validate``."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def to_json(value: Value) -> dict[str, Any]:
    """The value as a plain dict for XCom, trigger arguments and the history, without what their databases refuse."""
    return storable(value.model_dump(mode="json"))  # type: ignore[no-any-return]
