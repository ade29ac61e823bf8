"""``release validate``: checks the files of a project."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release_pipelines.cli.calendars_here import calendars_here
from release_pipelines.cli.checking import ANALYSIS, APP, CALENDAR, ENVIRONMENT, TRAIN, Checking
from release_pipelines.cli.terminal import fail, history_or_none, said_on_stderr

if TYPE_CHECKING:
    from release_pipelines.core.model.window import WindowRule
    from release_pipelines.spec.release import ReleaseSpec

NAMED_BY = {
    APP: "; RELEASE_PIPELINES_APPS names it",
    ENVIRONMENT: "; RELEASE_PIPELINES_CONFIG names it",
    ANALYSIS: ", beside that of the app files",
    CALENDAR: "; RELEASE_PIPELINES_CALENDARS names it",
    TRAIN: "; RELEASE_PIPELINES_TRAINS names it",
}


def validate(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="An app's, environment's, analysis', calendar's or train's file, or a folder of these; default: all of the project, in include/apps or RELEASE_PIPELINES_APPS.",
        ),
    ] = None,
) -> None:
    """Check app files, what they name, environments, analyses, calendars and trains; every mistake is one sentence.

    What is valid and may be meant otherwise, like `limit: 1` for a share, is a warning, and the exit code stays 0.
    """
    from release_pipelines.spec.folders import apps_folder

    here = (path or apps_folder(Path.cwd())).absolute()
    project = here.parent.parent if here.is_dir() else here.parent.parent.parent
    checking = Checking(project)
    kind = checking.kind_of(here)
    if not here.exists():
        fail(f"{here} does not exist: the folder of the {kind}s, or one of them, is expected{NAMED_BY[kind]}.")
    if here.is_file() and here.suffix not in (".yaml", ".yml"):
        also = "; that of a calendar is checked with the iCalendar file that it names" if kind == CALENDAR else ""
        fail(f"{here} is no YAML file: one called <name>.yaml is expected{also}.")
    if kind == APP and here.is_dir():
        if not checking.files_of(APP, here):
            fail(
                f"{here} has no app files: files called <name>.yaml are expected; without a path all of the project is checked."
            )
        checking.project(here)
    else:
        checking.some(kind, here)
    for sentence in dict.fromkeys([*checking.warnings, *checking.policies.warnings]):
        _warn(sentence)
    if checking.errors:
        fail("\n".join(dict.fromkeys(str(error) for error in checking.errors)))
    print(f"{checking.counted()}, no mistakes.")
    for sentence in checking.told:
        print(sentence)
    _windows(checking.releases, project)


def _windows(specs: Sequence[ReleaseSpec], project: Path) -> None:
    """Warn of windows in which nothing can begin, and of those that are shorter than the last releases; that is no mistake."""
    from release_pipelines.core.calendars import Asked, too_short
    from release_pipelines.core.calendars import standing as standing_of
    from release_pipelines.core.outlook import never_begins
    from release_pipelines.spec.windows import window_rule

    now = time.time()
    rules: list[tuple[WindowRule, bool]] = [
        (rule, environment is spec.production)
        for spec in specs
        for environment in spec.environments
        if (rule := window_rule(spec, environment.name))
    ]
    history = history_or_none(None) if rules else None
    for rule, last in rules:
        calendars = calendars_here(rule.calendars, project, history)
        asked = Asked(rule.app, rule.environment, frozenset(rule.tags))
        if why := never_begins(rule, partial(standing_of, calendars, asked), now):
            _warn(f"{rule.app} in {rule.environment}: {why}")
        if not last:
            continue
        took: list[float] | None = None
        with said_on_stderr():
            took = history.durations(rule.app, rule.environment) if history else None
        for calendar in calendars if took is not None else []:
            for sentence in too_short(calendar, asked, took or [], now):
                said = f"{rule.app} in {rule.environment}: {sentence}"
                _warn(said) if took else print(f"{said}.")


def _warn(sentence: str) -> None:
    print(f"Warning: {sentence}.", file=sys.stderr)
