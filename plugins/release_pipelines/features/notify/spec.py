"""Receivers of notices: the list ``notify`` of an environment's file."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, GetJsonSchemaHandler, ValidationInfo, field_validator, model_validator
from pydantic_core import CoreSchema

from release_pipelines.core.errors import ExtensionError
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.choice import Choice
from release_pipelines.core.model.notice import WAITING
from release_pipelines.core.model.outcome import LIKE, Outcome
from release_pipelines.core.ports.notifier import NOTIFIERS, Notifier

KEYS = ("connection", "channel", "to")
"""Keys of a receiver beside its kind."""

Address = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]


class NotifySpec(Value):
    """One receiver. What is secret about it (addresses with tokens, passwords) stands in its Airflow connection."""

    kind: Annotated[str, Choice(NOTIFIERS)]
    connection: str | None = Field(
        None,
        description="Airflow connection: `http` for webhook, `slackwebhook` or `slack` for slack, `smtp` for mail (there "
        "`smtp_default` by default)",
    )
    channel: str | None = Field(None, description="slack with a connection of type `slack`: where the message goes")
    to: list[Address] = Field(default_factory=list, description="mail: addresses")
    on: list[Literal[Outcome, "waiting"]] = Field(
        default_factory=lambda: list(get_args(Outcome)),
        min_length=1,
        description="Outcomes that are told, and `waiting`: the release waits for a person. Default: all; who hears of all outcomes "
        "hears of that, too",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, validate_default=True, description="What a notifier of another package has to know"
    )

    def hears_of(self, kind: str) -> bool:
        """Whether the receiver is told of this outcome, or of :data:`~release_pipelines.core.model.notice.WAITING`."""
        kind = LIKE.get(kind, kind)
        return kind in self.on or (kind == WAITING and set(get_args(Outcome)) <= set(self.on))

    @property
    def keys(self) -> dict[str, Any]:
        """The receiver's keys beside its kind, as the notifier takes them."""
        keys = {key: getattr(self, key) for key in KEYS if getattr(self, key)}
        model = NOTIFIERS.get(self.kind).options
        return {**keys, "options": model.model_validate(self.options)} if model else keys

    @field_validator("options")
    @classmethod
    def _options_fit(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """A mistake in the options is told where it stands, by the notifier's own model."""
        model = _notifier(info.data["kind"]).options if "kind" in info.data else None
        if model:
            model.model_validate(options)
        return options

    @model_validator(mode="after")
    def _fits(self) -> "NotifySpec":
        notifier = _notifier(self.kind)
        keys = {key for key in (*KEYS, "options") if getattr(self, key)}
        allowed = {*notifier.needs, *notifier.takes, *(["options"] if notifier.options else [])}
        for key in notifier.needs:
            if key not in keys:
                raise ValueError(f"`{key}` beside it is expected, found `{self.kind}` alone")
        for key in sorted(keys - allowed):
            raise ValueError(f"no `{key}` beside `{self.kind}` is expected, found `{key}`")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema, with the options of each notifier that has some."""
        resolved = handler.resolve_ref_schema(handler(schema))
        options = {}
        for name, model in _options():
            model.model_rebuild()  # where it was not used yet, it has no schema
            options[name] = handler(model.__pydantic_core_schema__)
        if options:
            resolved["allOf"] = [
                {"if": {"properties": {"kind": {"const": name}}}, "then": {"properties": {"options": it}}}
                for name, it in options.items()
            ]
        else:
            del resolved["properties"]["options"]
        return resolved


def named(spec: NotifySpec) -> str:
    """The receiver in a sentence, like ``slack release_slack``; two receivers that differ are called differently."""
    options = ", ".join(f"{key}={value}" for key, value in spec.options.items())
    return " ".join(it for it in (spec.kind, spec.connection, spec.channel, ", ".join(spec.to), options) if it)


def _notifier(kind: str) -> Notifier:
    try:
        return NOTIFIERS.get(kind)
    except ExtensionError as error:
        raise ValueError(f"a notifier that can be loaded is expected, found `{kind}` ({error})") from None


def _options() -> Iterator[tuple[str, type[Value]]]:
    """The notifiers that have options; one that cannot be loaded has none that an editor could know."""
    for name, notifier in NOTIFIERS.usable():
        if notifier.options:
            yield name, notifier.options
