"""A person in front of a release: what they are to it, and which state it is in. Buttons and commands ask this, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from release_pipelines.core.approvers import same_person, words_of
from release_pipelines.core.model.person import Person
from release_pipelines.core.model.records import ReleaseDetail
from release_pipelines.core.model.release_id import ROLLBACK_DAG
from release_pipelines.core.model.train import digest_of
from release_pipelines.core.steering import No, Seen, State, Steerer, allowed, outdated, refused, state_of
from release_pipelines.pages import forms
from release_pipelines.pages.access import Viewer

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.train import TrainApp
    from release_pipelines.pages.forms import Form
    from release_pipelines.spec.release import ReleaseSpec
    from release_pipelines.spec.trains import TrainSpec


@dataclass(frozen=True)
class Case:
    """A release as one person sees it.

    :param release: id of the run's newest life, as far as Airflow and the history know it.
    :param app: its app, or its train.
    :param environment: where it ends up; empty where that is not known here.
    :param person: what they are to it.
    :param form: what waits for an answer.
    :param train: whether it is a train.
    :param digest: what an answer would be bound to.
    :param good: versions that can be gone back to, the newest first.
    :param other: the version of another release of the app that runs now.
    """

    release: str
    app: str
    environment: str
    person: Steerer
    form: Form | None = None
    train: bool = False
    digest: str | None = None
    good: tuple[str, ...] = ()
    other: str | None = None

    def state(self, detail: ReleaseDetail) -> State:
        """The state that the release's records tell; whether a form is open Airflow knows best."""
        state = state_of(detail, train=self.train, good=self.good, other=self.other)
        if self.train:
            state = replace(state, digest=self.digest)
        if self.form is not None and state.asks is None and state.ended is None:
            state = replace(state, asks="approval" if "approval" in self.form.task.split("_") else "question")
        return state

    def no(self, kind: str, detail: ReleaseDetail, reason: str | None, seen: Seen, version: str | None) -> No | None:
        """Why a command is not taken now; None: it is.

        :param version: what to go back to, for a rollback.
        """
        state = self.state(detail)
        no = refused(kind, state, self.person, reason)
        if no and no.kind == "not yours":
            return no
        no = outdated(kind, seen, state, self.release) or no
        if no is None and kind == "roll_back" and version not in state.good:
            named = " or ".join(state.good)
            return No("not now", f"{version or 'No version'} is nothing to go back to now: {named} is expected.")
        return no

    def words(self, detail: ReleaseDetail) -> list[str]:
        """What may be told the release now by this person."""
        return [word for word, no in allowed(self.state(detail), self.person).items() if no is None]


class Ground(NamedTuple):
    """What is the same for everybody in front of a release.

    :ivar spec: of its app; None where it has none here, and of a train.
    :ivar form: what waits for an answer.
    :ivar apps: those of a train.
    :ivar approvers: who may approve it.
    :ivar release: id of the run's newest life.
    :ivar good: versions that can be gone back to, the newest first.
    :ivar other: the version of another release of the app that runs now.
    """

    spec: ReleaseSpec | None
    form: Form | None
    apps: Sequence[TrainApp]
    approvers: Sequence[str | Person]
    release: str
    good: tuple[str, ...]
    other: str | None

    @property
    def environment(self) -> str:
        """Where it ends up; empty where that is not known here."""
        return self.spec.production.name if self.spec else ""


def ground_of(history: History, detail: ReleaseDetail) -> Ground:
    """What is the same for everybody, asked anew of Airflow, the history and the app's file.

    :param detail: the newest life of a run's release.
    """
    train, running = is_train(detail), detail.outcome is None
    spec = None if train else spec_of_app(detail.app)
    environment = spec.production.name if spec else ""
    approvers: Sequence[str | Person] = spec.production.approvers if spec else ()
    apps = history.train_apps(detail.id) if train else []
    if train:
        approvers = people_of_train(detail.app, [it.app for it in apps])
    steered = not train and detail.dag_id != ROLLBACK_DAG
    others = [it for it in history.running(detail.app, environment) if it.id != detail.id] if steered else []
    return Ground(
        spec=spec,
        form=forms.open_form(detail.dag_id, detail.run_id) if running else None,
        apps=apps,
        approvers=approvers,
        release=newest_id(detail),
        good=good_versions(history, detail, environment) if steered else (),
        other=others[0].version if others else None,
    )


