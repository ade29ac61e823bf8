"""The ids of the runs that a train starts: the same ones again after a restart, so that nothing is started twice."""

from __future__ import annotations

import hashlib
import re

LONGEST = 240
"""Longest id of a run that is made here, in characters; Airflow takes 250."""
_REFUSED = re.compile(r"[^A-Za-z0-9_.~:+-]")


def run_of_app(train: str) -> str:
    """The id of the run of an app's own DAG that belongs to a train.

    :param train: the train's id, like ``train_weekly/manual__2026-11-27T08:00:00+00:00#0``.
    """
    return _short(_named(train))


def run_back(train: str, app: str) -> str:
    """The id of the run of ``release_rollback`` that takes an app of a train back."""
    return _short(f"{_named(train)}.{app}")


def _named(train: str) -> str:
    run, _, cleared = train.rpartition("#")
    return _REFUSED.sub("_", f"{run.replace('/', '.', 1)}.{cleared}" if cleared != "0" else run.replace("/", ".", 1))


def _short(name: str) -> str:
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 13]}.{hashlib.sha256(name.encode()).hexdigest()[:12]}"
