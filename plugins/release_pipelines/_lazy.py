"""Public names of a package that are imported when somebody asks for one: a DAG file pays for nothing that it does not use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    :param package: its ``__name__``.
    :param names: modules, without the leading ``release_pipelines.``, to what they define.
    """
    where = {name: f"release_pipelines.{module}" for module, defined in names.items() for name in defined}

    def get(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(where[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *where})

    return get, listed, sorted(where)
