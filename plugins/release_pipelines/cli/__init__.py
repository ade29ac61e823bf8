"""The ``release`` command: the history, the check of app files, and commands to running releases. Works without Airflow."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from release_pipelines.cli.advisories import advisories
from release_pipelines.cli.audit import audit, forget
from release_pipelines.cli.calendar import calendar
from release_pipelines.cli.commands import add_commands, environment_of
from release_pipelines.cli.delivery import delivery
from release_pipelines.cli.findings import findings
from release_pipelines.cli.images import images
from release_pipelines.cli.known import found, unknown
from release_pipelines.cli.lift import lift
from release_pipelines.cli.policy import policy
from release_pipelines.cli.prune import prune
from release_pipelines.cli.pushes import pushes
from release_pipelines.cli.remark import remark
from release_pipelines.cli.sbom import sbom
from release_pipelines.cli.schedule import PANEL, schedule, unschedule
from release_pipelines.cli.status import status
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    OfVersion,
    Which,
    errors_as_sentences,
    examples,
    fail,
    iso,
    local,
    open_history_at,
    print_json,
    print_table,
    releases_at,
    times,
)
from release_pipelines.cli.validate import validate
from release_pipelines.cli.verify import add_verify
from release_pipelines.cli.watch_host import add_watch_host

if TYPE_CHECKING:
    from release_pipelines.adapters.history.listing import Listed
    from release_pipelines.core.model.records import Release, Stability

LOOK, FILES, UPKEEP = "See what happened", "Look after the files", "Upkeep"
"""Panels of the help."""

app = typer.Typer(no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
add_commands(app)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("release-pipelines"))
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the package's version.")
    ] = False,
) -> None:
    """Releases: what happened, and what would."""


@app.command(
    epilog=examples("release history", "release history shop --limit 5", "release history --json"), rich_help_panel=LOOK
)
def history(
    name: Annotated[
        str | None, typer.Argument(metavar="APP", help="An app, or a train like train_weekly; default: all.")
    ] = None,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=1, help="So many, newest first.")] = 50,
    database: Database = None,
) -> None:
    """List releases, newest first."""
    with errors_as_sentences():
        releases = releases_at(database, name, limit)
    if as_json:
        print_json([_release_json(release) for release in releases])
    elif not releases:
        print(f"No release of {name} yet." if name else "No release yet.")
    else:
        headings = ("started", "app", "version", "outcome", "requester", "approver", "id", "why")
        print_table(headings, [_release_row(release) for release in releases])


@app.command(
    epilog=examples("release show shop", "release show shop 1.2.0", "release show release_shop/manual__2026 --json"),
    rich_help_panel=LOOK,
)
def show(
    release: Which,
    version: OfVersion = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Tell one release: where it stands, its steps, verdicts, measurements, approvals and events."""
    from release_pipelines.cli.show import print_detail
    from release_pipelines.spec.status import read_status

    with errors_as_sentences():
        history = open_history_at(database)
        detail = found(history, release, version)
        status = read_status(history, detail, sightings=history.observations([detail.app]))
    if as_json:
        told = {**detail.model_dump(mode="json"), "status": status.model_dump(mode="json")}
        print_json({**_release_json(detail), **times(told)})
    else:
        print_detail(detail, status)


@app.command(
    epilog=examples("release report shop > incident.md", "release report shop 1.2.0 --plots plots"),
    rich_help_panel=LOOK,
)
def report(
    release: Which,
    version: OfVersion = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the plots of the metrics go, as SVG files.")
    ] = None,
    database: Database = None,
) -> None:
    """Print the incident report of a release, or the report of a train, in Markdown: what, when, why, who, and what to do now."""
    from release_pipelines.core.trains.report import TRAIN_REPORT
    from release_pipelines.features.report.incident_report import REPORT

    with errors_as_sentences():
        history = open_history_at(database)
        detail = found(history, release, version)
        attached = history.attachments(detail.id)
    written = next((it.content for it in attached if it.name in (REPORT, TRAIN_REPORT)), None)
    print(written or f"{detail.app} {detail.version} has no incident report: {detail.sentence or 'it has not ended.'}")
    drawings = [it for it in attached if it.media_type == "image/svg+xml"]
    if plots is not None:
        try:
            plots.mkdir(parents=True, exist_ok=True)
            for it in drawings:
                (plots / it.name).write_text(it.content)
        except OSError as error:
            fail(f"{error.filename or plots} cannot be written: {error.strerror}. A folder is expected.")
        print(f"{len(drawings)} plot{'s' if len(drawings) != 1 else ''} in {plots}.", file=sys.stderr)


