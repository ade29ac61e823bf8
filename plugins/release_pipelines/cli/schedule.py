"""``release schedule`` and ``release unschedule``: a release that begins at a moment, and what is planned."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from release_pipelines.cli.calendars_here import calendars_here
from release_pipelines.cli.commands import give, login, seconds, spec_in_file
from release_pipelines.cli.known import unknown
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    errors_as_sentences,
    fail,
    iso,
    open_history_at,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from release_pipelines.adapters.airflow_api import AirflowApi
    from release_pipelines.core.calendars.moments import Moment
    from release_pipelines.core.model.records import Plan
    from release_pipelines.core.model.window import WindowRule
    from release_pipelines.core.planning import Ask

PREFLIGHT = "preflight"
"""Id of the task that says whether a release is possible."""
LOOK_SECONDS = 1.0
"""Pause between two looks at the run, in seconds."""
MOST_RUNS = 100
"""So many times the same may be planned anew after it was taken back."""
OPEN = ("queued", "running")
PANEL = "Plan releases"

Wait = Annotated[str, typer.Option(help="How long is waited until Airflow has checked the release, like 60s.")]


class Planned(NamedTuple):
    """What is asked of Airflow."""

    dag_id: str
    conf: dict[str, str]
    moment: Moment

    def run_id(self, number: int) -> str:
        """The run's id: the same plan has the same one; ``number`` counts those that were taken back."""
        from datetime import datetime, timezone

        utc = datetime.fromtimestamp(self.moment.at, timezone.utc)
        version = re.sub(r"[^A-Za-z0-9_.~:+-]", "-", self.conf["version"])[:100]
        return f"planned-{version}-{utc:%Y%m%dT%H%M%SZ}" + (f"-{number}" if number > 1 else "")


def schedule(
    name: Annotated[str | None, typer.Argument(metavar="[APP]", help="The app.")] = None,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="What is released; without: the list.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="MOMENT", help='A wall time, and its zone: "2026-11-28 22:30 Europe/Berlin".')
    ] = None,
    next_window: Annotated[bool, typer.Option("--next-window", help="When the next window opens.")] = False,
    notes: Annotated[str, typer.Option(help="For the approver.")] = "",
    requested_by: Annotated[
        str, typer.Option(help="For whom, by the name that Airflow knows; default: whom its token names.")
    ] = "",
    wait: Wait = "60s",
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Plan a release for a moment: it is built, tested and approved now, and begins in the last environment then. Without a version: list what is planned.

    Airflow is asked by its REST API: AIRFLOW_URL, and AIRFLOW_TOKEN or AIRFLOW_USER and AIRFLOW_PASSWORD, else its connection
    `airflow_api`. The same command twice is one plan.
    """
    with errors_as_sentences():
        if name is None or version is None:
            if at or next_window:
                fail("An app and a version are expected beside --at and --next-window.")
            _list(name, as_json, database)
            return
        patience = seconds(wait)
        planned, rule = _planned(name, version.strip(), at, next_window, notes.strip(), requested_by.strip())
        from release_pipelines.cli.api import open_api

        with open_api() as api:
            run_id, new = _asked(api, planned)
            state, why = _checked(api, planned.dag_id, run_id, patience)
    if as_json:
        facts = {"app": name, "version": version, "environment": rule.environment, "start_at": planned.conf["start_at"]}
        run = {"dag_id": planned.dag_id, "run_id": run_id, "new": new, "state": state, "sentence": why}
        print_json({**facts, "begins_at": iso(planned.moment.at), **run})
    elif state == "planned":
        already = "" if new else " already"
        print(
            f"{name} {version} is planned{already} for {planned.moment.words} in {rule.environment}: run {run_id} of {planned.dag_id}."
        )
    if state != "planned":
        fail(f"{name} {version} is not planned: {why}" if state == "refused" else f"{name} {version}: {why}")


def unschedule(
    name: Annotated[str, typer.Argument(metavar="APP|RELEASE", help="The app, or the id of its planned release.")],
    reason: Annotated[str, typer.Option(help="Why, in a few words; kept in the history.")] = "",
    by: Annotated[str | None, typer.Option(help="Who says so; kept in the history. Default: the login here.")] = None,
    wait: Annotated[str, typer.Option(help="How long the answer is waited for, like 5s.")] = "5s",
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Take a plan back: the release that waits for its moment ends at once. One that has begun is left alone."""
    with errors_as_sentences():
        patience, history = seconds(wait), open_history_at(database)
        app = history.find(name).app if "/" in name else name
        found = [it for it in history.plans(app) if name in (it.app, it.release) or it.release.startswith(name)]
        if not found and (sentence := unknown(app, history.apps())):
            fail(sentence)
        if not found:
            fail(f"{name}: nothing is planned that has not begun; `release abort` ends a release that has.")
        if len(found) > 1:
            which = " and ".join(f"{it.version} for {it.start_at} ({it.release})" for it in found)
            fail(f"{name}: {which} are planned: say which release.")
        [plan] = found
        why = reason.strip() or f"its plan for {plan.start_at} was taken back"
        give("abort", plan.release, why, by or login(), patience, as_json, database)


