"""What a policy in Rego asks for, from its syntax tree.

In Rego whatever does not exist makes a rule silent, and a silent rule looks like one that has nothing against a release. So everything that a policy
names is looked up before it is asked: parts of the evidence, also those of list items, in the evidence's schema, and what stands under ``data`` in the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from release_pipelines.core.policies.schema import ANYTHING, Node, step

ASKS_OUTSIDE = ("http.", "net.lookup", "opa.", "rego.", "rand.", "io.jwt")
"""Functions that are no answer of the evidence, or none at all here: they would be silent."""


class Need(NamedTuple):
    """A part of the evidence that a rule asks for."""

    path: tuple[str, ...]
    where: str


class Mistake(NamedTuple):
    """What cannot be meant so."""

    where: str
    sentence: str


class Bound(NamedTuple):
    """What a name stands for: a place in the evidence's schema, and its path where that is one."""

    node: Node
    path: tuple[str, ...] | None


@dataclass
class Reading:
    """What one file says."""

    file: str
    package: str
    names: list[tuple[str, ...]] = field(default_factory=list)
    """Its rules."""
    asked: list[int] = field(default_factory=list)
    """Lines of its rules that the query asks."""
    needs: list[Need] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    under_data: list[Need] = field(default_factory=list)
    unusable: list[Mistake] = field(default_factory=list)
    """Rules whose message nobody can read: what they have against a release will be unknown."""


def read(parsed: Mapping[str, Any], schema: Mapping[str, Any]) -> Reading:
    """What a file says.

    :param parsed: the file with its syntax tree, as the engine gives it.
    :param schema: the JSON Schema of the evidence.
    """
    return _Reader(parsed, schema).read()


def missing_data(readings: list[Reading]) -> Iterator[Mistake]:
    """What rules look up under ``data``, and no file has."""
    known = {(*it.package.split("."), *name) for it in readings for name in it.names}
    for reading in readings:
        for path, where in reading.under_data:
            if not any(it[: len(path)] == path or path[: len(it)] == it for it in known):
                yield Mistake(where, f"there is nothing under `data.{'.'.join(path)}`")


