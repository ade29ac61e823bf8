"""Licences by SPDX expressions: what an app allows and forbids, and which part of an expression decided."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple

Verdict = Literal["allowed", "forbidden", "unknown"]


class Ruling(NamedTuple):
    """What a licence expression comes to, and by which part of it."""

    verdict: Verdict
    part: str


def ruling(expression: str | None, allow: frozenset[str], deny: frozenset[str]) -> Ruling:
    """What an expression comes to. ``AND`` needs all of its parts, ``OR`` one, a licence ``WITH`` an exception is one key.

    Where nothing is allowed by name, all is that is not forbidden. What is forbidden is so with an exception, too, unless that key is allowed.

    :param expression: an SPDX expression; ``NOASSERTION``, ``NONE``, nothing, or what is no expression: unknown.
    :param allow: keys, by :func:`key_of`.
    :param deny: keys, likewise.
    """
    text = (expression or "").strip()
    tree = _parsed(text)
    if tree is None:
        return Ruling("unknown", text or "no licence")
    return _judged(tree, allow, deny)


_OF_DOCUMENTS = ("LicenseRef-", "DocumentRef-")
"""Names that mean what one document says: the library takes some of them for licences of SPDX."""


def _is_id(alias: str) -> bool:
    """Whether another name of a licence is one that SPDX has had for it, like ``GPL-2.0+``; ``GPL`` may be any of them."""
    return "-" in alias and " " not in alias and not alias.startswith(_OF_DOCUMENTS)


@lru_cache(maxsize=1)
def _spdx() -> Any:
    from license_expression import LicenseSymbol, Licensing, get_spdx_licensing

    known = get_spdx_licensing().known_symbols.values()
    return Licensing(
        LicenseSymbol(
            it.key,
            aliases=tuple(name for name in it.aliases if _is_id(name)),
            is_exception=it.is_exception,
        )
        for it in known
        if not it.key.startswith(_OF_DOCUMENTS)
    )


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    """The tree of an expression; None where it is none."""
    try:
        return _spdx().parse(text) if text else None
    except Exception:  # a syntax that is none (`MIT/Apache-2.0`) raises errors of several kinds
        return None


def key_of(text: str) -> str | None:
    """A licence as it is compared: one SPDX id, with its exception, or a ``LicenseRef-`` of one's own; None where it is none."""
    if text.strip().startswith(_OF_DOCUMENTS):
        return text.strip()
    tree = _parsed(text.strip())
    return _key(tree) if tree is not None and not getattr(tree, "args", ()) else None


def _key(leaf: Any) -> str | None:
    """A leaf's licence; None where SPDX does not know it."""
    licence, exception = getattr(leaf, "license_symbol", leaf), getattr(leaf, "exception_symbol", None)
    known = _spdx().known_symbols
    if licence.key not in known or licence.is_exception:
        return None
    if exception is not None and (exception.key not in known or not exception.is_exception):
        return None
    return str(leaf.render("{symbol.key}"))


def _judged(tree: Any, allow: frozenset[str], deny: frozenset[str]) -> Ruling:
    parts = getattr(tree, "args", ())
    if not parts:
        return _leaf(tree, allow, deny)
    rulings = [_judged(it, allow, deny) for it in parts]
    decides: tuple[Verdict, ...] = ("forbidden", "unknown", "allowed")
    if tree.operator.strip() == "OR":
        decides = ("allowed", "unknown", "forbidden")
    for verdict in decides[:2]:
        if found := [it for it in rulings if it.verdict == verdict]:
            return found[0]
    return Ruling(decides[2], tree.render("{symbol.key}"))


def _leaf(leaf: Any, allow: frozenset[str], deny: frozenset[str]) -> Ruling:
    written = str(leaf.render("{symbol.key}"))
    key = _key(leaf)
    if key is None:  # a name of one document's own counts where the app names it itself
        return Ruling("forbidden" if written in deny else "allowed" if written in allow else "unknown", written)
    base = str(getattr(leaf, "license_symbol", leaf).key)
    if key in deny or (base in deny and key not in allow):
        return Ruling("forbidden", key)
    return Ruling("allowed" if key in allow or not allow else "forbidden", key)
