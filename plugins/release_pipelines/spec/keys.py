"""Files whose keys depend on what is installed: a model with the keys of all features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, create_model

from release_pipelines.core.model.base import Value
from release_pipelines.core.seams import Seam
from release_pipelines.spec.feature import FEATURES, Key

M = TypeVar("M", bound=Value)


def with_feature_keys(base: type[M], file: str) -> type[M]:
    """``base`` with the keys that features add to a file.

    :param file: ``app_keys`` or ``environment_keys``.
    """
    keys: dict[str, list[tuple[str, Key]]] = {}
    for feature_name, feature in FEATURES.usable():
        for name, key in getattr(feature, file).items():
            keys.setdefault(name, []).append((feature_name, key))
    fields: dict[str, Any] = {}
    for name, brought in keys.items():
        owners = [owner for owner, _ in brought] + (["the files themselves"] if name in base.model_fields else [])
        if len(owners) == 1:
            fields[name] = _field(brought[0][1])
        elif name not in base.model_fields:
            sentence = f"The feature key `{name}` comes from {' and from '.join(owners)}."
            fields[name] = _refused(sentence)
    if file == "app_keys":  # of a feature that cannot be loaded nothing is known but its name
        fields |= {name: it for name, it in unusable(FEATURES).items() if name not in {*fields, *base.model_fields}}
    return _extended(base, fields)


def with_names(base: type[M], seam: Seam[Any], models: Mapping[str, Any]) -> type[M]:
    """``base`` with a key for each name of a seam.

    :param models: names to the types of what stands under them; None where it is not given.
    """
    fields: dict[str, Any] = {name: (kind | None, None) for name, kind in models.items()}
    return _extended(base, {**fields, **unusable(seam)})


def unusable(seam: Seam[Any]) -> dict[str, Any]:
    """Keys of what is installed and cannot be loaded: whoever uses one is told why."""
    return {name: _refused(sentence) for name, sentence in seam.broken()}


def _refused(sentence: str) -> tuple[Any, None]:
    def refuse(value: Any) -> Any:
        raise ValueError(f"one that can be used is expected, found one that cannot: {sentence}")

    return Annotated[Any, BeforeValidator(refuse)], None


def _field(key: Key) -> tuple[Any, Any]:
    if callable(key.default):
        return key.kind, Field(default_factory=key.default, description=key.description)
    return key.kind, Field(key.default, description=key.description)


def _extended(base: type[M], fields: dict[str, Any]) -> type[M]:
    return create_model(base.__name__, __base__=base, __module__=base.__module__, __doc__=base.__doc__, **fields)