def plan_json(plan: Plan) -> dict[str, Any]:
    """A plan for programs."""
    return {key: value for key, value in plan.model_dump(mode="json").items() if key != "begun"}


def _list(name: str | None, as_json: bool, database: str | None) -> None:
    history = open_history_at(database)
    plans = history.plans(name)
    if name and not plans and (sentence := unknown(name, history.apps())):
        fail(sentence)
    if as_json:
        print_json([plan_json(it) for it in plans])
    elif not plans:
        print(f"No release of {name} is planned." if name else "No release is planned.")
    else:
        rows = [[it.start_at, it.app, it.version, it.environment, it.requester or "", it.release] for it in plans]
        print_table(("planned for", "app", "version", "environment", "requester", "id"), rows)


def _planned(
    name: str, version: str, at: str | None, next_window: bool, notes: str, requested_by: str
) -> tuple[Planned, WindowRule]:
    """What Airflow is asked for, and the window that it keeps to.

    :raises ValueError: a sentence, where it cannot be planned so.
    """
    from release_pipelines.core import planning
    from release_pipelines.core.calendars.moments import moment_of
    from release_pipelines.core.model.release_id import dag_of
    from release_pipelines.core.versions import version_fits
    from release_pipelines.spec.windows import window_rule

    if (at is None) != next_window:
        raise ValueError("One of --at and --next-window is expected.")
    spec = spec_in_file(name)
    if misfit := version_fits(spec.app.version_scheme, version):
        raise ValueError(misfit)
    rule = window_rule(spec, spec.production.name)
    if rule is None:
        raise ValueError(
            f"{name} names no `calendars`, nor does {spec.production.name}: a release is planned by these."
        )
    ask, now = asking(rule), time.time()
    if at is None:
        opens_at = planning.next_opening(rule, ask, ask(now))
        if opens_at is None:
            none = planning.no_opening(rule, ask, ask(now))
            raise ValueError(f"{name} has no next window in {rule.environment}: {none}.")
        at = planning.wall_time(opens_at, rule.time_zone)
    if why := planning.obstacle_to_plan(rule, at, ask, now, spec.app.approval.valid_for):
        raise ValueError(why)
    moment = moment_of(at, rule.time_zone)
    given = {"version": version, "start_at": moment.text, "notes": notes, "requested_by": requested_by}
    return Planned(dag_of(name), {key: it for key, it in given.items() if it}, moment), rule


def asking(rule: WindowRule) -> Ask:
    """What the calendars of a rule say, as this project has them."""
    from pathlib import Path

    from release_pipelines.core.calendars import Asked, standing

    calendars = calendars_here(rule.calendars, Path.cwd())
    return partial(standing, calendars, Asked(rule.app, rule.environment, frozenset(rule.tags)))


def _asked(api: AirflowApi, planned: Planned) -> tuple[str, bool]:
    """Start the run, unless the same plan has one that goes on; its id, and whether it is new."""
    from release_pipelines.adapters.airflow_api import THERE_ALREADY, UNKNOWN

    for number in range(1, MOST_RUNS):
        run_id = planned.run_id(number)
        answer = api.start(planned.dag_id, run_id, planned.conf)
        if answer.status < 300:
            return run_id, True
        if answer.status == UNKNOWN:
            raise ValueError(f"Airflow has no DAG {planned.dag_id}, or this account may not see it.")
        if answer.status != THERE_ALREADY:
            raise ValueError(f"Airflow does not take it (status {answer.status}): {answer.detail}")
        known = api.run(planned.dag_id, run_id).content or {}
        if known.get("state") in OPEN and (known.get("conf") or {}).get("version") == planned.conf["version"]:
            return run_id, False
    raise ValueError(
        f"{planned.conf['version']} was planned {MOST_RUNS} times for the same moment: choose another one."
    )


def _checked(api: AirflowApi, dag_id: str, run_id: str, patience: float) -> tuple[str, str | None]:
    """What became of it: ``planned``, ``refused``, or ``asked`` where nothing has been said in time; and a sentence."""
    end = time.monotonic() + patience
    while True:
        run = api.run(dag_id, run_id).content or {}
        task = api.run(dag_id, run_id, f"/taskInstances/{PREFLIGHT}").content or {}
        if task.get("state") == "success":
            return "planned", None
        if task.get("state") in ("failed", "upstream_failed") or run.get("state") == "failed":
            said = (
                api.run(dag_id, run_id, f"/taskInstances/{PREFLIGHT}/xcomEntries/reason?deserialize=true").content or {}
            )
            return "refused", str(said.get("value") or f"the page of run {run_id} of {dag_id} says why.")
        if time.monotonic() >= end:
            stands = f"{run.get('state') or 'unknown'}, {PREFLIGHT}: {task.get('state') or 'not begun'}"
            return (
                "asked",
                f"asked for, and not checked yet ({stands}): the same command looks again at run {run_id} of {dag_id}.",
            )
        time.sleep(LOOK_SECONDS)