def is_train(detail: ReleaseDetail) -> bool:
    """Whether the release is a train."""
    return detail.app == detail.dag_id


def case_of(viewer: Viewer, history: History, detail: ReleaseDetail) -> Case:
    """What a person is to a release, asked anew.

    :param viewer: who looks.
    :param detail: the newest life of a run's release.
    """
    return case_on(ground_of(history, detail), viewer, detail)


def case_on(ground: Ground, viewer: Viewer, detail: ReleaseDetail) -> Case:
    """The same, where it is known already what is the same for everybody: only Airflow's rights are asked.

    :param viewer: who looks.
    :param detail: the newest life of a run's release.
    """
    spec, form, train = ground.spec, ground.form, is_train(detail)
    person = Steerer(
        viewer.identity,
        runs=viewer.may("POST", detail.dag_id),
        answers=viewer.may("PUT", detail.dag_id),
        rolls=viewer.may("POST", ROLLBACK_DAG),
        approvers=ground.approvers,
        answerers=answerers(form, ground.approvers, spec, detail),
        self_approval=bool(spec and spec.app.approval.self_approval) and not is_urgent(form),
    )
    return Case(
        release=ground.release,
        app=detail.app,
        environment=ground.environment,
        person=person,
        form=form,
        train=train,
        digest=digest_of(ground.apps) if train else detail.digest,
        good=ground.good,
        other=ground.other,
    )


def newest_id(detail: ReleaseDetail) -> str:
    """The id of the run's newest life: Airflow has cleared it before the history hears of it."""
    life = forms.life_of(detail.dag_id, detail.run_id)
    name, sign, number = detail.id.rpartition("#")
    if life is None or not sign or not number.isdigit() or life <= int(number):
        return detail.id
    return f"{name}#{life}"


def good_versions(history: History, detail: ReleaseDetail, environment: str) -> tuple[str, ...]:
    """Versions that a rollback may go back to, the newest first; not the release's own while it is the newest of them."""
    good = [it.version for it in history.stability(detail.app, environment or None) if it.good]
    return tuple(good[1:] if good[:1] == [detail.version] else good)


def is_urgent(form: Form | None) -> bool:
    """Whether the form lets an urgent release through closed calendars."""
    from release_pipelines.spec.windows import URGENT

    return form is not None and form.task.rpartition(".")[2] == URGENT


def answerers(
    form: Form | None, approvers: Sequence[str | Person], spec: ReleaseSpec | None, detail: ReleaseDetail
) -> Sequence[str | Person]:
    """Who may answer the open form, as its operator has it."""
    if form is None:
        return approvers
    if is_urgent(form) and spec is not None:
        first = [it.by for it in detail.approvals if it.decision == "approved"]
        urgent: Sequence[str | Person] = spec.production.part("urgent_approvers", list) or []
        return [it for it in urgent if not same_person(words_of(it), first)]
    return approvers or form.people


def spec_of_app(app: str) -> ReleaseSpec | None:
    """The specification that the app's running release began with, else the one in its file; None where there is none here."""
    from release_pipelines.spec.folders import airflow_home, apps_folder, config_folder
    from release_pipelines.spec.frozen import spec_of

    try:
        return spec_of(app, apps_folder(airflow_home()), config_folder(airflow_home()))
    except (ValueError, OSError):
        return None


def people_of_train(train: str, apps: Sequence[str]) -> Sequence[str | Person]:
    """Who may answer a train's form: those whom its file names, else the approvers of its apps."""
    if (spec := _train(train)) and spec.approvers:
        return spec.approvers
    found: list[str | Person] = []
    for app in apps:
        of_app = spec_of_app(app)
        found += [it for it in (of_app.production.approvers if of_app else ()) if it not in found]
    return found


def _train(train: str) -> TrainSpec | None:
    from release_pipelines.spec.folders import airflow_home, apps_folder, calendars_folder, trains_folder
    from release_pipelines.spec.trains import load_train, train_dag_id, train_files

    for path in train_files(trains_folder(airflow_home())):
        if train_dag_id(path.stem) == train:
            try:
                return load_train(path, apps_folder(airflow_home()), calendars_folder(airflow_home()))
            except ValueError:
                return None
    return None
