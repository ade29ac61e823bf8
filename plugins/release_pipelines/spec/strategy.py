"""The key `strategy` of an app's file."""

from typing import TYPE_CHECKING, Any

from pydantic import model_validator

from release_pipelines.core.model.base import Value
from release_pipelines.core.ports.strategy import STRATEGIES, Strategy
from release_pipelines.spec.keys import with_names

DEFAULT = "canary"
"""The strategy of an app that names none."""


class _OneStrategy(Value):
    """How the new version takes over. One key names the strategy."""

    @model_validator(mode="before")
    @classmethod
    def _name_is_enough(cls, value: Any) -> Any:
        if value == {}:
            return {DEFAULT: {}}
        if isinstance(value, str) and value in cls.model_fields:
            return {value: {}}
        if not isinstance(value, (dict, cls)):
            raise ValueError(f"{_named(cls)} is expected")
        if isinstance(value, dict) and len(value) == 1:  # `rolling:` with nothing behind it
            return {key: {} if own is None else own for key, own in value.items()}
        return value

    @model_validator(mode="after")
    def _one(self) -> "_OneStrategy":
        names = list(type(self).model_fields)
        if sum(getattr(self, name) is not None for name in names) != 1:
            raise ValueError(f"exactly {_named(type(self))} is expected")
        return self

    @property
    def name(self) -> str:
        """The strategy that is given."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def strategy(self) -> Strategy:
        """What it does."""
        return STRATEGIES.get(self.name)

    @property
    def chosen(self) -> Any:
        """Its settings."""
        return getattr(self, self.name)


def _named(model: type[Value]) -> str:
    *others, last = (f"`{name}`" for name in model.model_fields)
    return f"one of {', '.join(others)} or {last}"


def _models() -> dict[str, type[Value]]:
    return {
        name: strategy.model for name, strategy in STRATEGIES.usable()
    }  # whoever names another is told why it is not


if TYPE_CHECKING:

    class StrategySettings(_OneStrategy):
        """With a key for each strategy."""

else:
    _OneStrategy.__name__ = "StrategySettings"
    StrategySettings = with_names(_OneStrategy, STRATEGIES, _models())
