"""``release validate``: checks the files of a project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release_pipelines.cli.terminal import fail

if TYPE_CHECKING:
    from release_pipelines.spec.loader import SpecError


def validate(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="An app's, environment's or calendar's file, or a folder of these; default: all of the project."
        ),
    ] = None,
) -> None:
    """Check app files, what they name, environments and calendars; every mistake is one sentence."""
    from release_pipelines.spec.calendars import calendar_errors, calendar_files
    from release_pipelines.spec.folders import apps_folder, calendars_folder, config_folder
    from release_pipelines.spec.loader import SpecError
    from release_pipelines.spec.release import analyses_of, app_errors, app_files, load_release

    apps = (path or apps_folder(Path.cwd())).absolute()
    if not apps.exists():
        fail(
            f"{apps} does not exist: the folder of the app files, or one of them, is expected; RELEASE_PIPELINES_APPS names it."
        )
    project = apps.parent.parent if apps.is_dir() else apps.parent.parent.parent
    config, calendars = config_folder(project).absolute(), calendars_folder(project).absolute()
    errors: list[SpecError] = []
    if config in (apps, apps.parent):
        files, what = [apps] if apps.is_file() else app_files(apps), "environment file"
        errors = _environment_errors(files)
    elif calendars in (apps, apps.parent):
        files, what = [apps] if apps.is_file() else calendar_files(apps), "calendar"
        errors = calendar_errors(files)
    elif apps.is_dir():
        files, what = app_files(apps), "app file"
        if not files:
            fail(f"{apps} has no app files: files called <name>.yaml are expected.")
        errors = [*app_errors(apps, config), *_environment_errors(app_files(config) if config.is_dir() else [])]
        errors += calendar_errors(calendar_files(calendars))
    else:
        files, what = [apps], "app file"
        try:
            load_release(apps, config, analyses_of(apps.parent))
        except SpecError as error:
            errors = [error, *error.also]
    if errors:
        fail("\n".join(dict.fromkeys(str(error) for error in errors)))
    print(f"{len(files)} {what}{'s' if len(files) != 1 else ''}, no mistakes.")
    for sentence in _remarks(files if what == "calendar" else calendar_files(calendars) if apps.is_dir() else []):
        print(sentence)


def _environment_errors(files: list[Path]) -> list[SpecError]:
    from release_pipelines.spec.loader import SpecError, load_environment

    errors = []
    for file in (it for it in files if it.stem != "base"):
        try:
            load_environment(file.stem, file.parent)
        except SpecError as error:
            errors += [error, *error.also]
    return errors


def _remarks(files: list[Path]) -> Iterator[str]:
    """What is worth knowing about calendars whose entries are not in their own files."""
    from release_pipelines.spec.calendars import load_calendar, load_spec
    from release_pipelines.spec.copies import DAG_ID

    for file in files:
        spec = load_spec(file)
        if spec.source is not None:
            yield f"{file.name}: {spec.source} is fetched by the DAG {DAG_ID}, and was not looked at here."
        else:
            yield from (f"{file.name}: {it}." for it in load_calendar(file).notes)
