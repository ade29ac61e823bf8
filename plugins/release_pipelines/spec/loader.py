"""YAML files → models. Every mistake is one sentence: file, path, the value found, what is expected (R12)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.base import MODEL_BRANCH, Value
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.text import one_of
from release_pipelines.spec.app import AppSpec
from release_pipelines.spec.environment import EnvironmentSpec

if TYPE_CHECKING:
    DEFAULT_ANALYSIS: Analysis
    """The analysis named ``default``: errors at most 1 %, requests over 500 ms at most 1 %, CPU < 80 %, memory < 85 %."""

S = TypeVar("S", bound=Value)


@cache
def _default_analysis() -> Analysis:
    metrics = [
        {"name": "errors", "source": "errors", "limit": "1%"},
        {"name": "slow-requests", "source": "slow_requests", "limit": "1%", "slower_than": "500ms"},
        {"name": "cpu", "source": "cpu", "limit": "80%"},
        {"name": "memory", "source": "memory", "limit": "85%"},
    ]
    return Analysis.model_validate({"metrics": metrics})


def __getattr__(name: str) -> Analysis:
    """The default analysis is made when somebody asks for it: most tasks do not, and it needs four metric sources."""
    if name == "DEFAULT_ANALYSIS":
        return _default_analysis()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "string_type": "text (put it in quotes)",
}
_PATTERNS = {
    r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$": "at most 40 lower-case letters, digits and dashes, a letter first",
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
}
_NO_TEXT = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]")
"""Characters that YAML does not allow."""
_BRANCHES = (MODEL_BRANCH, "str", f"function-after[_has_a_name(), {MODEL_BRANCH}]")
"""Names by which pydantic marks the branches of `analysis: Analysis | str` and of approvers; they are no keys of the file."""
_UNIONS = {"analysis": 1, "approvers": 2, "versions": 1}
"""Keys whose value, or whose items, may be text or a mapping, to where a mistake's place names the branch."""


class SpecError(Exception):
    """A mistake in a file; ``str()`` is one sentence.

    :param file: name of the file.
    :param path: where in the file, like ``strategy.canary.steps[1].weight``; empty for the file itself.
    :param found: the value found there, in words.
    :param expected: what is expected there, in words.
    :param also: further mistakes in the same file.
    """

    def __init__(self, file: str, path: str, found: str, expected: str, also: Sequence[SpecError] = ()) -> None:
        super().__init__(file, path, found, expected)
        self.file, self.path, self.found, self.expected = file, path, found, expected
        self.also = list(also)

    def __str__(self) -> str:
        where = f"{self.file}: {self.path}" if self.path else self.file
        return f"{where}: found {self.found}, expected {self.expected}"


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """Safe YAML in which a key that is given twice is a mistake; otherwise the last one would win silently.

    A key is a word, also where YAML 1.1 reads the word as true or false, like ``on``.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag == "tag:yaml.org,2002:bool":
                key.tag = "tag:yaml.org,2002:str"
            if key.value in keys:
                problem = f"the key `{key.value}` a second time"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            keys.add(key.value)
        return super().construct_mapping(node, deep)  # type: ignore[no-any-return]


class _NoValue(yaml.constructor.ConstructorError):
    """A value that reads like a date or a number and is none."""


def _existing(loader: _Loader, node: yaml.ScalarNode) -> Any:
    try:
        return yaml.SafeLoader.yaml_constructors[node.tag](loader, node)
    except ValueError as error:
        raise _NoValue(None, None, f"`{node.value}` ({error})", node.start_mark) from None


for _kind in ("timestamp", "int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _existing)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    :raises SpecError: when the file cannot be read, is not YAML, or is not a mapping.
    """
    try:
        text = _text_of(path)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except FileNotFoundError:
        raise SpecError(path.name, "", "no such file", f"a file {path.name} in {path.parent.name}/") from None
    except OSError as error:
        raise SpecError(path.name, "", error.strerror or "an unreadable file", "a file that can be read") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        line = f"line {mark.line + 1}" if mark else ""
        if isinstance(error, _NoValue):
            expected = "a day, a time or a number that there is, or text in quotes"
            raise SpecError(path.name, line, problem, expected) from error
        if "a second time" in problem:
            raise SpecError(path.name, line, problem, "each key once") from error
        if mark and isinstance(text, str) and "\t" in _indent(text, mark.line):
            raise SpecError(path.name, line, "a tab", "spaces: YAML indents with nothing else") from error
        raise SpecError(path.name, line, f"something that is not YAML ({problem})", "YAML") from error
    except (ValueError, RecursionError) as error:  # a list that holds itself
        raise SpecError(path.name, "", f"a value that cannot be read ({error})", "YAML") from error
    if not isinstance(data, dict):
        raise SpecError(path.name, "", "an empty file" if data is None else _shown(data), "a mapping (key: value)")
    return data


def _indent(text: str, line: int) -> str:
    """What a line begins with, before its first word."""
    lines = text.split("\n")
    return lines[line][: len(lines[line]) - len(lines[line].lstrip())] if line < len(lines) else ""


def _text_of(path: Path) -> str | bytes:
    """What is in a file; bytes where they say themselves that they are UTF-16.

    :raises SpecError: where something in it is no text, with its line.
    """
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError(
            path.name, f"line {line}", f"a byte that is no text (0x{data[error.start]:02x})", "UTF-8"
        ) from None
    if control := _NO_TEXT.search(text):
        line = text.count("\n", 0, control.start()) + 1
        raise SpecError(
            path.name, f"line {line}", f"a character that is no text (0x{ord(control[0]):02x})", "text in UTF-8"
        )
    return text


