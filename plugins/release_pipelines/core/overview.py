"""Apps and environments as a list that people look through: what each row says, and which rows in which order. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, get_args

from release_pipelines.core.model.outcome import TrainOutcome
from release_pipelines.core.model.progress import Progress
from release_pipelines.core.model.release_id import ROLLBACK_DAG, dag_of, run_of
from release_pipelines.core.model.sighting import Sighting
from release_pipelines.core.model.train import TrainApp
from release_pipelines.core.observed import Shown, shown
from release_pipelines.core.outlook import Outlook
from release_pipelines.core.versions import sort_key

State = Literal["running", "waits", "failed", "drift"]
"""What rows are looked for by: a release runs; it waits for a person; the last one failed; what runs is not what was released."""
STATES: tuple[State, ...] = get_args(State)
Sort = Literal["app", "version", "since", "last"]
"""By the app's name; by the version that runs, as versions are ordered; newest change first; newest release first."""
SORTS: tuple[Sort, ...] = get_args(Sort)
SEVERAL = "several apps"
"""Version of a train with apps that whoever looks may not see."""
SOMEBODY = "another release"
"""Who holds an app, where whoever looks may not see that."""
GOOD = ("released", "no_op")
NOTHING_CHANGED = ("rejected", "expired")
"""Outcomes by which a person's answer, or none, ended a release before it changed the last environment: nothing failed."""


class Listed(NamedTuple):
    """A release in the overview; times are Unix times in seconds.

    :param by: who asked for it.
    :param started_by: while its approval is open: who started its run for them.
    :param waits: an approval is asked for, and nobody has answered.
    :param planned: the wall time that it is planned for, and has not begun.
    :param apps: of a train.
    :param unseen: how many more it has that whoever looks may not see.
    """

    id: str
    app: str
    dag_id: str
    run_id: str
    version: str
    digest: str | None
    commit: str | None
    outcome: TrainOutcome | None
    sentence: str | None
    started_at: float
    ended_at: float | None
    by: str | None
    approver: str | None
    started_by: str | None = None
    waits: bool = False
    planned: str | None = None
    progress: Progress | None = None
    apps: tuple[TrainApp, ...] = ()
    unseen: int = 0

    @property
    def failed(self) -> bool:
        """Whether it ended otherwise than it should."""
        return self.outcome is not None and self.outcome not in (*GOOD, *NOTHING_CHANGED)

    @property
    def state(self) -> str:
        """What it does, or how it ended, in a word or a few."""
        if self.outcome is not None:
            return self.outcome.replace("_", " ")
        if self.waits:
            return "waits for approval"
        if self.planned:
            return "planned"
        if self.progress is not None and self.progress.closed:
            return "waits for its window"
        if self.progress is not None and self.progress.latest is None:
            return "paused"
        return "running"

    @property
    def for_a_person(self) -> bool:
        """Whether it goes on only when a person says something."""
        return self.outcome is None and self.state in ("waits for approval", "paused")


class Told(NamedTuple):
    """What the history says of all apps.

    :param newest: the newest release of each app that is no rollback: its DAG says whose the app is.
    :param running: releases that have not ended, by app, newest first.
    :param last: the newest release that has ended, by app.
    :param last_in: the same of those that got as far as an environment, by app and environment.
    :param seen: what was last seen to run, by app and environment.
    :param brought: the releases that brought it.
    :param held: ids of trains that hold apps, by app and environment.
    """

    newest: Mapping[str, Listed]
    running: Mapping[str, Sequence[Listed]]
    last: Mapping[str, Listed]
    last_in: Mapping[tuple[str, str], Listed]
    seen: Mapping[tuple[str, str], Sighting]
    brought: Mapping[tuple[str, str], Listed]
    held: Mapping[tuple[str, str], str]


class Filed(NamedTuple):
    """What the files say of an app or a train, as far as the overview shows it.

    :param team: the owner.
    """

    name: str
    dag_id: str
    environments: tuple[str, ...] = ()
    team: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""
    train: bool = False


