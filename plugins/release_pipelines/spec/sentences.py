"""What pydantic says of a mistake, in our words: the place as it stands in the file, what is there, and what is expected. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.text import one_of

Place = tuple[int | str, ...]

_A_DAY, _A_TIME, _A_MAPPING = "a day like 2027-03-31", "a time like 2027-03-31 18:00", "a mapping (key: value)"
_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number that is not infinite",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": _A_MAPPING,
    "model_type": _A_MAPPING,
    "model_attributes_type": _A_MAPPING,
    "string_type": "text (put it in quotes)",
    "invalid_key": "a key that is text (put it in quotes)",
    "none_required": "nothing",
    "date_type": _A_DAY,
    "date_parsing": _A_DAY,
    "date_from_datetime_parsing": _A_DAY,
    "date_from_datetime_inexact": _A_DAY,
    "datetime_type": _A_TIME,
    "datetime_parsing": _A_TIME,
    "datetime_from_date_parsing": _A_TIME,
    "time_type": "a time like 18:00",
    "time_parsing": "a time like 18:00",
}
"""pydantic's types of errors, in words."""
_PATTERNS = {
    r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$": "at most 40 lower-case letters, digits and dashes, a letter first",
    r"^[a-z][a-z0-9_]{0,39}$": "at most 40 lower-case letters, digits and underscores, a letter first",
    r"^[a-z0-9][a-z0-9_-]*$": "lower-case letters, digits, dashes and underscores, a letter or digit first",
    r"^[A-Za-z0-9_.-]+$": "letters, digits, dots, dashes and underscores",
    r"^[A-Za-z0-9._-]+$": "letters, digits, dots, dashes and underscores",
    r"^[A-Za-z0-9_-]+$": "letters, digits, dashes and underscores",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "letters, digits and underscores, no digit first",
    r"^[A-Za-z][A-Za-z0-9-]*$": "letters, digits and dashes, a letter first",
    r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$": "an import path like acme.operators.PurgeOperator",
    r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$": "an address like https://ci.example.org/builder",
    r"^[!-~]{1,1500}$": "an address of at most 1500 characters, without spaces",
    r"^app/[^/]+/[^/]+$": "the end of a load balancer's ARN, like app/shop/50dc6c495c0c9188",
    r"^sha256:[0-9a-f]{64}$": "a digest: sha256: and 64 hexadecimal digits",
    "^/": "a path that begins with /",
    r"^\d+(Ki|Mi|Gi)$": "a size like 256Mi or 1Gi",
    r"^[^@\s]+@[^@\s]+$": "an address like team@example.org",
    "^https?://": "an address that begins with http:// or https://",
}
"""The patterns of the models in words."""
_BOUNDS = {
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "{le:g} or less",
    "string_too_long": "at most {max_length} characters",
}
_PLAIN = frozenset(("str", "int", "float", "bool", "date", "datetime", "time", "none", "dict", "list"))
"""Names by which pydantic marks branches of a union that are no models."""


def mistakes_of(
    error: ValidationError, model: type[BaseModel], data: Any, elsewhere: Mapping[str, str] | None = None
) -> Iterator[Mistake]:
    """The mistakes that a model found in ``data``: of a union one, however many branches it has.

    :param elsewhere: keys of other files, to the words for that file.
    """
    errors = [(tuple(it["loc"]), it) for it in error.errors(include_url=False)]
    for loc, found in _settled(errors, data):
        yield _mistake(model, loc, found, data, elsewhere or {})


def path_text(loc: Sequence[int | str]) -> str:
    """``("steps", 1, "weight")`` as ``steps[1].weight``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")


def shown(value: Any) -> str:
    """A value of the file, short and in words."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return f"the keys {', '.join(map(str, value))}" if value else "no keys"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if "PRIVATE KEY" in text:
        return "a private key, which is not shown"
    text = text if len(text) <= 80 else text[:77] + "…"
    return f"`{text}`" if isinstance(value, str) else text


# --- unions ---------------------------------------------------------------------------------------------------


def _settled(errors: Sequence[tuple[Place, ErrorDetails]], data: Any) -> Iterator[tuple[Place, list[ErrorDetails]]]:
    """Places of the file with what was found wrong there. Of a union's branches the one counts that the author meant."""
    unions: dict[Place, dict[int | str, list[tuple[Place, ErrorDetails]]]] = {}
    for loc, error in errors:
        at = _branch_at(loc, data)
        if at is not None:
            rest = loc[:at] + loc[at + 1 :]
            unions.setdefault(loc[:at], {}).setdefault(loc[at], []).append((rest, error))
    for loc, error in errors:
        at = _branch_at(loc, data)
        if at is None:
            yield loc, [error]
        elif branches := unions.pop(loc[:at], None):
            yield from _meant(loc[:at], branches, data)


