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
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.text import one_of
from release_pipelines.spec.app import AppSpec
from release_pipelines.spec.environment import EnvironmentSpec
from release_pipelines.spec.sentences import mistakes_of, shown

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


_NO_TEXT = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]")
"""Characters that YAML does not allow."""


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
        raise SpecError(path.name, "", "an empty file" if data is None else shown(data), "a mapping (key: value)")
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
            mistake.file = file_of(name, mistake.path, config)
        raise
    if environment.name != name:
        raise SpecError(file.name, "name", f"`{environment.name}`", f"`{name}`, as the file is called")
    return environment


def file_of(name: str, path: str, config: Path) -> str:
    """The file in which a key of an environment stands: its own, or ``base.yaml``.

    :param path: of the key, like ``way_back.platforms``.
    """
    file, base = config / f"{name}.yaml", config / "base.yaml"
    if path and base.is_file() and not _holds(read_yaml(file), path) and _holds(read_yaml(base), path):
        return base.name
    return file.name


def validated(model: type[S], data: dict[str, Any], file: str) -> S:
    """``data`` as a model.

    :raises SpecError: for the first mistake, with the others in ``also``.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        mistakes = [SpecError(file, *it) for it in mistakes_of(error, model, data, _keys_elsewhere(model))]
        mistakes[0].also = mistakes[1:]
        raise mistakes[0] from None


def mistakes_in(model: type[BaseModel], data: dict[str, Any], path: str) -> Iterator[Mistake]:
    """The mistakes in ``data``, which stands at ``path`` of the file, by a model of another package."""
    try:
        model.model_validate(data)
    except ValidationError as error:
        for place, found, expected in mistakes_of(error, model, data):
            yield f"{path}.{place}".rstrip("."), found, expected


def _keys_elsewhere(model: type[Value]) -> dict[str, str]:
    """The keys of an app's file for an environment's, and the other way round, to the words for that file."""
    of_app, of_environment = set(AppSpec.model_fields), set(EnvironmentSpec.model_fields)
    if model is AppSpec:
        return dict.fromkeys(of_environment - of_app, "an environment's file")
    if model is EnvironmentSpec:
        return dict.fromkeys(of_app - of_environment, "an app's file")
    return {}


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