class Place(NamedTuple):
    """One environment of an app.

    :param now: what runs there.
    :param brought: the release that brought it.
    :param last: the newest release that has ended and got so far.
    :param running: the release that is there now.
    :param held: the id of the train that holds the app here.
    :param window: by the calendars that it keeps to here; None: by none, or nobody has asked yet.
    """

    environment: str
    now: Shown
    brought: Listed | None
    last: Listed | None
    running: Listed | None
    held: str | None = None
    window: Outlook | None = None

    @property
    def holder(self) -> str | None:
        """Who holds the lease here."""
        return self.now.seen.holder if self.now.seen else None


class Row(NamedTuple):
    """One app, or one train.

    :param dag_id: the DAG whose readers may see it.
    :param running: releases that have not ended; those that have reached an environment stand there, too.
    """

    name: str
    dag_id: str
    filed: Filed | None
    places: tuple[Place, ...]
    running: tuple[Listed, ...]
    last: Listed | None
    train: bool = False

    def is_in(self, state: State) -> bool:
        """Whether people who look for this state look for this row."""
        if state == "running":
            return bool(self.running)
        if state == "waits":
            return any(it.for_a_person for it in self.running)
        if state == "failed":
            return self.last is not None and self.last.failed
        return any(it.now.drift_since is not None for it in self.places)

    @property
    def team(self) -> str:
        """The owner that its file names."""
        return self.filed.team if self.filed else ""

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that its file names."""
        return self.filed.tags if self.filed else ()

    @property
    def words(self) -> str:
        """All that a search looks through, in lower case."""
        known: list[str | None] = [self.name, self.team, *self.tags, self.filed.description if self.filed else ""]
        for it in filter(None, (*self.running, self.last, *(place.last for place in self.places))):
            known += [it.version, it.digest, it.commit, it.by, it.approver, it.state, *(app.app for app in it.apps)]
        for place in self.places:
            seen = place.now.seen
            known += [place.environment, place.now.word]
            known += [seen.version, seen.digest, *(it.kind for it in seen.drift)] if seen else []
        return "\n".join(filter(None, known)).casefold()


class Wish(NamedTuple):
    """What somebody wants to see.

    :param text: words that a row has all of.
    :param page: from 1 on.
    """

    text: str = ""
    state: State | None = None
    environment: str = ""
    team: str = ""
    tag: str = ""
    sort: Sort = "app"
    page: int = 1


def gates(app: str, dag_id: str) -> set[str]:
    """The DAGs that somebody must be allowed to read who sees a release: a rollback by a person is one of all apps' DAG."""
    return {dag_id, dag_of(app)} if dag_id == ROLLBACK_DAG else {dag_id}


def rows(told: Told, files: Mapping[str, Filed], now: float) -> list[Row]:
    """All apps and trains, by name: those that have a file, and those that have releases or run somewhere.

    :param files: by app, and by the id of a train's DAG.
    :param now: Unix time in seconds.
    """
    places: dict[str, set[str]] = {}
    going = ((app, it.progress.environment) for app, found in told.running.items() for it in found if it.progress)
    for app, environment in (*told.last_in, *told.seen, *going):
        places.setdefault(app, set()).add(environment)
    names = {*told.newest, *told.running, *told.last, *places, *files}
    return [_row(name, told, files.get(name), places.get(name, set()), now) for name in sorted(names)]


def _row(name: str, told: Told, filed: Filed | None, known: Collection[str], now: float) -> Row:
    newest, running = told.newest.get(name), tuple(told.running.get(name, ()))
    dag_id = filed.dag_id if filed else newest.dag_id if newest else dag_of(name)
    order = filed.environments if filed else ()
    environments = (*order, *sorted(set(known) - set(order)))
    places = tuple(
        Place(
            environment=it,
            now=shown(name, it, told.seen.get((name, it)), (), now),
            brought=told.brought.get((name, it)),
            last=told.last_in.get((name, it)),
            running=next((r for r in running if r.progress is not None and r.progress.environment == it), None),
            held=told.held.get((name, it)),
        )
        for it in environments
    )
    train = filed.train if filed else newest is not None and newest.app == newest.dag_id
    return Row(name, dag_id, filed, places, running, told.last.get(name), train)


