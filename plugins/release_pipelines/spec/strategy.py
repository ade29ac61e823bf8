"""The key `strategy` of an app's file."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from release_pipelines.core.model.base import Value
from release_pipelines.core.strategies.blue_green import BlueGreenSettings
from release_pipelines.core.strategies.canary import CanarySettings
from release_pipelines.core.strategies.rolling import RollingSettings


class StrategySettings(Value):
    """How the new version takes over. One key names the strategy."""

    canary: CanarySettings | None = None
    blue_green: BlueGreenSettings | None = None
    rolling: RollingSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_is_enough(cls, value: Any) -> Any:
        if value == {}:
            return {"canary": {}}
        if isinstance(value, str) and value in cls.model_fields:
            return {value: {}}
        if isinstance(value, dict) and len(value) == 1:  # `rolling:` with nothing behind it
            return {key: {} if own is None else own for key, own in value.items()}
        return value

    @model_validator(mode="after")
    def _one(self) -> StrategySettings:
        if sum(it is not None for it in (self.canary, self.blue_green, self.rolling)) != 1:
            raise ValueError("exactly one of `canary`, `blue_green` or `rolling` is expected")
        return self

    @property
    def chosen(self) -> CanarySettings | BlueGreenSettings | RollingSettings:
        """The one that is given."""
        chosen = self.canary or self.blue_green or self.rolling
        assert chosen is not None  # noqa: S101 - _one has seen to it
        return chosen