class _Reader:
    def __init__(self, parsed: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
        self.file = parsed["source"]["file"]
        self.text = parsed["source"]["contents"].encode()
        self.tree = parsed["ast"]
        self.schema = schema
        self.bound: dict[str, Bound] = {}
        self.called: dict[str, list[list[Bound]]] = {}
        """Functions to what they are called with."""
        self.reading = Reading(self.file, ".".join(_names(self.tree["package"]["refr"])))
        self.root = Bound(Node(dict(schema)), ())

    def read(self) -> Reading:
        reading = self.reading
        for it in self.tree["imports"]:
            path = _names(it["refr"])
            name = _text(self.text, it["as"]) if it.get("as") else path[-1]
            if path[0] == "input":
                self.bound[name] = self._chain(it["refr"]) or Bound(ANYTHING, None)
                if len(path) == 1:
                    self._whole(it["span"])
            elif path[0] == "data":
                reading.under_data.append(Need(tuple(path[1:]), self._where(it["span"])))
        everywhere = self._named(self.tree["rules"])
        self.reading = Reading(self.file, "")
        self._rules(everywhere)  # who calls which function with what
        self.reading = reading
        self._rules(everywhere)
        return reading

    def _rules(self, everywhere: dict[str, Bound]) -> None:
        for rule in self.tree["rules"]:
            given = {**everywhere, **self._arguments(rule)}
            self.bound = {**given, **self._bindings(rule, given)}
            self._rule(rule)

    def _arguments(self, rule: dict[str, Any]) -> dict[str, Bound]:
        """What the arguments of a function stand for: what all that call it here give."""
        told = rule.get("Spec", {}).get("head", {}).get("Func")
        if not told:
            return {}
        calls = self.called.get(".".join(_names(told["refr"])), [])
        found = {}
        for number, argument in enumerate(told["args"]):
            given = [it[number] for it in calls if len(it) > number]
            if "Var" in argument:
                one = given and len({str(it) for it in given}) == 1
                found[argument["Var"]["value"]] = Bound(given[0].node, None) if one else Bound(ANYTHING, None)
        return found

    def _rule(self, rule: dict[str, Any]) -> None:
        ((kind, body),) = rule.items()
        head = body["head"] if kind == "Spec" else {kind: body}
        ((form, told),) = head.items()
        name = tuple(_names(told["refr"]))
        self.reading.names.append(name)
        if self.reading.package == "release" and name[0] == "deny":
            if form == "Set" and len(name) == 1:
                self.reading.asked.append(body["span"]["line"])
                self._message(told["key"], rule, self._where(body["span"]))
            else:
                sentence = "`deny` is a set of messages: `deny contains message if { … }` is expected"
                self.reading.mistakes.append(Mistake(self._where(body["span"]), sentence))
        self._visit({key: it for key, it in told.items() if key != "refr"})
        self._visit({key: it for key, it in body.items() if key not in ("head", "refr")})

    def _message(self, key: dict[str, Any], rule: dict[str, Any], where: str) -> None:
        """What a rule adds to ``deny``, where that is written down: in its head, or as the one value of a variable."""
        if "Var" in key:
            found = [(value, items) for name, value, items in self._assigned(rule) if name == key["Var"]["value"]]
            key = found[0][0] if len(found) == 1 and not found[0][1] else key
        if lacks := _lacks(key):
            sentence = f"its message {lacks}, so its answers will be unknown: a text, or an object with `message`, and `rule` and `evidence` if wanted, is expected"
            self.reading.unusable.append(Mistake(where, sentence))

    def _named(self, rules: list[dict[str, Any]]) -> dict[str, Bound]:
        """Rules that give a part of the evidence a name: ``builder := input.builder``."""
        found: dict[str, list[Bound]] = {}
        for rule in rules:
            told = rule.get("Spec", {}).get("head", {}).get("Compr")
            if told and told.get("assign") and len(_names(told["refr"])) == 1:
                found.setdefault(_names(told["refr"])[0], []).append(self._quietly(told["assign"]["value"]))
        return {**self.bound, **{name: its[0] for name, its in found.items() if len(its) == 1}}

    def _bindings(self, rule: dict[str, Any], everywhere: dict[str, Bound]) -> dict[str, Bound]:
        """Variables of a rule that stand for a part of the evidence; those with several meanings stand for anything."""
        own: dict[str, Bound] = {}
        for _ in range(3):  # one may be made of another
            self.bound = {**everywhere, **own}
            found: dict[str, list[Bound]] = {}
            for name, value, of_items in self._assigned(rule):
                at = self._quietly(value)
                found.setdefault(name, []).append(
                    Bound(step(self.schema, at.node, None) or ANYTHING, None) if of_items else at
                )
            own = {
                name: its[0] if len({str(it) for it in its}) == 1 else Bound(ANYTHING, None)
                for name, its in found.items()
            }
        return own

    def _assigned(self, node: Any) -> Iterator[tuple[str, Any, bool]]:
        """Names, what they are made of, and whether they are its items."""
        if isinstance(node, list):
            for it in node:
                yield from self._assigned(it)
        elif isinstance(node, dict):
            if "SomeIn" in node and "Var" in node["SomeIn"]["value"]:
                yield node["SomeIn"]["value"]["Var"]["value"], node["SomeIn"]["collection"], True
            if "Every" in node:
                yield _text(self.text, node["Every"]["value"]), node["Every"]["domain"], True
            if "AssignExpr" in node and "Var" in node["AssignExpr"]["lhs"]:
                yield node["AssignExpr"]["lhs"]["Var"]["value"], node["AssignExpr"]["rhs"], False
            for key, it in node.items():
                if key != "span":
                    yield from self._assigned(it)

    def _quietly(self, expression: Any) -> Bound:
        """What an expression stands for, without noting what it asks for."""
        reading, self.reading = self.reading, Reading(self.file, "")
        try:
            return self._chain(expression) or Bound(ANYTHING, None)
        finally:
            self.reading = reading

    def _visit(self, node: Any) -> None:
        if isinstance(node, list):
            for it in node:
                self._visit(it)
        elif isinstance(node, dict):
            for key, it in node.items():
                if key in ("RefDot", "RefBrack", "Var"):
                    self._chain({key: it})
                elif key == "Call":
                    self._call(it)
                elif key != "span":
                    self._visit(it)

    def _call(self, call: dict[str, Any]) -> None:
        name = ".".join(_names(call["fcn"]))
        if name.startswith(ASKS_OUTSIDE):
            sentence = f"`{name}` is not to be had here: a policy asks nothing but its evidence"
            self.reading.mistakes.append(Mistake(self._where(call["span"]), sentence))
        if name.startswith("data."):
            self.reading.under_data.append(Need(tuple(name.split(".")[1:]), self._where(call["span"])))
        self.called.setdefault(name, []).append([self._quietly(it) for it in call["params"]])
        self._visit(call["params"])

    def _chain(self, expression: Any) -> Bound | None:
        """A name with what is asked of it, like ``input.scans[_].status``; None: it is nothing of the evidence."""
        base, keys, span = _flat(expression)
        for key in keys:
            if not isinstance(key, str):
                self._visit(key)
        if base is None:
            if keys:
                self._visit(_innermost(expression))
            return None
        if base == "data":
            static = tuple(_leading(keys))
            self.reading.under_data.append(Need(static, self._where(span)))
            return None
        at = self.root if base == "input" else self.bound.get(base)
        if at is None:
            return None
        if base == "input" and not (keys and isinstance(keys[0], str)):
            self._whole(span)
            return None
        node, path, told = at.node, at.path, base
        for key in keys:
            name = key if isinstance(key, str) else None
            after = step(self.schema, node, name)
            if after is None:
                self.reading.mistakes.append(
                    Mistake(self._where(span), f"`{told}` has no `{name}` in the evidence's schema")
                )
                return None
            node, told = after, f"{told}.{name}" if name else f"{told}[…]"
            if path is not None and name is not None:
                path = (*path, name)
            elif path is not None:
                self._needs(path, span)
                path = None
        if path:
            self._needs(path, span)
        return Bound(node, path)

    def _needs(self, path: tuple[str, ...], span: Any) -> None:
        self.reading.needs.append(Need(path, self._where(span)))

    def _whole(self, span: Any) -> None:
        sentence = "`input` is asked for as a whole: name its parts, like `input.builder.id`, so that it is known which evidence is needed"
        self.reading.mistakes.append(Mistake(self._where(span), sentence))

    def _where(self, span: Mapping[str, Any]) -> str:
        return f"{self.file}:{span['line']}"


def _lacks(message: Mapping[str, Any]) -> str | None:
    """What is wrong with a message that is written down; None: nothing, or it is known only once the rule is asked."""
    ((kind, it),) = message.items()
    if kind in ("Number", "Bool", "Null", "Array", "Set"):
        return "is neither a text nor an object"
    if kind in ("String", "RawString"):
        return None if str(it["value"]).strip() else "says nothing"
    if kind != "Object" or not all("String" in key for _, key, _ in it["fields"]):
        return None
    fields = {key["String"]["value"]: value for _, key, value in it["fields"]}
    if "message" not in fields:
        return "has no `message`"
    if more := sorted(fields.keys() - {"rule", "message", "evidence"}):
        return f"has `{more[0]}`"
    said = fields["message"].get("String")
    return "says nothing" if said and not said["value"].strip() else None


def _flat(expression: Any) -> tuple[str | None, list[Any], Any]:
    """The first name of a reference, the keys after it (texts, or expressions), and where it stands."""
    keys: list[Any] = []
    while True:
        ((kind, it),) = expression.items()
        if kind == "RefDot":
            keys.append(it["field"][1])
            expression = it["refr"]
        elif kind == "RefBrack":
            index = it["index"]
            keys.append(index["String"]["value"] if "String" in index else index)
            expression = it["refr"]
        else:
            return (it["value"] if kind == "Var" else None), keys[::-1], it.get("span", {"line": 0})


def _innermost(expression: Any) -> Any:
    while True:
        ((kind, it),) = expression.items()
        if kind not in ("RefDot", "RefBrack"):
            return expression
        expression = it["refr"]


def _leading(keys: list[Any]) -> Iterator[str]:
    for key in keys:
        if not isinstance(key, str):
            return
        yield key


def _names(reference: Any) -> list[str]:
    base, keys, _ = _flat(reference)
    return [base or "", *_leading(keys)]


def _text(source: bytes, span: Mapping[str, Any]) -> str:
    return source[span["start"] : span["end"]].decode()
