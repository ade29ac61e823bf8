"""A judgement over findings in words, for approvers: readable whether there are three findings or three hundred."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from release_pipelines.core.model.finding import Rating, in_words

if TYPE_CHECKING:
    from release_pipelines.core.findings.judgement import Judged, Judgement

SHOWN = 10
"""So many findings are listed; the others are counted."""

T = TypeVar("T")


def summary_of(judgement: Judgement, who: str) -> dict[str, Any]:
    """What an approver is shown: a sentence, numbers, and lists.

    :param who: who has looked.
    """
    counts = Counter(it.flaw.severity for it in judgement.found)
    return {
        "status": "unknown" if judgement.unknown else "findings" if judgement.found else "clean",
        "sentence": judgement.sentence(who),
        "counts": {it: counts[it] for it in get_args(Rating)},
        "blocking": _list(judgement.blocking),
        "excepted": _listed(judgement.excepted, lambda it: _excepted(it, judgement.serving)),
        **_compared(judgement),
    }


def against_serving(judgement: Judgement, version: str) -> str:
    """What is known against the version that serves: it is told, and stops nothing.

    :param judgement: over what was found in it when it was released, by the rules and the knowledge of today.
    """
    known = replace(judgement, unknown=[])
    if known.passes:
        return "nothing is known against it"
    return f"{version} serves, and would be stopped as a release today: {known.sentence('the scanners')}"


def _compared(judgement: Judgement) -> dict[str, str]:
    version = judgement.serving
    if version is None:
        return dict.fromkeys(("new", "fixed", "same"), "not compared: nothing serves")
    new, same, unclear = (judgement.standing(it) for it in ("new", "same", "not compared"))
    if unclear and not (new or same or judgement.fixed):
        why = f"not compared: nothing is kept of what these scanners found in {version}"
        return dict.fromkeys(("new", "fixed", "same"), why)
    words = _list(new)
    if unclear:
        words += f"\nand {_counted(unclear)} of which nobody knows: their scanners did not look at {version}"
    return {
        "new": words,
        "fixed": _listed(judgement.fixed, lambda it: f"{it.severity}: {it.name} in {it.place}"),
        "same": f"{_counted(same)}, not new: {version} serves with it" if same else "none",
    }


def _list(judged: Sequence[Judged]) -> str:
    return _listed(judged, lambda it: f"{it.flaw.severity}: {it.words}")


def _excepted(it: Judged, serving: str | None) -> str:
    excuses = ", ".join(f"{one.where} ({one.words})" for one in it.excuses)
    old = f"; not new: {serving} serves with it" if serving and it.standing == "same" else ""
    return f"{it.flaw.severity}: {it.flaw.name} in {it.flaw.place}, by {excuses}{old}"


def _listed(items: Sequence[T], line: Callable[[T], str]) -> str:
    """The first of them in a line each, under how many there are."""
    if not items:
        return "none"
    lines = [line(it) for it in items[:SHOWN]]
    if len(items) > SHOWN:
        lines.append(f"… and {len(items) - SHOWN} more, in the release's findings.sarif")
    return "\n".join([f"{len(items)}:", *lines] if len(items) > 1 else lines)


def _counted(judged: Sequence[Judged]) -> str:
    return in_words(it.flaw.first for it in judged)
