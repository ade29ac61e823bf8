"""Words for tasks in Airflow's pages: a name that reads, and what the task does."""

from __future__ import annotations

import inspect
import re
from collections.abc import Hashable
from functools import cache
from typing import Any, cast

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator

_ROLE = re.compile(r":[a-z:]+:`~?(?:[\w.]*\.)?(\w+)`")
_WEIGHT = re.compile(r"(step|batch|mirror|testers) (\d+)")

EMPTY = {
    "complete": "The release has come to a good end, by one of the ways that lead here.",
    "nothing_to_do": "The version serves already: there is nothing to do.",
    "same_images": "The images that serve are the same: there is nothing to deploy.",
    "stop_here": "The way of a release that ends here, without a change to undo.",
}
"""What tasks without work mark, by their ids."""


def describe(dag: Any) -> None:
    """Give all tasks of a DAG words for people."""
    for task in dag.tasks:
        _describe(task)


def _describe(task: Any) -> None:
    """A display name, and documentation where it has none of its own. Its id stays what sentences, commands and logs call it."""
    given = {}
    if task.task_display_name == task.task_id:
        given["task_display_name"] = title_of(task.task_id)
    if not any((task.doc_md, task.doc, task.doc_rst, task.doc_json, task.doc_yaml)):
        given["doc_md"] = f"{does(task)}\n\nIts id: `{task.task_id}`."
    if isinstance(task, MappedOperator):
        task.partial_kwargs.update(given)
        return
    task.doc_md = given.get("doc_md", task.doc_md)
    # The argument can only be given when an operator is made, which features do.
    task._task_display_name = given.get("task_display_name", task._task_display_name)


def title_of(task_id: str) -> str:
    """A task's id as words: ``production.step_10`` is ``Step 10 %``. What a team called otherwise stays as it is."""
    name = task_id.rpartition(".")[2]
    if not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name):
        return name
    words = name.replace("_", " ")
    found = _WEIGHT.fullmatch(words)
    if found and found[1] in ("step", "batch"):
        words = f"{words} %"
    return words[0].upper() + words[1:]


def does(task: Any) -> str:
    """What a task does, in a sentence or two."""
    if isinstance(task, EmptyOperator):
        return EMPTY.get(task.task_id.rpartition(".")[2], "It marks a place, and does nothing.")
    kind = task.operator_class if isinstance(task, MappedOperator) else type(task)
    return _does(cast(Hashable, kind))


@cache
def _does(kind: Any) -> str:
    """The first paragraph of an operator's documentation, as Markdown."""
    text = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0]
    first = " ".join(text.partition("\n:param")[0].split())
    return _ROLE.sub(r"`\1`", first).replace("``", "`") or f"It is a `{kind.__name__}`."
