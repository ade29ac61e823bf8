"""The places of a JSON Schema, as far as the evidence's has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Node(dict[str, Any]):
    """A place in a schema."""


ANYTHING = Node()
"""A place that may hold anything."""


def step(schema: Mapping[str, Any], node: Node, name: str | None) -> Node | None:
    """What stands one step below a place.

    :param schema: the whole schema.
    :param node: the place.
    :param name: a key; None: any item.
    :return: the place; None where there can be none of that name.
    """
    here = _resolved(schema, node)
    if not here:
        return ANYTHING
    if here.get("type") == "object":
        known, others = here.get("properties", {}), here.get("additionalProperties", True)
        if name is not None and name in known:
            return Node(known[name])
        if name is not None and known and others is False:
            return None
        return Node(others) if isinstance(others, dict) and (name is not None or not known) else ANYTHING
    if here.get("type") == "array":
        return Node(here.get("items", {})) if name is None else None
    return ANYTHING if name is None else None


def _resolved(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The place itself, behind references and beside null; empty where it may be several things."""
    while True:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        elif "anyOf" in node:
            some = [it for it in node["anyOf"] if it.get("type") != "null"]
            if len(some) != 1:
                return {}
            node = some[0]
        else:
            return node