def dags_of(row: Row) -> set[str]:
    """Every DAG that what stands in a row comes from."""
    found = {row.dag_id}
    for it in _releases_in(row):
        found |= {it.dag_id} | {dag_of(app.app) for app in it.apps}
    for place in row.places:
        found |= {run_of(it)[0] for it in (place.held, place.holder) if it}
    return found - {ROLLBACK_DAG}


def _releases_in(row: Row) -> Iterable[Listed]:
    yield from row.running
    if row.last is not None:
        yield row.last
    for place in row.places:
        yield from filter(None, (place.last, place.running, place.brought))


def visible(row: Row, readable: Collection[str]) -> Row | None:
    """What somebody may see of a row; None: nothing.

    :param readable: ids of the DAGs that they may read, of those in :func:`dags_of`.
    """
    if row.dag_id not in readable:
        return None

    def may(dag_id: str) -> bool:
        # Whoever may read the app's own DAG sees its rollbacks, too, which are runs of a DAG of all apps.
        return dag_id in readable or dag_id == ROLLBACK_DAG

    def mine(it: Listed | None) -> Listed | None:
        if it is None or not may(it.dag_id):
            return None
        apps = tuple(app for app in it.apps if dag_of(app.app) in readable)
        unseen = len(it.apps) - len(apps)
        # What a train says of itself names its apps.
        return it._replace(apps=apps, unseen=unseen, version=SEVERAL, sentence=None) if unseen else it

    def place(it: Place) -> Place:
        now = it.now
        if now.seen is not None and it.holder is not None and not may(run_of(it.holder)[0]):
            now = replace(now, seen=now.seen.model_copy(update={"holder": SOMEBODY}))
        held = it.held if it.held is None or may(run_of(it.held)[0]) else SOMEBODY
        return it._replace(now=now, brought=mine(it.brought), last=mine(it.last), running=mine(it.running), held=held)

    running = tuple(filter(None, map(mine, row.running)))
    return row._replace(places=tuple(map(place, row.places)), running=running, last=mine(row.last))


class Counts(NamedTuple):
    """How many rows there are, of those that somebody may see."""

    apps: int
    trains: int
    running: int
    waits: int
    for_me: int
    failed: int
    drift: int


def counts(visible_rows: Iterable[Row], mine: Collection[str] = ()) -> Counts:
    """Count rows.

    :param mine: ids of the releases that wait for whoever looks.
    """
    all_rows = list(visible_rows)
    numbers = {state: sum(row.is_in(state) for row in all_rows) for state in STATES}
    trains = sum(row.train for row in all_rows)
    return Counts(apps=len(all_rows) - trains, trains=trains, for_me=len(mine), **numbers)


def wanted(visible_rows: Iterable[Row], wish: Wish) -> list[Row]:
    """The rows that somebody wants to see, in their order, all pages of them."""
    words = wish.text.casefold().split()
    found = [
        row
        for row in visible_rows
        if (wish.state is None or row.is_in(wish.state))
        and (not wish.environment or any(it.environment == wish.environment for it in row.places))
        and (not wish.team or row.team == wish.team)
        and (not wish.tag or wish.tag in row.tags)
        and _has(row, words)
    ]
    return sorted(found, key=lambda row: (*_rank(row, wish), row.name))


def _has(row: Row, words: Sequence[str]) -> bool:
    if not words:
        return True
    text = row.words
    return all(word in text for word in words)


def _rank(row: Row, wish: Wish) -> tuple[Any, ...]:
    if wish.sort == "version":
        known = [it for it in row.places if not wish.environment or it.environment == wish.environment]
        version = next((it.now.seen.version for it in reversed(known) if it.now.seen and it.now.seen.version), None)
        return (version is None, sort_key(version))
    if wish.sort == "since":
        return (-max((it.now.seen.since or 0.0 for it in row.places if it.now.seen), default=0.0),)
    if wish.sort == "last":
        known_at = [it.started_at for it in row.running] + [row.last.started_at if row.last else 0.0]
        return (-max(known_at),)
    return ()
