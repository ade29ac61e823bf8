"""What every value of a release is made of: frozen, and JSON both ways.

Modules of values have no ``from __future__ import annotations``: pydantic would compile and evaluate the text of each annotation, once for
each class that inherits it, in every process that parses a DAG file.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from release_pipelines.core.text import storable

if TYPE_CHECKING:
    from typing_extensions import Self

EARLIER = {"earlier": True}
"""Context of ``model_dump`` for what a version from before :attr:`Value.later` has to read."""
MODEL_BRANCH = "function-wrap[_keeps_unknown()]"
"""What pydantic calls a branch of a union that is a value, where it says at which place a mistake stands; it is no key."""
_reads_what_is_stored: ContextVar[bool] = ContextVar("reads_what_is_stored", default=False)


class Value(BaseModel):
    """Base: frozen, unknown keys are errors, JSON in and out by ``model_dump(mode="json")`` and ``model_validate``.

    Inside of what was stored (:class:`Stored`, :func:`stored`) unknown keys are those of another version: they are kept, and
    stand in the JSON again.
    """

    # Every task imports all of them and uses a few: what validates them is made when the first one is.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    later: ClassVar[frozenset[str]] = frozenset()
    """Fields that earlier versions refuse: left out as long as they have their default, so that a mixed pair of versions can work."""
    aside: ClassVar[frozenset[str]] = frozenset()
    """Keys that are no fields any more, and that a validator of the class itself takes care of."""

    _unknown: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def unknown(self) -> Mapping[str, Any]:
        """What another version has stored with it."""
        return self._unknown

    def with_unknown(self, more: Mapping[str, Any]) -> "Self":
        """The same, with what another version has stored with its predecessor."""
        if not more:
            return self
        value = self.model_copy()
        value._unknown = {**more, **self._unknown}
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _keeps_unknown(cls, data: Any, handler: ModelWrapValidatorHandler["Self"]) -> "Self":
        if not (_reads_what_is_stored.get() and isinstance(data, dict)):
            return handler(data)
        known = cls.model_fields.keys() | cls.aside
        value = handler({key: it for key, it in data.items() if key in known})
        return value.with_unknown({key: it for key, it in data.items() if key not in known})

    @model_serializer(mode="wrap")
    def _gives_unknown(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        stated: dict[str, Any] = handler(self)
        earlier = bool(info.context and info.context.get("earlier"))
        for name in self.later:
            if earlier or getattr(self, name) == type(self).model_fields[name].get_default(call_default_factory=True):
                stated.pop(name, None)
        return {**stated, **self._unknown}


class Stored(Value):
    """What is kept on routes, in XCom, triggers and histories, where another version of this package may have written it.

    ``model_validate`` and ``model_validate_json`` keep unknown keys, also those of the values inside; a constructor does not
    take them.
    """

    @classmethod
    def model_validate(cls, obj: Any, **kwargs: Any) -> "Self":
        """The value of a dict."""
        try:
            return super().model_validate(obj, **kwargs)
        except ValidationError as error:
            if not _is_of_another_version(error):
                raise
        with stored():
            return super().model_validate(obj, **kwargs)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **kwargs: Any) -> "Self":
        """The value of a JSON text."""
        try:
            return super().model_validate_json(json_data, **kwargs)
        except ValidationError as error:
            if not _is_of_another_version(error):
                raise
        with stored():
            return super().model_validate_json(json_data, **kwargs)


@contextmanager
def stored() -> Iterator[None]:
    """Inside, every value keeps the keys that it does not know, as those of another version."""
    token = _reads_what_is_stored.set(True)
    try:
        yield
    finally:
        _reads_what_is_stored.reset(token)


def reading_what_is_stored() -> bool:
    """Whether a value is read that was checked when it was stored."""
    return _reads_what_is_stored.get()


def _is_of_another_version(error: ValidationError) -> bool:
    return any(it["type"] == "extra_forbidden" for it in error.errors(include_url=False, include_input=False))


def to_json(value: Value) -> dict[str, Any]:
    """The value as a plain dict for XCom, trigger arguments and the history, without what their databases refuse."""
    return storable(value.model_dump(mode="json"))  # type: ignore[no-any-return]
