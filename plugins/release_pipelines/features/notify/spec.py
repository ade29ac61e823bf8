"""Who is told what a release came to: the list ``notify`` of an environment's file."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.outcome import Outcome

_TAKES = {"log": set(), "webhook": {"connection"}, "slack": {"connection", "channel"}, "mail": {"connection", "to"}}
_NEEDS = {"log": (), "webhook": ("connection",), "slack": ("connection",), "mail": ("to",)}
Address = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]


class NotifySpec(Value):
    """One receiver. What is secret about it (addresses with tokens, passwords) stands in its Airflow connection."""

    kind: Literal["log", "webhook", "slack", "mail"]
    connection: str | None = Field(
        None,
        description="Airflow connection: `http` for webhook, `slackwebhook` or `slack` for slack, `smtp` for mail (there "
        "`smtp_default` by default)",
    )
    channel: str | None = Field(None, description="slack with a connection of type `slack`: where the message goes")
    to: list[Address] = Field(default_factory=list, description="mail: addresses")
    on: list[Outcome] = Field(
        default_factory=lambda: list(get_args(Outcome)),
        min_length=1,
        description="Outcomes that are told; default: all",
    )

    @model_validator(mode="after")
    def _fits(self) -> NotifySpec:
        given = {key for key in ("connection", "channel", "to") if getattr(self, key)}
        for key in _NEEDS[self.kind]:
            if key not in given:
                raise ValueError(f"`{key}` beside it is expected, found `{self.kind}` alone")
        for key in sorted(given - _TAKES[self.kind]):
            raise ValueError(f"no `{key}` beside `{self.kind}` is expected, found `{key}`")
        return self
