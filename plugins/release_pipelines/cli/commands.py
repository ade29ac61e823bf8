"""``release pause|resume|promote|skip|abort``: commands to a running release, from a terminal."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release_pipelines.cli.known import guess, trains_here
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    errors_as_sentences,
    examples,
    fail,
    open_history_at,
    print_json,
    times,
)

if TYPE_CHECKING:
    from release_pipelines.adapters.history import Release
    from release_pipelines.core.model.command import CommandKind
    from release_pipelines.spec.release import ReleaseSpec

COMMANDS: dict[CommandKind, str] = {
    "pause": "Stop the clock of the running hold. The traffic stays as it is, and a failing verdict still takes it back.",
    "resume": "Let a paused hold go on.",
    "promote": "End every hold that is left now, as passed; the promotion follows as always. Only an approver may.",
    "skip": "End this hold now, as passed; the next stage begins. Only an approver may.",
    "abort": "Give all traffic back to the old version at once, and roll the release back; a train stops, and takes back what it released. Needs a --reason.",
}
EXAMPLES: dict[CommandKind, tuple[str, ...]] = {
    "pause": ("release pause shop", 'release pause shop --reason "looking at a graph" --wait 30s'),
    "resume": ("release resume shop",),
    "promote": ('release promote shop --by carol --reason "a fix that cannot wait"',),
    "skip": ("release skip shop --by carol",),
    "abort": (
        'release abort shop --reason "wrong prices"',
        'release abort "release_shop/manual__2026" --reason "wrong prices"',
        'release abort train_weekly --reason "wrong prices"',
    ),
}
TRUST_NOTE = (
    "The command goes through the history database: whoever may write there may give it, and --by is not proven. In Airflow "
    "people do the same, signed in, with the DAG release_control. The exit code is 0 only when the release has taken it up."
)

Name = Annotated[str, typer.Argument(metavar="APP", help="The app, or the id of one of its releases.")]
Reason = Annotated[str, typer.Option(help="Why, in a few words; kept in the history. An abort needs one.")]
By = Annotated[str | None, typer.Option(help="Who gives the command; kept in the history. Default: the login here.")]
Wait = Annotated[str, typer.Option(help="How long the answer is waited for, like 500ms, 5s or 2m.")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    for kind, does in COMMANDS.items():
        epilog = f"{examples(*EXAMPLES[kind])}\n\n{TRUST_NOTE}"
        app.command(kind, help=does, epilog=epilog, rich_help_panel="Steer a running release")(_command(kind))


def _command(kind: CommandKind) -> Callable[..., None]:
    def command(
        name: Name,
        reason: Reason = "",
        by: By = None,
        wait: Wait = "5s",
        as_json: AsJson = False,
        database: Database = None,
    ) -> None:
        with errors_as_sentences():
            give(kind, name, reason.strip(), by or login(), seconds(wait), as_json, database)

    return command


def give(kind: CommandKind, name: str, reason: str, by: str, wait: float, as_json: bool, database: str | None) -> None:
    """Give a command to a running release, and tell its answer."""
    from release_pipelines.core.model.command import not_answered
    from release_pipelines.core.model.person import Identity
    from release_pipelines.features.commands.rights import NEED_APPROVER, refusal

    history = open_history_at(database)
    app = history.find(name).app if "/" in name else name
    is_train = app in trains_here()
    if is_train and kind != "abort":
        fail(f"{app} is a train: `abort` stops it, and `{kind}` is for the releases of its apps.")
    known = is_train or (kind not in NEED_APPROVER and history.running(app, ""))
    spec = _spec_or_none(app) if known else _spec(app)
    environment = spec.production.name if spec else ""
    running = addressed_release(history.running(app, environment), name)
    approvers, alone = (spec.production.approvers, spec.app.approval.self_approval) if spec else ([], False)
    who = Identity(id=by, name=by)  # it is not proven, and any name of a person will do
    objection = refusal(kind, who, reason, history.steered(running.id) if running else None, approvers, alone)
    if objection or running is None:
        fail(f"{app}: {objection}")
    command = history.answered(history.command(running.id, kind, by, reason or None), wait)
    if as_json:
        print_json(times(command.model_dump(mode="json", exclude={"id"})))
    elif command.effect:
        print(f"{app} {running.version}: {command.effect}")
    if command.answered_at is None:
        fail(f"{app} {running.version}: {not_answered(kind)}")


def addressed_release(running: list[Release], name: str) -> Release | None:
    """The running release that a command is for.

    :param running: the app's running releases, the one that holds production first.
    :param name: the app's name, or the beginning of a release's id.
    """
    return next((it for it in running if name in (it.app, it.id) or it.id.startswith(name)), None)


def environment_of(app: str, asked: str | None) -> str | None:
    """The environment that is asked for, else the app's last one; None where it has no file here that can be read.

    :raises ValueError: when the app does not go where it is asked for.
    """
    spec = _spec_or_none(app)
    names = [it.name for it in spec.environments] if spec else []
    if asked and names and asked not in names:
        raise ValueError(f"--environment: found `{asked}`, expected one of {', '.join(names)}, where {app} goes.")
    return asked or (names[-1] if names else None)


def _spec_or_none(app: str) -> ReleaseSpec | None:
    """The app's specification; None where it has no valid one here, as a release that a DAG of single operators makes."""
    try:
        return _spec(app)
    except ValueError:
        return None


def _spec(app: str) -> ReleaseSpec:
    """The specification that the app's running release began with, else the one in its file; both name the approvers.

    :raises ValueError: when there is no such file, or it is not valid.
    """
    from release_pipelines.spec.frozen import frozen

    return frozen(app) or spec_in_file(app)


def spec_in_file(app: str) -> ReleaseSpec:
    """The specification in the app's file, with which its next release begins.

    :raises ValueError: when there is no such file, or it is not valid.
    """
    from release_pipelines.spec.folders import apps_folder, config_folder
    from release_pipelines.spec.loader import SpecError
    from release_pipelines.spec.release import analyses_of, app_files, load_release

    apps = apps_folder(Path.cwd()).absolute()
    files = app_files(apps)
    if app in trains_here():
        raise ValueError(f"{app} is a train, where an app is expected.")
    for path in files:
        if path.stem == app:
            try:
                return load_release(path, config_folder(apps.parent.parent), analyses_of(apps))
            except SpecError as error:
                raise ValueError(str(error)) from error
    raise ValueError(
        f"There is no app {app} in {apps}: run this in the project, or set RELEASE_PIPELINES_APPS to the folder of the app files."
        f"{guess(app, [path.stem for path in files])}"
    )


def login() -> str:
    """Who is logged in here.

    :raises ValueError: when that is nobody.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise ValueError("Nobody is named who gives the command: say --by.") from None


def seconds(text: str) -> float:
    """How long is waited, in seconds.

    :raises ValueError: when the text is no time.
    """
    from release_pipelines.core.model.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError(f"--wait: found `{text}`, expected a time like 5s.") from None