def _meant(
    place: Place, branches: Mapping[int | str, list[tuple[Place, ErrorDetails]]], data: Any
) -> Iterator[tuple[Place, list[ErrorDetails]]]:
    """What is wrong with a value that may be of several kinds: inside it where its kind is one of them, else with itself."""
    value = _value_at(place, data)
    inside = [errors for errors in branches.values() if any(len(loc) > len(place) for loc, _ in errors)]
    if isinstance(value, (dict, list)):
        if inside:
            yield from _settled(min(inside, key=len), data)
            return
        same = [it for it in branches.values() if not all(_of_another_kind(found) for _, found in it)]
        branches = dict(enumerate(same)) if same else branches
    yield place, [found for errors in branches.values() for _, found in errors]


def _of_another_kind(error: ErrorDetails) -> bool:
    return error["type"].endswith("_type") or error["type"] == "literal_error"


def _branch_at(loc: Place, data: Any) -> int | None:
    """Where in a place pydantic names the branch of a union, or says that a key is meant; None: nowhere."""
    here = data
    for n, part in enumerate(loc):
        if isinstance(here, dict) and part in here:
            here = here[part]
        elif isinstance(part, int):
            here = here[part] if isinstance(here, list) and -len(here) <= part < len(here) else None
        elif part in _PLAIN or "[" in part or part[:1].isupper():
            return n
        else:
            here = None
    return None


def _as_written(loc: Place, data: Any) -> Place:
    """The place with keys as words, also those that are numbers."""
    return tuple(str(part) if isinstance(_value_at(loc[:n], data), dict) else part for n, part in enumerate(loc))


def _value_at(loc: Place, data: Any) -> Any:
    here = data
    for part in loc:
        try:
            here = here[part]
        except (KeyError, IndexError, TypeError):
            return None
    return here


# --- one mistake ----------------------------------------------------------------------------------------------


def _mistake(
    model: type[BaseModel], loc: Place, errors: Sequence[ErrorDetails], data: Any, elsewhere: Mapping[str, str]
) -> Mistake:
    path, error = path_text(_as_written(loc, data)), errors[0]
    if error["type"] == "extra_forbidden":
        known, key = _keys(model, loc[:-1]), str(loc[-1])
        if len(loc) == 1 and key in elsewhere:
            return path, f"a key that belongs into {elsewhere[key]}", "it there"
        return path, "an unknown key", one_of(known, key) if known else "no such key"
    if error["type"] == "missing":
        return path, "nothing", "a value: this key is required"
    if len(errors) == 1:
        return path, *_found_and_expected(error)
    value = _value_at(loc, data)
    expected = list(dict.fromkeys(_found_and_expected(it)[1] for it in errors))
    return path, shown(value), ", or ".join(sorted(expected, key=lambda it: it == _A_MAPPING))


def _found_and_expected(error: ErrorDetails) -> tuple[str, str]:
    kind, context, value = error["type"], error.get("ctx", {}), shown(error["input"])
    if kind == "value_error":
        # A validator's own sentence; it may say itself what it found.
        sentence, _, own_words = str(context["error"]).partition(", found ")
        return own_words or value, re.sub(r",? (is|are) expected", "", sentence)
    if kind == "string_pattern_mismatch":
        return value, _PATTERNS.get(context["pattern"], f"text that fits `{context['pattern']}`")
    if kind == "string_too_short":
        least = context["min_length"]
        return value, "a text that says something" if least == 1 else f"at least {least} characters"
    if kind == "literal_error":
        choices = str(context["expected"]).replace("'", "`").replace(" or ", ", ")
        return value, f"one of {choices}" if "," in choices else choices
    if kind in _BOUNDS:
        return value, _BOUNDS[kind].format(**context)
    if kind in ("too_long", "too_short"):
        expected = f"at most {context['max_length']}" if kind == "too_long" else f"at least {context['min_length']}"
        return f"a list of {context['actual_length']}", expected
    message = error["msg"].removeprefix("Input should be ")
    return value, _EXPECTED.get(kind, message[:1].lower() + message[1:])


# --- keys -----------------------------------------------------------------------------------------------------


def _keys(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """The keys that are allowed at ``loc``."""
    here: list[Any] = [model]
    for part in loc:
        here = [inner for it in here for inner in _inside(it, part)]
    return list(
        dict.fromkeys(name for it in here for found in _kinds(it) if _is_model(found) for name in found.model_fields)
    )


def _inside(annotation: Any, part: int | str) -> Iterator[Any]:
    """The types of what stands at ``part`` of a value of this type."""
    for kind in _kinds(annotation):
        arguments = getattr(kind, "__args__", ())
        if _is_model(kind):
            if part in kind.model_fields:
                yield kind.model_fields[part].annotation
        elif arguments:  # of a list its items, of a mapping its values
            yield arguments[-1] if isinstance(part, str) or len(arguments) == 1 else arguments[0]


def _kinds(annotation: Any) -> Iterator[Any]:
    """A type without what is said about it; of a union each."""
    origin = getattr(annotation, "__origin__", None)
    if hasattr(annotation, "__metadata__"):
        yield from _kinds(origin)
    elif origin in (None, list, dict, tuple, set) and not isinstance(annotation, UnionType):
        yield annotation
    else:
        for inner in getattr(annotation, "__args__", ()):
            yield from _kinds(inner)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
