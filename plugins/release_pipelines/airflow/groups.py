"""Task groups in Airflow's graph: their colours, and what people read when they point at one."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.sdk import TaskGroup

BUILD_COLOUR = "#fff7e0"
ENVIRONMENT_COLOUR = "#e8f1fb"
LAST_ENVIRONMENT_COLOUR = "#e9f7ec"
ROLLBACK_COLOUR = "#fdecea"

ROLLBACK = "rollback"
WORDS = {
    "build": "From the version to an image with a digest",
    "scan": "The source code is scanned, beside the build",
    ROLLBACK: "Runs only when the last environment has to go back; skipped is the good case",
}
"""What groups are there for, by their names, where they are no environment's."""


def group(name: str, environments: Sequence[str]) -> TaskGroup:
    """A group of a release's tasks.

    :param name: its name: an environment's, ``before_`` and one, or another.
    :param environments: names of the environments, in order.
    """
    place = name.removeprefix("before_")
    if place not in environments:
        colour = ROLLBACK_COLOUR if name == ROLLBACK else BUILD_COLOUR
        return _group(name, colour, WORDS.get(name, ""))
    last = place == environments[-1]
    if name != place:
        words = f"What has to pass before {place} is changed"
    elif last:
        words = f"{place}: the new version gets its traffic step by step, judged all the time, and is then promoted"
    else:
        words = f"{place}: the new version is deployed and checked before people are asked"
    return _group(name, LAST_ENVIRONMENT_COLOUR if last and name == place else ENVIRONMENT_COLOUR, words)


def rollback_group() -> TaskGroup:
    """The group of a person's rollback."""
    return _group(ROLLBACK, ROLLBACK_COLOUR, "Back to a version that was good, whatever runs now")


def _group(name: str, colour: str, words: str) -> TaskGroup:
    return TaskGroup(group_id=name, prefix_group_id=True, ui_color=colour, tooltip=words, doc_md=words or None)