def deep_merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``: mappings are merged, everything else (lists too) is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = deep_merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def load_app(path: Path, analyses: Path) -> AppSpec:
    """One app file. An analysis that it names must exist; it stays a name here.

    :param path: ``<name>.yaml``.
    :param analyses: folder of the analyses that have names.
    :raises SpecError: when the file, or the analysis that it names, is not as expected.
    """
    app = validated(AppSpec, read_yaml(path), path.name)
    if app.name != path.stem:
        raise SpecError(path.name, "name", f"`{app.name}`", f"`{path.stem}`, as the file is called")
    if isinstance(app.analysis, str) and app.analysis != "default" and not _named(app.analysis, analyses).is_file():
        known = ["default", *_stems(analyses)]
        raise SpecError(path.name, "analysis", f"`{app.analysis}`", one_of(known, app.analysis))
    return app


def load_analysis(name: str, analyses: Path) -> Analysis:
    """The analysis called ``name``: a file in ``analyses``, or the built-in ``default``.

    :raises SpecError: when there is none, or its file is not as expected.
    """
    path = _named(name, analyses)
    if name == "default" and not path.is_file():
        return _default_analysis()
    return validated(Analysis, read_yaml(path), path.name)


def load_environment(name: str, config: Path) -> EnvironmentSpec:
    """``<name>.yaml`` over ``base.yaml``; ``{app}`` and ``{namespace}`` in the address stay as they are.

    :raises SpecError: naming the one of the two files in which the mistake stands.
    """
    base_file, file = config / "base.yaml", config / f"{name}.yaml"
    base = read_yaml(base_file) if base_file.is_file() else {}
    overlay = read_yaml(file)
    data = {"name": name, **deep_merge(base, overlay)}
    try:
        environment = validated(EnvironmentSpec, data, file.name)
    except SpecError as error:
        for mistake in (error, *error.also):
            if mistake.path and not _holds(overlay, mistake.path) and _holds(base, mistake.path):
                mistake.file = base_file.name
        raise
    if environment.name != name:
        raise SpecError(file.name, "name", f"`{environment.name}`", f"`{name}`, as the file is called")
    return environment


def validated(model: type[S], data: dict[str, Any], file: str) -> S:
    """``data`` as a model.

    :raises SpecError: for the first mistake, with the others in ``also``.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        mistakes = [
            _mistake(model, data, file, item)
            for item in error.errors(include_url=False)
            if not _other_branch(item["loc"], item["input"])
        ]
        mistakes[0].also = mistakes[1:]
        raise mistakes[0] from None


def mistakes_in(model: type[BaseModel], data: dict[str, Any], path: str) -> Iterator[Mistake]:
    """The mistakes in ``data``, which stands at ``path`` of the file, by a model of another package."""
    try:
        model.model_validate(data)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            mistake = _mistake(model, data, "", item)
            yield f"{path}.{mistake.path}".rstrip("."), mistake.found, mistake.expected


def _other_branch(loc: tuple[int | str, ...], value: Any) -> bool:
    """Whether an error belongs to the branch of a union with text (`Analysis | str`) that the author did not mean."""
    branch = _UNIONS.get(str(loc[0])) if loc else None
    if branch is None or len(loc) <= branch:
        return False
    return loc[branch] == "str" if isinstance(value, dict) else loc[branch] in _BRANCHES[::2] and len(loc) == branch + 1


def _mistake(model: type[BaseModel], data: Any, file: str, error: Any) -> SpecError:
    loc = [part for part in error["loc"] if part not in _BRANCHES]
    path, kind, context = path_text(loc), error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = _keys(model, loc[:-1])
        return SpecError(file, path, "an unknown key", one_of(known, str(loc[-1])) if known else "no such key")
    if kind == "missing":
        return SpecError(file, path, "nothing", "a value: this key is required")
    value = _shown(error["input"])
    if kind == "value_error":
        # A validator's own sentence; it may say itself what it found.
        sentence, _, own_words = str(context["error"]).partition(", found ")
        return SpecError(file, path, own_words or value, re.sub(r",? (is|are) expected", "", sentence))
    if kind == "string_pattern_mismatch":
        return SpecError(file, path, value, _PATTERNS.get(context["pattern"], f"text that fits `{context['pattern']}`"))
    if kind == "literal_error":
        choices = str(context["expected"]).replace("'", "`").replace(" or ", ", ")
        return SpecError(file, path, value, f"one of {choices}" if "," in choices else choices)
    if kind in _BOUNDS:
        return SpecError(file, path, value, _BOUNDS[kind].format(**context))
    if kind in ("too_long", "too_short"):
        expected = f"at most {context['max_length']}" if kind == "too_long" else f"at least {context['min_length']}"
        return SpecError(file, path, f"a list of {context['actual_length']}", expected)
    message = error["msg"].removeprefix("Input should be ")
    return SpecError(file, path, value, _EXPECTED.get(kind, message[:1].lower() + message[1:]))


def path_text(loc: Sequence[int | str]) -> str:
    """``("steps", 1, "weight")`` as ``steps[1].weight``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")


def _keys(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """The keys that are allowed at ``loc``."""
    here: Any = model
    for part in loc:
        if isinstance(part, int):
            continue
        if part not in here.model_fields:
            return []
        here = next(iter(_models(here.model_fields[part].annotation)), None)
        if here is None:
            return []
    return list(here.model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models(inner)]


def _shown(value: Any) -> str:
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


def _holds(data: Any, path: str) -> bool:
    for part in path.replace("[", ".[").split("."):
        if not isinstance(data, dict):
            return isinstance(data, list) and part.startswith("[")  # lists are replaced, not merged
        if part not in data:
            return False
        data = data[part]
    return True


def _named(name: str, analyses: Path) -> Path:
    return analyses / f"{name}.yaml"


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))
