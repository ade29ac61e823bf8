"""Whether a rule that has something to say can say it.

A rule whose message cannot be built is silent, like one that has nothing against the release. So beside each rule stands a twin with the same
conditions and no message to build: where the twin speaks and the rule does not, the message is what failed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

HEAD = re.compile(rb"^(deny)(\s+contains\s+)", re.DOTALL)


class Twin(NamedTuple):
    """A rule's names in the text with twins: itself, and its twin."""

    line: int
    rule: str
    twin: str


def with_twins(parsed: Mapping[str, Any], mark: str = "") -> tuple[str, list[Twin]]:
    """The text of a policy with a twin for each rule whose message is built.

    :param parsed: the file with its syntax tree, as the engine gives it.
    :param mark: what makes the names of this file's twins other than those of other files.
    """
    source = parsed["source"]["contents"].encode()
    texts = [source]
    twins: list[Twin] = []
    for rule in parsed["ast"]["rules"]:
        body = rule.get("Spec")
        key = body["head"].get("Set", {}).get("key") if body else None
        if not key or "String" in key or not body["bodies"]:
            continue
        whole = _through(source, body["span"])
        text = source[body["span"]["start"] : whole]
        cut = _message(source, body, key)
        if cut is None or not HEAD.match(text):
            continue
        start, end, instead = (it - body["span"]["start"] if isinstance(it, int) else it for it in cut)
        number = len(twins)
        names = f"itself_{mark}{number}__", f"twin_{mark}{number}__"
        without = text[:start] + instead + text[end:]
        texts += [
            HEAD.sub(names[0].encode() + rb"\2", text, count=1),
            HEAD.sub(names[1].encode() + rb"\2", without, count=1),
        ]
        twins.append(Twin(body["span"]["line"], *names))
    return b"\n".join(texts).decode(), twins


def _message(source: bytes, body: Mapping[str, Any], key: Mapping[str, Any]) -> tuple[int, int, bytes] | None:
    """Where a message is built, and what stands there instead."""
    if "Var" not in key:
        head = body["head"]["Set"]["span"]
        told = HEAD.match(source[head["start"] : head["end"]])
        return (head["start"] + told.end(), _through(source, head), b"true") if told else None
    name = key["Var"]["value"]
    for each in body["bodies"]:
        for statement in each["query"]["stmts"]:
            assigned = statement["literal"].get("Expr", {}).get("expr", {}).get("AssignExpr")
            if assigned and assigned["lhs"].get("Var", {}).get("value") == name and "String" not in assigned["rhs"]:
                span = statement["span"]
                return span["start"], _through(source, span), f"{name} := true".encode()
    return None


def _through(source: bytes, span: Mapping[str, Any]) -> int:
    """Where a span ends; the engine leaves a text's last quote out."""
    end = int(span["end"])
    return end + (source[end : end + 1] in (b'"', b"`"))
