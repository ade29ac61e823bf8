"""Stages of a team's own, what a team leaves out, and what it puts elsewhere."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """The feature, imported when it is asked for: its keys are made of the kinds in this folder, which are imported first."""
    if name != "FEATURE":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from release_pipelines.features.own_stages.feature import FEATURE

    return FEATURE
