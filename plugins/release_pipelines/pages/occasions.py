"""What stands in a calendar: windows, freezes, plans, trains and what was released, as far as the viewer may see them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from release_pipelines.airflow.calendars import load_calendars
from release_pipelines.core.calendars import Asked, Calendar, Entry, Span, openings, standing
from release_pipelines.core.calendars.moments import moment_of
from release_pipelines.core.calendars.spans import spans
from release_pipelines.core.calendars.zones import zone_label
from release_pipelines.core.model.release_id import dag_of, dag_that_shows, run_of
from release_pipelines.core.model.train import IN_WORDS
from release_pipelines.core.outlook import outlook
from release_pipelines.pages import scope

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.adapters.history.plans import Happened
    from release_pipelines.core.model.train import TrainApp
    from release_pipelines.pages.access import Viewer

RUNNING = "running"


class Occasion(NamedTuple):
    """One thing on a day.

    :param kind: ``window``, ``freeze``, ``plan``, ``train`` or ``release``.
    :param state: what became of it, in a word; empty: it has none.
    :param zone: the zone in which people there read clocks.
    :param about: reason and scope, in words.
    :param run: DAG id and run id of its page; None: it has none, or not for this viewer.
    :param lines: of a train: what became of its apps.
    """

    kind: str
    name: str
    zone: str
    state: str = ""
    about: tuple[str, ...] = ()
    run: tuple[str, str] | None = None
    lines: tuple[str, ...] = ()


@dataclass
class Told:
    """All that is shown.

    :ivar now: sentences about now: may the app begin, which calendars are open.
    :ivar unknown: calendars that cannot be read, and why.
    """

    occasions: list[tuple[Span, Occasion]] = field(default_factory=list)
    now: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


class Looked:
    """One look at everything, by one viewer.

    :param app: only what concerns this app; empty: all.
    :param environment: only what concerns this environment; empty: all.
    """

    def __init__(self, history: History, viewer: Viewer, app: str, environment: str) -> None:
        self.history, self.viewer, self.app, self.environment = history, viewer, app, environment
        self.files = scope.apps()
        self.zones = scope.zones()
        self.trains = scope.trains()
        self.told = Told()

    def at(self, span: Span) -> Told:
        """What is in a span of time."""
        if self.app and not self._reads(self.app):
            return self.told  # whether there is such an app is not told
        calendars = self._calendars()
        for calendar in calendars:
            self._entries(calendar, span)
        self._now(calendars)
        self._releases(span)
        self._plans(span)
        self._scheduled_trains(span)
        return self.told

    def apps(self) -> list[str]:
        """The apps that the viewer may choose."""
        known = {*self.files, *(it for it in self.history.apps() if it not in self.trains)}
        return sorted(it for it in known if self._reads(it))

    def environments(self) -> list[str]:
        """The environments to which these apps go."""
        mine = {where for it in self.files.values() if self._reads(it.name) for where in it.environments}
        return sorted(mine if self.files else self.zones)

    def _reads(self, app: str) -> bool:
        return self.viewer.may("GET", dag_of(app))

    # --- windows and freezes ------------------------------------------------------------------------------------

    def _calendars(self) -> list[Calendar]:
        from release_pipelines.spec.calendars import calendar_files
        from release_pipelines.spec.folders import airflow_home, calendars_folder

        folder = calendars_folder(airflow_home())
        names = [it.stem for it in calendar_files(folder)] if folder.is_dir() else []
        kept = self._kept()
        doubtful = any(it.mistake and not self._reads(it.name) for it in self.files.values())  # it may keep to any
        names = [
            it for it in names if any(self._reads(app) for app in kept.get(it, ())) or not (it in kept or doubtful)
        ]
        if self.app and self.app in self.files:
            facts = self.files[self.app]
            mine = {
                name for where, it in facts.rules.items() if self.environment in ("", where) for name in it.calendars
            }
            names = sorted(facts.calendars if facts.mistake else mine)
            if facts.mistake:
                self.told.remarks.append(
                    f"The file of {self.app} has a mistake, so it may keep to further calendars: {facts.mistake}."
                )
        if not names:
            which = f"{self.app} keeps to no calendar" if self.app else "There is no calendar that you may see"
            self.told.remarks.append(f"{which}: nothing is said here about when something may be released.")
        if not self.files:
            self.told.remarks.append(
                "This server finds no app files: windows that are limited to tags are not shown, and zones of environments are not known."
            )
        return load_calendars(names)

    def _kept(self) -> Mapping[str, set[str]]:
        """Which apps keep to a calendar, by themselves or by their train, by its name."""
        found: dict[str, set[str]] = {}
        for it in self.files.values():
            for name in it.calendars:
                found.setdefault(name, set()).add(it.name)
        for train in self.trains.values():
            for name in train.schedule:
                found.setdefault(name, set()).update(train.apps)
        return found

    def _entries(self, calendar: Calendar, span: Span) -> None:
        if calendar.broken is not None:
            self.told.unknown.append(f"{calendar.name} is unknown and counts as closed: {calendar.broken}.")
            return
        if calendar.trouble is not None:
            self.told.remarks.append(f"{calendar.name}: {calendar.trouble}.")
        for entry in calendar.entries:
            concerned = self._concerned(entry)
            if concerned is not None and not any(self._reads(it) for it in concerned):
                continue
            if not self._asked_for(entry):
                continue
            occasion = self._of_entry(calendar, entry)
            self.told.occasions += [(it, occasion) for it in spans(entry, span.start, span.end)]

    def _concerned(self, entry: Entry) -> set[str] | None:
        """The apps that an entry is limited to; None: it is limited to none, or only to an environment to which no app goes that is known here."""
        places = set(entry.environments or ())
        there = {it.name for it in self.files.values() if not places or places & set(it.environments)}
        if entry.apps is None and entry.tags is None:
            return there or None if places else None
        named = set(self.files) if entry.apps is None else set(entry.apps)
        if entry.tags is None:
            return named
        wanted = set(entry.tags)
        return {it for it in named if it in self.files and wanted & self.files[it].tags}

    def _asked_for(self, entry: Entry) -> bool:
        if self.app:
            tags = self.files[self.app].tags if self.app in self.files else frozenset[str]()
            if not entry.concerns(Asked(self.app, (entry.environments or ("",))[0], tags)):
                return False
        return not self.environment or entry.environments is None or self.environment in entry.environments

    def _of_entry(self, calendar: Calendar, entry: Entry) -> Occasion:
        scope = []
        if entry.apps is not None:
            mine = [it for it in entry.apps if self._reads(it)]
            scope.append(f"only {', '.join([*mine, *_hidden(len(entry.apps) - len(mine))])}")
        if entry.environments is not None:
            scope.append(f"only in {', '.join(entry.environments)}")
        if entry.tags is not None:
            scope.append(f"only apps tagged {', '.join(entry.tags)}")
        about = (*([entry.reason] if entry.reason else []), *scope, f"calendar {calendar.name}")
        return Occasion(entry.kind, entry.name, entry.zone, about=about)

    def _now(self, calendars: Sequence[Calendar]) -> None:
        """May it begin now, and until when; the question of somebody who looks at night."""
        now = time.time()
        if self.app and self.app in self.files:
            facts = self.files[self.app]
            for where, rule in facts.rules.items():
                if self.environment in ("", where):
                    kept = [it for it in calendars if it.name in rule.calendars]
                    ask = partial(standing, kept, Asked(self.app, where, facts.tags))
                    self.told.now.append(outlook(rule, ask, now).sentence)
            return
        for it in calendars:
            if it.broken is None:
                found = standing([it], Asked("", self.environment), now)
                self.told.now.append(f"{it.name} is {found.sentence}.")

    # --- releases, plans and trains -----------------------------------------------------------------------------

    def _releases(self, span: Span) -> None:
        found = self.history.happened(span.start, span.end, None)
        for it in found:
            at = Span(it.at, it.at)
            if it.app == it.dag_id:
                self._train(at, it)
                continue
            if self.app not in ("", it.app) or (self.environment and self.environment != it.environment):
                continue
            if not self.viewer.may("GET", dag_that_shows(it.dag_id, it.app)):
                continue
            state = it.outcome.replace("_", " ") if it.outcome else RUNNING
            name = f"{it.app} {it.version}"
            about = (f"in {it.environment}",) if it.environment else ()
            occasion = Occasion(
                "release", name, self._zone(it.app, it.environment), state, about, self._run(it.release)
            )
            self.told.occasions.append((at, occasion))

    def _train(self, at: Span, it: Happened) -> None:
        apps = self.history.train_apps(it.release)
        mine = [app for app in apps if self._reads(app.app)]
        own = self.viewer.may("GET", it.dag_id)
        if not (mine or (own and not apps)) or (self.app and all(app.app != self.app for app in mine)):
            return
        if self.environment and all(app.environment != self.environment for app in mine):
            return
        state = it.outcome.replace("_", " ") if it.outcome else RUNNING
        lines = (*(_line(app) for app in mine), *_hidden(len(apps) - len(mine)))
        run = run_of(it.release) if own else None
        self.told.occasions.append((at, Occasion("train", f"train {it.app}", "UTC", state, (), run, lines)))

    def _plans(self, span: Span) -> None:
        for plan in self.history.plans(self.app or None):
            dag_id, _ = run_of(plan.release)
            if not self.viewer.may("GET", dag_that_shows(dag_id, plan.app)):
                continue
            if self.environment and plan.environment != self.environment:
                continue
            where = self._zone(plan.app, plan.environment)
            try:
                at = moment_of(plan.start_at, where).at
            except ValueError:  # a time that clocks leave out since their rules have changed
                self.told.remarks.append(f"{plan.app} {plan.version} is planned for {plan.start_at}.")
                continue
            if span.start <= at < span.end:
                about = (f"in {plan.environment}", *([f"asked for by {plan.requester}"] if plan.requester else []))
                occasion = Occasion("plan", f"{plan.app} {plan.version}", where, "planned", about, run_of(plan.release))
                self.told.occasions.append((Span(at, at), occasion))

    def _scheduled_trains(self, span: Span) -> None:
        """Trains that begin when their calendars open, from now on."""
        now = time.time()
        for dag_id, train in self.trains.items():
            mine = [it for it in train.apps if self._reads(it)]
            if not train.schedule or not mine or (self.app and self.app not in mine) or span.end <= now:
                continue
            lines = (*mine, *_hidden(len(train.apps) - len(mine)))
            occasion = Occasion("train", f"train {dag_id}", train.zone, "scheduled", lines=lines)
            calendars = load_calendars(train.schedule)
            for it in openings(calendars, Asked("", ""), max(now, span.start), span.end):
                if max(now, span.start) <= it.start < span.end:
                    self.told.occasions.append((Span(it.start, it.start), occasion))

    def _zone(self, app: str, environment: str) -> str:
        """Where people read the clocks of an environment."""
        facts = self.files.get(app)
        where = environment or (facts.environments[-1] if facts else "")
        return self.zones.get(where, "UTC")

    def _run(self, release: str) -> tuple[str, str] | None:
        run = run_of(release)
        return run if self.viewer.may("GET", run[0]) else None


def _line(app: TrainApp) -> str:
    return f"{app.named}: {IN_WORDS[app.result]}"


def _hidden(count: int) -> Iterator[str]:
    if count > 0:
        yield f"{count} {'app' if count == 1 else 'apps'} that you may not see"


def zone_name(occasion: Occasion) -> str:
    """What people call the zone of an occasion."""
    return zone_label(occasion.zone)