@app.command(
    epilog=examples("release stability shop", "release stability shop --environment staging"), rich_help_panel=LOOK
)
def stability(
    name: Annotated[str, typer.Argument(metavar="APP", help="The app.")],
    environment: Annotated[
        str | None, typer.Option(help="Where; default: the app's last one, or anywhere if it has no file here.")
    ] = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Say how every version did over all its releases, and whether a rollback may go back to it."""
    with errors_as_sentences():
        history = open_history_at(database)
        versions = history.stability(name, environment_of(name, environment))
        released = history.apps() if not versions else []
    if not versions and (sentence := unknown(name, released)):
        fail(sentence)
    if as_json:
        print_json([times(it.model_dump(mode="json")) for it in versions])
    elif not versions:
        print(f"No release of {name} has an image yet." if name in released else f"No release of {name} yet.")
    else:
        headings = (
            "version",
            "good",
            "promoted",
            "held",
            "rolled back",
            "aborted",
            "by",
            "last release",
            "came to",
            "why",
        )
        print_table(headings, [_stability_row(it) for it in versions])


app.command(
    epilog=examples("release status", "release status shop --environment production", "release status --json"),
    rich_help_panel=LOOK,
)(status)
app.command(epilog=examples('release remark shop --about note "prices were right"'), rich_help_panel=LOOK)(remark)
app.command(epilog=examples('release lift shop 1.2.0 --reason "the database was away"'), rich_help_panel=LOOK)(lift)
app.command(
    epilog=examples("release validate", "release validate include/apps/shop.yaml", "release validate include/config"),
    rich_help_panel=FILES,
)(validate)
app.command(
    epilog=examples("release calendar", "release calendar shop production", "release calendar --json"),
    rich_help_panel=PANEL,
)(calendar)
app.command(
    epilog=examples(
        "release schedule",
        "release schedule shop 1.4.0 --next-window",
        'release schedule shop 1.4.0 --at "2026-11-28 22:30 Europe/Berlin"',
    ),
    rich_help_panel=PANEL,
)(schedule)
app.command(epilog=examples("release unschedule shop"), rich_help_panel=PANEL)(unschedule)
app.command(
    epilog=examples(
        "release audit", "release audit shop --csv > audit.csv", "release audit --verify --head 9f2c…:1204"
    ),
    rich_help_panel=LOOK,
)(audit)
app.command(
    epilog=examples(
        "release delivery", "release delivery shop --since 2026-10-01 --until 2026-11-01 --zone Europe/Berlin"
    ),
    rich_help_panel=LOOK,
)(delivery)
app.command(epilog=examples("release forget alice alice@example.com"), rich_help_panel=UPKEEP)(forget)
app.command(epilog=examples("release advisories", "release advisories production --json"), rich_help_panel=LOOK)(
    advisories
)
app.command(
    epilog=examples(
        "release policy shop", "release policy shop 1.2.0 --json", "release policy --check include/policies/signed.rego"
    ),
    rich_help_panel=FILES,
)(policy)
app.command(
    epilog=examples("release sbom shop 1.2.0 > sbom.json", "release sbom shop --spdx --platform linux/arm64"),
    rich_help_panel=LOOK,
)(sbom)
app.command(epilog=examples("release pushes", "release pushes shop --json"), rich_help_panel=LOOK)(pushes)
app.command(
    epilog=examples("release findings shop", "release findings shop 1.2.0 --json > findings.sarif"),
    rich_help_panel=LOOK,
)(findings)


@app.command(epilog=examples("release schema", "release schema /tmp/schemas"), rich_help_panel=FILES)
def schema(
    folder: Annotated[Path, typer.Argument(help="Where the files go.")] = Path("include/schemas"),
) -> None:
    """Write JSON Schemas of the files, for editors."""
    from release_pipelines.spec.schema import write

    try:
        written = write(folder)
    except OSError as error:
        fail(f"{error.filename or folder} cannot be written: {error.strerror}. A folder is expected.")
    for path in written:
        print(path)


app.command(
    epilog=examples(
        "release prune --older-than 365d", "release prune --older-than 12h --database sqlite:///history.db"
    ),
    rich_help_panel=UPKEEP,
)(prune)
app.add_typer(images, name="images", rich_help_panel=UPKEEP)


def _release_json(release: Release | Listed) -> dict[str, Any]:
    return {
        "id": release.id,
        "app": release.app,
        "version": release.version,
        "outcome": release.outcome,
        "digest": release.digest,
        "sentence": release.sentence,
        "started": iso(release.started_at),
        "ended": iso(release.ended_at),
        "requester": release.requester,
        "started_by": release.started_by,
        "approver": release.approver,
    }


def _release_row(release: Release | Listed) -> list[str]:
    return [
        local(release.started_at),
        release.app,
        release.version,
        release.outcome or "running",
        release.requester or "",
        release.approver or "",
        release.id,
        release.sentence or "",
    ]


def _stability_row(it: Stability) -> list[str]:
    return [
        it.version,
        "yes" if it.good else "no",
        *(str(number or "") for number in (it.promoted, it.held, it.rolled_back, it.aborted)),
        ", ".join(dict.fromkeys(it.aborted_by)),
        local(it.last_at),
        it.last_outcome or "running",
        it.why,
    ]


add_verify(app)
add_watch_host(app)

if __name__ == "__main__":
    app()
